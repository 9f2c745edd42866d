"""One DICOM file and a place on it -> one answer of an exported model."""

import dataclasses
import pathlib
import re
from collections.abc import Collection, Iterator, Sequence

from spine_tf import labels
from spine_tf.crops import cutting
from spine_tf.dicom import reasons
from spine_tf.rsna import annotations, layout
from spine_tf.serving import saved_model, spec, submission, verification
from tfrecords import regular_file


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileSource:
    """A file as a source: it and the files beside it are a series, whatever their names.

    Attributes:
        paths: the files' paths, numbered from 0 in the order of their names, as a reader counts.
    """

    paths: tuple[pathlib.Path, ...]
    side: str = "test"

    @classmethod
    def beside(cls, path: pathlib.Path) -> "FileSource":
        """Returns a file and those beside it; links are followed."""
        found = path.parent.iterdir() if path.parent.is_dir() else ()
        others = {other for other in found if other.is_file()}
        return cls(paths=tuple(sorted({*others, path}, key=_natural_order)))

    def read(self, name: str, limit: int = -1) -> bytes:
        """Returns a file's bytes, the first `limit` of them."""
        path = self.paths[int(pathlib.PurePath(name).stem)]
        if limit < 0:
            return regular_file.read_bytes(path)
        return regular_file.read_beginning(path, limit)

    def instances(self, study_id: int, series_id: int) -> list[int]:
        """Returns one number for each file."""
        return list(range(len(self.paths)))

    def sizes(self, study_id: int, series_id: int) -> dict[int, int]:
        """Returns the bytes of each file by its number."""
        return {number: path.stat().st_size for number, path in enumerate(self.paths)}

    def image_names(self) -> Iterator[str]:
        """Yields one name for each file."""
        return (layout.image_name(self.side, 0, 0, number) for number in self.instances(0, 0))

    def narrowed(self, series: Collection[tuple[int, int]]) -> "FileSource":
        """Returns itself: paths are cheap to hand on."""
        return self


def _natural_order(path: pathlib.Path) -> list[tuple[int, str]]:
    """IM2 before IM10."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def predict_file(
    model_dir: pathlib.Path,
    dicom_path: pathlib.Path,
    output_path: pathlib.Path,
    *,
    center_xy: tuple[float, float],
    condition: str | None,
    level: str | None = None,
    is_competition_weighted: bool = False,
) -> dict[str, float]:
    """Writes one row, named by the file, and returns its probabilities by column.

    A model of several slices finds the neighbours among the other files of the folder, by the
    same rules as the converter: of the same acquisition, by their place in the patient.

    Args:
        model_dir: an exported directory.
        dicom_path: the file.
        output_path: CSV to write.
        center_xy: column and row in pixels; integers are pixel centres.
        condition: which side of the patient it is decides whether the crop is mirrored; may be
            None if the model knows only one.
        level: likewise; only a model that is told it needs it.
        is_competition_weighted: answer with what is best for the competition's metric.

    Raises:
        ValueError: no exported model, a condition that it does not know, or a file that can't be
            used.
    """
    with verification.verified(model_dir) as received:
        return _predict_file(
            received.directory,
            dicom_path,
            output_path,
            center_xy=center_xy,
            condition=condition,
            level=level,
            is_competition_weighted=is_competition_weighted,
        )


def _predict_file(
    model_dir: pathlib.Path,
    dicom_path: pathlib.Path,
    output_path: pathlib.Path,
    *,
    center_xy: tuple[float, float],
    condition: str | None,
    level: str | None,
    is_competition_weighted: bool,
) -> dict[str, float]:
    served = spec.read(model_dir)
    if served.views:
        raise ValueError(
            f"the model grades whole levels by {len(served.views)} views: give --data_dir instead "
            "of --dicom"
        )
    condition = _one_of("condition", served.conditions, condition)
    if served.told:
        level = _one_of("level", served.levels, level)
    elif level is not None:
        raise ValueError("--level has no effect: the model is not told the level, leave it out")
    source = FileSource.beside(dicom_path)
    row = annotations.Annotation(
        study_id=0,
        series_id=0,
        instance_number=source.paths.index(dicom_path),
        condition=labels.CONDITIONS.index(condition),
        level=labels.LEVELS.index(level) if level else 0,
        x=center_xy[0],
        y=center_xy[1],
        label=None,
    )
    batch = cutting.cut_batch([row], source=source, region=served.roi)
    for reject in batch.rejects:
        raise ValueError(_sentence(dicom_path, reject))
    model = saved_model.SavedModel(model_dir)
    model.require(served)
    told = served.tell([row])
    answer = model.ask("serving_default", image=batch.images, window=batch.windows, **told)
    probabilities = answer[spec.output_name(is_competition_weighted=is_competition_weighted)][0]
    output_path.parent.mkdir(parents=True, exist_ok=True)
    written = [(_name(dicom_path), probabilities / sum(probabilities))]
    submission.write_rows(output_path, served.task_spec, written)
    return dict(zip(served.task_spec.columns, map(float, probabilities), strict=True))


def _name(path: pathlib.Path) -> str:
    """The file's name without .dcm; what stands behind the last dot of a UID is no suffix."""
    return path.stem if path.suffix.lower() == ".dcm" else path.name


def _one_of(flag: str, known: Sequence[str], given: str | None) -> str:
    """The condition or level that is meant: the only one where none is given."""
    if given is None:
        if len(known) > 1:
            raise ValueError(f"--{flag} is needed, the model grades {', '.join(known)}")
        return known[0]
    if given not in known:
        raise ValueError(f"--{flag} is {given!r}, the model grades {', '.join(known)}")
    return given


def _sentence(path: pathlib.Path, reject: reasons.Reject) -> str:
    return f"{path} can't be used ({reject.reason}): {reject.detail}"
