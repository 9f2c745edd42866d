"""Which kind a series is: how often right, with and without times and descriptions.

python benchmarks/series_kinds.py [--seeds 100,101,102] [--num_studies 8]

Writes a hospital's pile a seed, small ones, and compares what is decided of each series with the
pile's truth: as it is, without TE, TR, TI and sequences, without descriptions, without both. Series
that nobody can name without them, such as proton density or the cervical spine, count too: a name
for one of those is an invented series.
"""

import csv
import dataclasses
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from absl import app, flags

from spine_tf.studies import (
    deciding,
    exclusion,
    pile as pile_module,
    pile_image,
    series,
    series_kind,
    stack as stack_module,
)
from spine_tf.synthesis import hospital, phantom_config

_NO_TIMES: Mapping[str, Any] = dict.fromkeys(
    ("echo_time", "repetition_time", "inversion_time", "scanning_sequence")
)
_NO_WORDS: Mapping[str, Any] = dict.fromkeys(
    ("series_description", "protocol_name", "sequence_name")
)
_CASES: Mapping[str, Mapping[str, Any]] = {
    "whole headers": {},
    "without TE, TR, TI": _NO_TIMES,
    "without descriptions": _NO_WORDS,
    "without both": {**_NO_TIMES, **_NO_WORDS},
}
_MIN_SLICES = 5

_SEEDS = flags.DEFINE_list("seeds", ["100", "101", "102"], "A pile each.")
_NUM_STUDIES = flags.DEFINE_integer("num_studies", 8, "Of a pile.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """A series of a pile, and what it is."""

    truth: str
    num_images: int
    stack: stack_module.Stack
    read_pixels: Callable[[], list[np.ndarray]]


def find_series(output_dir: pathlib.Path) -> Iterator[Found]:
    """Yields the series of a hospital's pile."""
    with (output_dir / hospital.TRUTH_CSV).open(encoding="utf-8", newline="") as truth_file:
        truth = {row["file"]: row for row in csv.DictReader(truth_file)}
    pile = pile_module.open_pile(output_dir / hospital.PILE)
    studies: dict[str, list[pile_image.Image]] = {}
    files = {file.name: file for file in pile.files()}
    for name, file in files.items():
        is_copy = truth[name]["copy"] == "1"
        entries = [] if is_copy else pile_image.read_entries(pile, file)
        for entry in entries if isinstance(entries, list) else []:
            image = pile_image.from_json(name, entry.frame, entry.header)
            studies.setdefault(entry.study, []).append(image)
    for images in studies.values():
        for each in series.find_series(images):
            yield Found(
                truth=truth[each.images[0].file]["truth"],
                num_images=len(each.images),
                stack=series.make_stack(each.largest),
                read_pixels=deciding.make_reader(each.largest, files, pile),
            )


def decide(found: Found, hidden: Mapping[str, Any]) -> series_kind.Decision:
    """Returns what is decided of a series, some of its header unknown."""
    shown = dataclasses.replace(found.stack, **hidden)
    if found.num_images < _MIN_SLICES or exclusion.why_left_out(shown):
        return series_kind.Decision(kind=None, confidence=1.0, reason="left out")
    return series_kind.decide(shown, found.read_pixels)


def main(_: list[str]) -> None:
    """Prints the table."""
    found: list[Found] = []
    with tempfile.TemporaryDirectory() as directory:
        for seed in map(int, _SEEDS.value):
            config = phantom_config.PhantomConfig(
                num_studies=_NUM_STUDIES.value,
                seed=seed,
                axial_px=(96,),
                sagittal_px=(96, 112),
                sagittal_slices=9,
            )
            hospital.write_pile(config, pathlib.Path(directory, str(seed)))
            found += find_series(pathlib.Path(directory, str(seed)))
        print("header | graded series | named right | named wrong | others | named | confidence")
        for name, hidden in _CASES.items():
            _print_row(name, [(each.truth, decide(each, hidden)) for each in found])


def _print_row(name: str, decided: list[tuple[str, series_kind.Decision]]) -> None:
    kinds = set(series_kind.KINDS.values())
    graded = [(truth, decision) for truth, decision in decided if truth in kinds]
    right = sum(truth == decision.kind for truth, decision in graded)
    wrong = sum(decision.kind not in (None, truth) for truth, decision in graded)
    others = [decision for truth, decision in decided if truth not in kinds]
    named = [
        (decision.confidence, truth == decision.kind)
        for truth, decision in decided
        if decision.kind
    ]
    confidence, share = np.mean(named, axis=0)
    print(
        f"{name} | {len(graded)} | {right} ({right / len(graded):.3f}) | {wrong} | {len(others)} | "
        f"{sum(d.kind is not None for d in others)} | {confidence:.3f} for {share:.3f} right"
    )


if __name__ == "__main__":
    app.run(main)
