"""The study in a zip that was received: found, named, and held in memory; nothing is on disk."""

import contextlib
import dataclasses
import errno
import secrets
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping

from spine_tf.dicom import reasons
from spine_tf.rsna import layout, zip_members
from spine_tf.studies import (
    identities as identities_module,
    inventory as inventory_module,
    outcome,
    pile as pile_module,
    pile_image,
    steps as steps_module,
)
from tfrecords import words

_SIDE = "test"
# Each member of a zip has an entry in its directory, which begins with this.
_ENTRY = b"PK\1\2"

Check = Callable[[], None]
"""Called before each file is read; raises what ends the work."""


class TooMuch(ValueError):
    """What was sent is more than is taken."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What a zip may hold.

    Attributes:
        num_members: files in it.
        num_bytes: of all of them, unpacked.
        num_pixels: of all MR images in them.
    """

    num_members: int = 10_000
    num_bytes: int = 2**31
    num_pixels: int = 2**29


@dataclasses.dataclass(frozen=True, kw_only=True)
class Images:
    """The images of a study in the RSNA layout's names, in memory; a `sources.Source`.

    Attributes:
        files: by name.
        check: see `Check`.
    """

    files: Mapping[str, bytes] = dataclasses.field(repr=False)
    check: Check

    @property
    def side(self) -> str:
        """Returns "test"."""
        return _SIDE

    def read(self, name: str, limit: int = -1) -> bytes:
        """Returns a file's bytes, the first `limit` of them."""
        self.check()
        if name not in self.files:
            raise FileNotFoundError(errno.ENOENT, "there is no such file", name)
        data = self.files[name]
        return data if limit < 0 else data[:limit]

    def instances(self, study_id: int, series_id: int) -> list[int]:
        """Returns the instance numbers of a series, sorted."""
        return sorted(self.sizes(study_id, series_id))

    def sizes(self, study_id: int, series_id: int) -> dict[int, int]:
        """Returns the bytes of a series' files, by instance number."""
        folder = layout.series_dir(_SIDE, study_id, series_id) + "/"
        found = {
            layout.instance_number(name.removeprefix(folder)): len(data)
            for name, data in self.files.items()
            if name.startswith(folder)
        }
        return {number: size for number, size in found.items() if number is not None}

    def image_names(self) -> Iterator[str]:
        """Yields the images."""
        return iter(self.files)

    def narrowed(self, series: Collection[tuple[int, int]]) -> "Images":
        """Returns itself."""
        return self


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldStudy:
    """A study that can be read.

    Attributes:
        study_id: digits that say nothing of whose it is; others each time.
        series: description of each of its series, the best of a kind first.
        images: its images.
        left_out: how many files of the zip are none of them, by reason.
    """

    study_id: int
    series: Mapping[int, str]
    images: Images
    left_out: Mapping[str, int]

    @property
    def num_bytes(self) -> int:
        """How much memory its images take."""
        return sum(map(len, self.images.files.values()))

    def checked(self, check: Check) -> "HeldStudy":
        """Returns the same study, whose images are read while `check` lets them be."""
        return dataclasses.replace(self, images=dataclasses.replace(self.images, check=check))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Checked:
    """A pile that asks before each file; a `pile.Pile`."""

    pile: pile_module.Pile
    check: Check

    def files(self) -> Iterator[pile_module.File]:
        return self.pile.files()

    def read(self, file: pile_module.File, limit: int) -> bytes:
        self.check()
        return self.pile.read(file, limit)

    def path(self, file: pile_module.File) -> None:
        """None: nothing of it is a file."""


