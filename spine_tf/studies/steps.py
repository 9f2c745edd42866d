"""From a pile to decisions on its series, step by step: listed, read, decided, compared."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from spine_tf.processes import pool
from spine_tf.studies import (
    deciding,
    identities as identities_module,
    inventory as inventory_module,
    outcome,
    pile as pile_module,
    pile_image,
)
from tfrecords import progress

Files = list[pile_module.File]
Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Steps:
    """The steps that read files, by processes.

    Attributes:
        pile: the files.
        num_workers: processes; 0 is this one.
        inherited: descriptors that workers don't keep.
    """

    pile: pile_module.Pile
    num_workers: int
    inherited: Sequence[int] = ()

    def read(self, inventory: inventory_module.Inventory) -> None:
        """Reads the headers that are not known yet, of files that are listed."""
        read = functools.partial(_read_files, pile=self.pile)
        for found in self.results(read, inventory.unread(), "headers", " x 256 files"):
            with inventory.transaction():
                for file, images in found:
                    inventory.add_read(file, images)

    def decide(
        self,
        inventory: inventory_module.Inventory,
        identities: identities_module.Identities,
        min_slices: int,
    ) -> None:
        """Finds the series of each study and what becomes of them."""
        inventory.leave_out_duplicates()
        decide = functools.partial(
            deciding.decide_study, pile=self.pile, identities=identities, min_slices=min_slices
        )
        for study in self.results(decide, inventory.studies(), "series", " studies"):
            with inventory.transaction():
                inventory.add_study(study)

    def leave_out_same_pixels(self, inventory: inventory_module.Inventory) -> None:
        """Of series that show the same pixels at the same places, keeps the first."""
        hash_series = functools.partial(_hash_series, pile=self.pile)
        first: dict[tuple[str, str], int] = {}
        found = self.results(hash_series, inventory.alike(), "pixels", " series", is_in_order=True)
        for series, geometry, digest in found:
            if digest is None:
                continue
            same = first.setdefault((geometry, digest), series)
            if same != series:
                detail = f"the pixels of series {same}, at the same places"
                why = outcome.LeftOut(reason=outcome.Reason.SAME_PIXELS, detail=detail)
                inventory.leave_out_series(series, why)

    def results(
        self,
        function: Callable[[Task], Result],
        tasks: pool.Tasks[Task],
        doing: str,
        unit: str,
        *,
        is_in_order: bool = False,
    ) -> Iterator[Result]:
        """Yields what becomes of tasks, and shows how far that is."""
        found = pool.run_tasks(
            function,
            tasks,
            num_workers=self.num_workers,
            name_of=lambda task: f"a batch of {doing}",
            is_in_order=is_in_order,
            inherited=self.inherited,
        )
        shown = progress.counting(doing, total=len(tasks), unit=unit)
        with shown as count, contextlib.closing(found):
            for result in found:
                yield result
                count.add()


def _read_files(
    files: Files, *, pile: pile_module.Pile
) -> list[tuple[pile_module.File, list[pile_image.Entry] | outcome.LeftOut]]:
    with pile_image.quiet():
        return [(file, pile_image.read_entries(pile, file)) for file in files]


def _hash_series(
    task: tuple[int, str, Sequence[tuple[pile_module.File, int, int]]], *, pile: pile_module.Pile
) -> tuple[int, str, str | None]:
    series, geometry, images = task
    shown = [(file, frame) for file, frame, _ in images]
    return series, geometry, deciding.hash_pixels(shown, pile=pile)
