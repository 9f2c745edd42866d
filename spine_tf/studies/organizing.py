"""From a pile of files to the RSNA layout: listed, read, decided, placed, and written down."""

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Sequence

from absl import logging

from spine_tf.processes import lock as lock_module
from spine_tf.rsna import layout
from spine_tf.studies import (
    database,
    identities as identities_module,
    inventory as inventory_module,
    label_file,
    outcome,
    output_tables,
    own_labels,
    pile as pile_module,
    pile_image,
    placing,
    steps as steps_module,
)
from tfrecords import atomic, file_system, output_place, words


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What decides what is found.

    Attributes:
        min_slices: slices that a series must have at least.
        labels: the user's own; None where there are none.
    """

    min_slices: int = 5
    labels: label_file.OwnLabels | None = None

    def __post_init__(self) -> None:
        if self.min_slices < 1:
            raise ValueError(f"--min_slices is {self.min_slices}, expected 1 or more")


def private_dir(output_dir: pathlib.Path) -> pathlib.Path:
    """Returns where what identifies patients goes: beside the data set, never in it."""
    if output_dir.name in ("", "..") or output_dir.is_symlink():
        output_dir = output_dir.resolve()
    if not output_dir.name:
        raise ValueError(f"--output_dir is {output_dir}, expected a folder of its own")
    return output_dir.with_name(f"{output_dir.name}.private")


def organize(
    dicom_dir: pathlib.Path, output_dir: pathlib.Path, settings: Settings, *, num_workers: int
) -> output_tables.Summary:
    """Finds the series in a pile and writes them in the RSNA layout.

    Files that were read before are not read again: a killed run goes on, and new files in the pile
    are added, by the same call. The pile itself is never changed.

    Example:
        >>> import pathlib
        >>> from spine_tf.studies import organizing
        >>> dicom_dir, output_dir = pathlib.Path("export"), pathlib.Path("studies")
        >>> settings = organizing.Settings(min_slices=5)
        >>> found = organizing.organize(dicom_dir, output_dir, settings, num_workers=2)

    Args:
        dicom_dir: a folder, or a zip file.
        output_dir: new, empty, or what an earlier call wrote from the same pile.
        settings: what decides what is found.
        num_workers: processes.

    Raises:
        ValueError: there is no such pile, or the directory holds something else.
        OSError: the directory can't be written.
    """
    pile = pile_module.open_pile(dicom_dir)
    _check_places(dicom_dir, output_dir)
    private = private_dir(output_dir)
    output_place.require_directory(private, "what goes beside --output_dir,")
    is_begun = (private / inventory_module.FILE_NAME).exists()
    if not is_begun and next(pile.files(), None) is None:
        raise ValueError(f"there is no file in {dicom_dir}, expected DICOM files of lumbar MRI")
    private.mkdir(parents=True, exist_ok=True)
    file_system.restrict(private, 0o700)
    with lock_module.lock_directory(private, owner="organize") as descriptor:
        steps = steps_module.Steps(pile=pile, num_workers=num_workers, inherited=[descriptor])
        run = _Run(steps=steps, output_dir=output_dir)
        identities = identities_module.open_key(private)
        path = private / inventory_module.FILE_NAME
        with (
            database.explained(path),
            contextlib.closing(inventory_module.Inventory(path)) as inventory,
        ):
            _require_same_pile(inventory, dicom_dir, output_dir)
            inventory.update(pile.files())
            num_unread = inventory.count("files", "NOT is_read")
            logging.info(
                "%s, %d of them to be read",
                words.counted(inventory.count("files"), "file"),
                num_unread,
            )
            steps.read(inventory)
            given = _settle(run, inventory, identities, settings)
            return output_tables.write(inventory, given, output_dir, private, settings.min_slices)


def _settle(
    run: "_Run",
    inventory: inventory_module.Inventory,
    identities: identities_module.Identities,
    settings: Settings,
) -> own_labels.Matched:
    """Decides and places; anew where an image can't be read, since series then lack it."""
    while True:
        run.steps.decide(inventory, identities, settings.min_slices)
        run.steps.leave_out_same_pixels(inventory)
        with pile_image.quiet():
            given = own_labels.match(inventory, settings.labels)
        if run.place(inventory):
            return given
        inventory.forget_decisions()


def _check_places(dicom_dir: pathlib.Path, output_dir: pathlib.Path) -> None:
    outside = dicom_dir.resolve()
    for inside in (output_dir.resolve(), private_dir(output_dir).resolve()):
        if not (inside.is_relative_to(outside) or outside.is_relative_to(inside)):
            continue
        raise ValueError(
            f"--output_dir {inside} and --dicom_dir {dicom_dir} lie in each other: choose a "
            "--output_dir beside the files"
        )
    if atomic.contents(output_dir) and not private_dir(output_dir).is_dir():
        raise ValueError(
            f"--output_dir {output_dir} is not empty, and {private_dir(output_dir).name} is not "
            "beside it: choose a new one"
        )


