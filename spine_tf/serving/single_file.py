"""One DICOM file and a place on it -> one answer of an exported model."""

import dataclasses
import pathlib
from collections.abc import Collection, Iterator

from spine_tf import labels
from spine_tf.crops import cutting
from spine_tf.dicom import reasons
from spine_tf.rsna import annotations, layout
from spine_tf.serving import prediction, saved_model, spec

_ASKED = 0  # the instance number that the asked file gets


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileSource:
    """A file as a source: image 0, and the other .dcm files beside it as its series."""

    path: pathlib.Path
    side: str = "test"

    def read(self, name: str, limit: int = -1) -> bytes:
        """Returns a file's bytes, the first `limit` of them."""
        with self._path_of(name).open("rb") as file:
            return file.read(limit)

    def instances(self, study_id: int, series_id: int) -> list[int]:
        """Returns 0 for the file, then one number for each file beside it."""
        return list(range(1 + len(self._siblings())))

    def sizes(self, study_id: int, series_id: int) -> dict[int, int]:
        """Returns the bytes of the file and of those beside it."""
        paths = [self.path, *self._siblings()]
        return {number: path.stat().st_size for number, path in enumerate(paths)}

    def image_names(self) -> Iterator[str]:
        """Yields one name for the file and for each beside it."""
        return (layout.image_name(self.side, 0, 0, number) for number in self.instances(0, 0))

    def narrowed(self, series: Collection[tuple[int, int]]) -> "FileSource":
        """Returns itself: a path is cheap to hand on."""
        return self

    def _path_of(self, name: str) -> pathlib.Path:
        number = int(pathlib.PurePath(name).stem)
        return self.path if number == _ASKED else self._siblings()[number - 1]

    def _siblings(self) -> list[pathlib.Path]:
        others = self.path.parent.glob("*.dcm")
        return sorted(other for other in others if other.name != self.path.name)


def predict_file(
    model_dir: pathlib.Path,
    dicom_path: pathlib.Path,
    output_path: pathlib.Path,
    *,
    center_xy: tuple[float, float],
    condition: str | None,
    is_competition_weighted: bool = False,
) -> dict[str, float]:
    """Writes one row, named by the file, and returns its probabilities by column.

    A model of several slices finds the neighbours among the other .dcm files of the folder.

    Args:
        model_dir: an exported directory.
        dicom_path: the file.
        output_path: CSV to write.
        center_xy: column and row in pixels; integers are pixel centres.
        condition: which side of the patient it is decides whether the crop is mirrored; may be
            None if the model knows only one.
        is_competition_weighted: answer with what is best for the competition's metric.

    Raises:
        ValueError: no exported model, a condition that it does not know, or a file that can't be
            used.
    """
    served = spec.read(model_dir)
    row = annotations.Annotation(
        study_id=0,
        series_id=0,
        instance_number=_ASKED,
        condition=labels.CONDITIONS.index(_condition(served, condition)),
        level=0,
        x=center_xy[0],
        y=center_xy[1],
        label=None,
    )
    batch = cutting.cut_batch([row], source=FileSource(path=dicom_path), region=served.roi)
    for reject in batch.rejects:
        raise ValueError(_sentence(dicom_path, reject))
    model = saved_model.SavedModel(model_dir)
    model.require(served)
    answer = model.ask("serving_default", image=batch.images, window=batch.windows)
    probabilities = answer[saved_model.output_name(is_competition_weighted)][0]
    output_path.parent.mkdir(parents=True, exist_ok=True)
    prediction.write_rows(output_path, served.task_spec, [(dicom_path.stem, probabilities)])
    return dict(zip(served.task_spec.columns, map(float, probabilities), strict=True))


def _condition(served: spec.Spec, condition: str | None) -> str:
    known = ", ".join(served.conditions)
    if condition is None:
        if len(served.conditions) > 1:
            raise ValueError(f"--condition is needed, the model grades {known}")
        return served.conditions[0]
    if condition not in served.conditions:
        raise ValueError(f"--condition is {condition!r}, the model grades {known}")
    return condition


def _sentence(path: pathlib.Path, reject: reasons.Reject) -> str:
    return f"{path} can't be used ({reject.reason}): {reject.detail}"
