"""What comes in: a data set in the RSNA layout, or any pile of DICOM, organized on the way."""

import contextlib
import csv
import dataclasses
import pathlib
import shutil
import tempfile
from collections.abc import Collection, Iterator

from spine_tf.configuration import directory_kind
from spine_tf.rsna import layout, sources, zip_members
from spine_tf.studies import identities, organizing, output_tables
from tfrecords import atomic, file_system, regular_file, words

_KEY_SUFFIX = ".key"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TakenIn:
    """Studies that can be read.

    Attributes:
        source: one side of a data set.
        in_words: what became of a pile; "" of a data set.
        listing: says which file of a pile an image was; None of a data set.
    """

    source: sources.Source
    in_words: str = ""
    listing: pathlib.Path | None = None

    def own_names(self, images: Collection[str]) -> list[str]:
        """Returns images of the source by the names that whoever gave them knows."""
        if self.listing is None or not images:
            return list(images)
        columns = ("study_id", "series_id", "instance_number")
        with self.listing.open(encoding="utf-8", newline="") as file:
            known = {tuple(row[c] for c in columns): row["file"] for row in csv.DictReader(file)}
        ids = (pathlib.PurePosixPath(name).with_suffix("").parts[1:] for name in images)
        return sorted({known[key] for key in ids})  # several may be frames of one file


def is_pile(data_dir: pathlib.Path) -> bool:
    """Returns whether a place has none of the CSVs of a data set: images alone are a pile."""
    csvs = {*layout.TRAIN_CSVS, layout.series_csv("test")}
    if data_dir.is_dir():
        is_data = directory_kind.of(data_dir) is directory_kind.Kind.DATA
        return not is_data or not any((data_dir / csv).exists() for csv in csvs)
    if not data_dir.is_file():
        return False  # a sentence of the layout says what it is
    return csvs.isdisjoint(zip_members.of_data_set(data_dir))


@contextlib.contextmanager
def opened(
    data_dir: pathlib.Path,
    *,
    side: str | None = None,
    ids: pathlib.Path | None = None,
    min_slices: int | None = None,
    num_workers: int = 1,
) -> Iterator[TakenIn]:
    """Opens a side of a data set; a pile is organized in a temporary place that lives in the block.

    Studies of a pile get ids that say nothing of whose they are. They are others each time, but
    with `ids`: the file says which study is which, and a key beside it, F.key, keeps them.

    Args:
        data_dir: a data set, a folder of DICOM files, or a zip of either.
        side: test or train; None is the test side where there is one.
        ids: CSV to write, with its key beside it; only the owner can read them.
        min_slices: that a series of a pile has to have; None is organize's default.
        num_workers: processes that organize; 0 is this one.

    Raises:
        ValueError: there is nothing of the kind, no study in it, or what makes no sense of it.
    """
    if not data_dir.exists():
        raise ValueError(
            f"--data_dir {data_dir} does not exist; expected a folder or zip of DICOM files, or "
            "one in the RSNA layout"
        )
    if not is_pile(data_dir):
        _refuse_of_pile(data_dir, ids=ids, min_slices=min_slices)
        yield TakenIn(source=sources.open_for_prediction(data_dir, side))
        return
    if side == "train":
        raise ValueError(
            f"--side train has grades, and {data_dir} has none, being a pile of DICOM without the "
            "CSVs of a data set: leave it out"
        )
    settings = (
        organizing.Settings() if min_slices is None else organizing.Settings(min_slices=min_slices)
    )
    with tempfile.TemporaryDirectory(prefix="spine_tf_studies_") as place:
        output_dir = pathlib.Path(place, "studies")
        if ids is not None:
            _bring_key(ids, organizing.private_dir(output_dir))
        found = organizing.organize(data_dir, output_dir, settings, num_workers=num_workers)
        if not found.num_studies:
            raise ValueError(_nothing_found(data_dir, found))
        if ids is not None:
            _keep(ids, organizing.private_dir(output_dir))
        yield TakenIn(
            source=sources.open_for_prediction(output_dir, side),
            in_words=_in_words(found, ids),
            listing=organizing.private_dir(output_dir) / output_tables.FILES_FILE,
        )


def _refuse_of_pile(
    data_dir: pathlib.Path, *, ids: pathlib.Path | None, min_slices: int | None
) -> None:
    for flag, value in (("ids", ids), ("min_slices", min_slices)):
        if value is not None:
            raise ValueError(
                f"--{flag} is for piles of DICOM, {data_dir} is in the RSNA layout, whose studies "
                "and ids are its own: leave it out"
            )


def _bring_key(ids: pathlib.Path, private_dir: pathlib.Path) -> None:
    """Puts the key of an earlier call in place, so that studies have the ids that they had."""
    key = _key_path(ids)
    if not key.exists():
        if ids.exists():
            raise ValueError(
                f"--ids {ids} exists, and the key of its ids, {key.name}, is not beside it: "
                "choose another file"
            )
        return
    private_dir.mkdir(parents=True)
    file_system.restrict(private_dir, 0o700)
    atomic.write_text(private_dir / identities.KEY_FILE, regular_file.read_text(key))


def _key_path(ids: pathlib.Path) -> pathlib.Path:
    return ids.with_name(f"{ids.name}{_KEY_SUFFIX}")


def _keep(ids: pathlib.Path, private_dir: pathlib.Path) -> None:
    ids.parent.mkdir(parents=True, exist_ok=True)
    names = {_key_path(ids): identities.KEY_FILE, ids: output_tables.IDS_FILE}
    for path, name in names.items():
        with atomic.replaced_file(path) as temporary:
            temporary.touch(mode=0o600)
            file_system.restrict(temporary, 0o600)
            shutil.copyfile(private_dir / name, temporary)


def _nothing_found(data_dir: pathlib.Path, found: output_tables.Summary) -> str:
    kind = directory_kind.of(data_dir)
    what = f", which is {kind.words} (for {kind.flag})" if kind else ""
    return (
        f"no series of lumbar MRI was found in {data_dir}{what}; left out: "
        f"{words.counted(found.num_files, 'file')} ({found.why_left_out}); organize says of each "
        "why, --min_slices is what a series needs"
    )


def _in_words(found: output_tables.Summary, ids: pathlib.Path | None) -> str:
    series = ", ".join(f"{count} {kind}" for kind, count in found.num_series.items() if count)
    num_left_out = sum(found.left_out.values())
    counts = ", ".join(f"{count} {reason}" for reason, count in found.left_out.items())
    reasons = f" ({counts})" if counts else ""
    where = (
        f"which study is which: {ids}, for its owner alone; with {_key_path(ids).name} beside it "
        "ids stay"
        if ids is not None
        else "which study is which is not kept: --ids F keeps it"
    )
    return (
        f"organized on the way: {words.counted(found.num_studies, 'study')}, {series}; left out: "
        f"{num_left_out} of {words.counted(found.num_files, 'file')}{reasons}\n{where}"
    )