def _require_same_pile(
    inventory: inventory_module.Inventory, dicom_dir: pathlib.Path, output_dir: pathlib.Path
) -> None:
    """Files are known by their names in the pile: another pile has other files of these names."""
    known, place = inventory.fact("dicom_dir"), str(dicom_dir.resolve())
    if known not in (None, place):
        raise ValueError(
            f"--output_dir {output_dir} holds the studies of {known}: add the new files there, or "
            f"choose another --output_dir; with a copy of {private_dir(output_dir).name}/"
            f"{identities_module.KEY_FILE} beside it, studies get the same ids"
        )
    inventory.note("dicom_dir", place)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Run:
    """The steps, and what puts series in their places."""

    steps: steps_module.Steps
    output_dir: pathlib.Path

    def place(self, inventory: inventory_module.Inventory) -> bool:
        """Puts the images where they belong, and takes away what an earlier call put elsewhere.

        Returns:
            Whether all could be read.
        """
        self._remove_leftovers()
        wanted, placed = inventory.places(), inventory.placed()
        # Also what an inventory that is gone knew of.
        there = placing.list_series(self.output_dir)
        stale = sorted((placed.keys() | there) - wanted.keys())
        missing = [
            place
            for place in wanted.values()
            if placed.get(place.folder) != place.digest or not self._has_all(place)
        ]
        if stale or missing:
            output_tables.remove(self.output_dir)
        for folder in stale:
            placing.remove_series(self.output_dir / folder)
            inventory.note_placed(folder, None)
        for place in missing:
            inventory.note_placed(place.folder, "")
        try:
            return self._place(inventory, missing)
        finally:  # where one worker fails, others end in the middle of a series
            self._remove_leftovers()

    def _remove_leftovers(self) -> None:
        for side in layout.SIDES:
            placing.remove_leftovers(self.output_dir / layout.images_dir(side))

    def _has_all(self, place: inventory_module.Place) -> bool:
        folder = self.output_dir / place.folder
        return folder.is_dir() and len(list(folder.iterdir())) == place.num_images

    def _place(
        self, inventory: inventory_module.Inventory, places: Sequence[inventory_module.Place]
    ) -> bool:
        def task(index: int) -> placing.Task:
            images = inventory.images_of(places[index].series)
            return placing.Task(place=places[index], images=tuple(images))

        place = functools.partial(placing.place, pile=self.steps.pile, output_dir=self.output_dir)
        tasks = database.Lazy(len(places), task)
        num_failures = 0
        for placed in self.steps.results(place, tasks, "images", " series"):
            target = placed.task.place
            for file, why in placed.failures:
                inventory.add_read(file, why)
            num_failures += len(placed.failures)
            inventory.note_placed(target.folder, "" if placed.failures else target.digest)
        return not num_failures


def summarize(found: output_tables.Summary, output_dir: pathlib.Path) -> str:
    """Returns what became of a pile, in lines; of one without a study why."""
    left_out = _left_out_in_words(found)
    if not found.num_studies:
        return "\n".join(left_out)
    kept = [f"{count} {kind}" for kind, count in found.num_series.items()]
    lines = [f"{words.counted(found.num_studies, 'study')}: {', '.join(kept)}"]
    lacking = [f"{count} have no {kind}" for kind, count in found.lacking.items() if count]
    if lacking:
        lines.append(f"of these {', '.join(lacking)}")
    lines += left_out
    if found.labels:
        rows = ", ".join(f"{count} {status}" for status, count in found.labels.items())
        lines.append(
            f"rows of labels: {rows}; {words.counted(found.num_labelled, 'study')} of "
            f"{words.counted(found.num_patients, 'patient')} on the train side"
        )
    private = private_dir(output_dir)
    lines += [
        f"data set: {output_dir}",
        f"private: {private}, which says whose the ids are and what became of every file",
        "the images are your files themselves, by hard links where that can be: what changes one "
        "changes both. Their headers hold names: before you pass a data set on, deidentify copies "
        "of your files and organize those",
    ]
    return "\n".join(lines)


def _left_out_in_words(found: output_tables.Summary) -> list[str]:
    """How many files are left out, and of each reason what is said of one of its files."""
    num_left_out = sum(found.left_out.values())
    lines = [f"left out: {num_left_out} of {words.counted(found.num_files, 'file')}"]
    for reason, count in found.left_out.items():
        flag = " (--min_slices)" if reason == outcome.Reason.TOO_FEW else ""
        lines.append(f"  {count:8} {reason}, such as: {found.details[reason]}{flag}")
    return lines