def hold(
    data: bytes, *, check: Check, min_slices: int = 5, limits: Limits | None = None
) -> HeldStudy:
    """Finds the one study of lumbar MRI in a zip, as `organizing.organize` does.

    Args:
        data: the zip.
        check: called before each file is read.
        min_slices: slices that a series must have at least.
        limits: what it may hold.

    Raises:
        TooMuch: it holds more.
        ValueError: it is no zip, or has no study of lumbar MRI in it, or several.
    """
    archive = _open(data, limits or Limits())
    pile = _Checked(pile=archive, check=check)
    with contextlib.closing(inventory_module.Inventory(None)) as inventory:
        inventory.update(pile.files())
        steps = steps_module.Steps(pile=pile, num_workers=0)
        steps.read(inventory)
        _require_pixels(inventory, limits or Limits())
        return _settle(steps, inventory, min_slices)


def _open(data: bytes, limits: Limits) -> pile_module.Zip:
    """Looks at how much there is before anything is made of it."""
    if not zipfile.is_zipfile(received := zip_members.Received(data=data).open()):
        raise ValueError(
            "what was sent is no zip file, or not all of one: expected one of DICOM files"
        )
    received.close()
    if (num_members := data.count(_ENTRY)) > limits.num_members:
        raise TooMuch(
            f"the zip file has {num_members} members, expected at most {limits.num_members}: send "
            "the study alone"
        )
    archive = pile_module.Zip(archive=zip_members.Received(data=data))
    num_bytes = sum(file.num_bytes for file in archive.files())
    if num_bytes > limits.num_bytes:
        raise TooMuch(
            f"the zip file unpacks to {num_bytes} bytes, expected at most {limits.num_bytes}: send "
            "the study alone"
        )
    return archive


def _require_pixels(inventory: inventory_module.Inventory, limits: Limits) -> None:
    num_pixels = inventory.num_pixels()
    if num_pixels > limits.num_pixels:
        raise TooMuch(
            f"the MR images have {num_pixels} pixels, expected at most {limits.num_pixels}: send "
            "the study alone"
        )


def _settle(
    steps: steps_module.Steps, inventory: inventory_module.Inventory, min_slices: int
) -> HeldStudy:
    """Decides, and reads what is kept; anew where an image can't be read."""
    identities = identities_module.Identities(key=secrets.token_bytes(32))
    while True:
        steps.decide(inventory, identities, min_slices)
        steps.leave_out_same_pixels(inventory)
        kept = inventory.kept_series(_SIDE)
        studies = {study for study, _, _ in kept}
        if len(studies) != 1:
            raise ValueError(_not_one(len(studies), inventory, min_slices))
        files: dict[str, bytes] = {}
        if all([_read(steps.pile, inventory, files, *ids) for *ids, _ in kept]):
            return HeldStudy(
                study_id=kept[0][0],
                series={series: kind for _, series, kind in kept},
                images=Images(files=files, check=lambda: None),
                left_out=inventory.left_out(),
            )
        inventory.forget_decisions()


def _read(
    pile: pile_module.Pile,
    inventory: inventory_module.Inventory,
    files: dict[str, bytes],
    study: int,
    series: int,
) -> bool:
    """Adds the images of a series; whether all could be read."""
    images = inventory.images_of(series)
    numbers = {(file.name, frame): number for file, frame, number in images}
    is_whole = True
    with pile_image.quiet():
        shown = [(file, frame) for file, frame, _ in images]
        for file, frame, data in pile_image.read_files(pile, shown):
            if isinstance(data, reasons.Rejected):
                inventory.add_read(file, outcome.of_reject(data))
                is_whole = False
            else:
                number = numbers[file.name, frame]
                files[layout.image_name(_SIDE, study, series, number)] = data
    return is_whole


def _not_one(num_studies: int, inventory: inventory_module.Inventory, min_slices: int) -> str:
    if num_studies:
        return f"there are {num_studies} studies of lumbar MRI in it, expected one: send each alone"
    reasons = inventory.why_left_out()
    return (
        "no series of lumbar MRI is in it; left out: "
        f"{words.counted(inventory.count('files'), 'file')}"
        f"{f' ({reasons})' if reasons else ''}: send all images of a study of the lumbar spine, of "
        f"which a series has {words.counted(min_slices, 'slice')} or more"
    )
