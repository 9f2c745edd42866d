"""Writes a whole phantom data set: `write_studies(config, output_dir, num_workers=2)`.

Below the output directory stand the files of the RSNA 2024 layout (train.csv,
train_label_coordinates.csv, train_series_descriptions.csv, train_images/,
test_series_descriptions.csv, test_images/) and what only a phantom can tell: truth.json (ceilings,
planted errors and oddities) and truth.csv (latent and probabilities of each row's grades). Varied
studies have truth_anatomy.csv and truth_discs.csv too, all discs in view under their true names.
With oddities, late_images/ has the images that come late, to be moved into train_images/. While
unfinished.json lies there, the same call goes on.
"""

import contextlib
import csv
import dataclasses
import functools
import io
import json
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from absl import logging

from spine_tf import labels
from spine_tf.configuration import differences
from spine_tf.processes import lock, pool
from spine_tf.rsna import layout
from spine_tf.synthesis import (
    annotation,
    disc_truth,
    evidence,
    grading,
    phantom_config,
    study as study_module,
)
from tfrecords import atomic, json_object, progress

_UNFINISHED = "unfinished.json"

Row = tuple[Any, ...]


def write_studies(
    config: phantom_config.PhantomConfig, output_dir: pathlib.Path, *, num_workers: int = 1
) -> None:
    """Writes the train and the test side; the same bytes for any number of workers.

    `train.csv` comes last: a directory without it is not complete. A call that was killed is gone
    on with by the same call: studies whose images are all there are not imaged again.

    Args:
        config: what to write.
        output_dir: a new or empty directory, or an unfinished one of this configuration.
        num_workers: processes that draw and write studies.

    Raises:
        ValueError: the directory holds something else, or `num_workers` is not positive.
        OSError: the disk is full, or a worker died twice on a study.
    """
    if num_workers < 1:
        raise ValueError(f"workers is {num_workers}, expected at least 1")
    output_dir.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        output_dir.mkdir()
    with lock.lock_directory(output_dir, owner="phantom") as descriptor:
        _begin(config, output_dir)
        studies = functools.partial(_write_images, config, output_dir, num_workers, descriptor)
        first_test = config.num_studies
        with open_tables(output_dir, TEST_TABLES) as add:
            for study in studies("test", range(first_test, first_test + config.num_test_studies)):
                add(study)
        tables = TRAIN_TABLES + (VARIED_TABLES if config.varied else ())
        tables += (EVIDENCE_TABLE,) if config.edition > 1 else ()
        with open_tables(output_dir, tables) as add:
            _write_truth(config, output_dir, add, studies("train", range(config.num_studies)))
        (output_dir / _UNFINISHED).unlink()


def _begin(config: phantom_config.PhantomConfig, output_dir: pathlib.Path) -> None:
    """Marks the directory as one of this configuration, unless it is marked so already."""
    marker = output_dir / _UNFINISHED
    wanted = json.loads(json.dumps(phantom_config.to_dict(config)))
    if not marker.exists():
        require_empty(output_dir)
        atomic.write_json(marker, wanted)
        return
    stored = json_object.read(
        marker, expected="settings of a phantom", mend=f"remove {output_dir} and start anew"
    )
    found = differences.differences(stored, wanted)
    if found:
        raise ValueError(
            f"{output_dir} holds an unfinished data set of other settings "
            f"({differences.in_words(found)}): finish it with those, remove it, or name another "
            "directory"
        )
    logging.info("going on with the data set in %s", output_dir)


def require_empty(output_dir: pathlib.Path) -> None:
    """Refuses a directory that isn't new or empty; ValueError says what to do."""
    if output_dir.exists() and not output_dir.is_dir():
        raise ValueError(f"{output_dir} is a file, expected a new or empty directory")
    if not output_dir.exists() or not atomic.contents(output_dir):
        return
    is_complete = (output_dir / layout.LABELS_CSV).exists()
    state = "is not empty" if is_complete else "is not empty and holds no complete data set"
    raise ValueError(f"{output_dir} {state}: remove it, or name another directory")


def _write_images(
    config: phantom_config.PhantomConfig,
    output_dir: pathlib.Path,
    num_workers: int,
    descriptor: int,
    side: str,
    indices: range,
) -> Iterable[study_module.Study]:
    images_dir = output_dir / layout.images_dir(side)
    write = functools.partial(study_module.write_study, config, images_dir)
    results: Iterable[study_module.Study] = map(write, indices)
    if num_workers > 1:
        results = pool.run_tasks(
            write,
            indices,
            num_workers=num_workers,
            name_of=lambda index: f"study {index}",
            is_in_order=True,
            inherited=(descriptor,),
        )
    with progress.counting(f"{side} side", total=len(indices), unit="study") as count:
        for study in results:
            yield study
            count.add()


def _write_truth(
    config: phantom_config.PhantomConfig,
    output_dir: pathlib.Path,
    add: Callable[[study_module.Study], None],
    studies: Iterable[study_module.Study],
) -> None:
    """Writes truth.json, and the studies' rows on the way."""
    ceilings = {name: grading.Ceiling(labels.TASKS[name]) for name in labels.WHOLE_TASKS}
    planted_errors = []
    planted_oddities = []
    for study in studies:
        add(study)
        for ceiling in ceilings.values():
            ceiling.add(evidence.grade_probabilities(study.shown), study.grades)
        planted_errors += [dataclasses.asdict(error) for error in study.planted_errors]
        planted_oddities += [dataclasses.asdict(oddity) for oddity in study.planted_oddities]
    content = grading.describe(ceilings)
    content["config"] = phantom_config.to_dict(config)
    content["planted_errors"] = planted_errors
    if config.with_oddities:
        content["planted_oddities"] = planted_oddities
    atomic.write_json(output_dir / "truth.json", content)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A CSV of a data set: its file, its columns, and the rows that a study has in it."""

    name: str
    columns: tuple[str, ...]
    rows_of: Callable[[Any], Iterable[Row]]


@contextlib.contextmanager
def open_tables(
    output_dir: pathlib.Path, tables: Sequence[Table]
) -> Iterator[Callable[[Any], None]]:
    """Gives what adds a study to CSVs; they get their names as the block ends without an error.

    Args:
        output_dir: where they are written.
        tables: the first one gets its name last.
    """
    with contextlib.ExitStack() as stack:
        writers = [
            (table, stack.enter_context(_open_csv(output_dir / table.name, table.columns)))
            for table in tables
        ]

        def add(study: Any) -> None:
            for table, writer in writers:
                writer.writerows(table.rows_of(study))

        yield add


@contextlib.contextmanager
def _open_csv(path: pathlib.Path, columns: Sequence[str]) -> Iterator[Any]:
    with atomic.open_binary(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        yield writer
        text.detach()  # flushes, and leaves the file open


def _grade_rows(study: study_module.Study) -> Iterable[Row]:
    grades = (labels.SEVERITIES[grade] if grade >= 0 else "" for grade in study.grades.ravel())
    yield (study.spelled_id, *grades)


def _truth_rows(study: study_module.Study) -> Iterable[Row]:
    probabilities = evidence.grade_probabilities(study.shown)
    for row, condition in enumerate(labels.CONDITIONS):
        for column, level in enumerate(labels.LEVELS):
            figures = (study.latents[row, column], *probabilities[row, column])
            yield (study.spelled_id, condition, level, *(f"{figure:.6f}" for figure in figures))


def _evidence_rows(study: study_module.Study) -> Iterable[Row]:
    """What is seen of each target, and by the width of the canal; then what follows alone."""
    own = evidence.grade_probabilities(study.shown, evidence.OWN_VIEW)
    level = evidence.grade_probabilities(study.shown, evidence.LEVEL)
    for row, condition in enumerate(labels.CONDITIONS):
        for column, name in enumerate(labels.LEVELS):
            figures = (
                *(study.shown.targets[row, column], study.shown.width[column]),
                *(*own[row, column], *level[row, column]),
            )
            yield (study.spelled_id, condition, name, *(f"{figure:.6f}" for figure in figures))


def _coordinate_rows(study: study_module.Study) -> Iterable[Row]:
    return ((study.spelled_id, *_coordinates(mark)) for mark in study.annotations)


def _coordinates(mark: annotation.Annotation) -> Row:
    """The row as the real file spells it: `Left Subarticular Stenosis`, `L4/L5`."""
    return (
        mark.series_id,
        mark.instance_number,
        mark.condition.replace("_", " ").title(),
        mark.level.replace("_", "/").upper(),
        f"{mark.x:.6f}",
        f"{mark.y:.6f}",
    )


def _series_rows(study: study_module.Study) -> Iterable[Row]:
    return ((study.spelled_id, *series) for series in study.series)


def _disc_rows(study: study_module.Study) -> Iterable[Row]:
    return ((study.spelled_id, *place.cells()) for place in study.places)


def _anatomy_rows(study: study_module.Study) -> Iterable[Row]:
    kind = study.kind
    found = sorted({lesion.kind for lesion in study.lesions})
    yield study.spelled_id, kind.num_lumbar, kind.transition, f"{kind.age:.1f}", " ".join(found)


_TARGETS = tuple(
    f"{condition}_{level}" for condition in labels.CONDITIONS for level in labels.LEVELS
)
_SERIES_COLUMNS = ("study_id", "series_id", "series_description")

# The first one gets its name last: a directory without it is not complete.
TRAIN_TABLES = (
    Table(name=layout.LABELS_CSV, columns=("study_id", *_TARGETS), rows_of=_grade_rows),
    Table(
        name="truth.csv",
        columns=("study_id", "condition", "level", "latent", *labels.SEVERITY_COLUMNS),
        rows_of=_truth_rows,
    ),
    Table(
        name=layout.coordinates_csv("train"),
        columns=("study_id", "series_id", "instance_number", "condition", "level", "x", "y"),
        rows_of=_coordinate_rows,
    ),
    Table(name=layout.series_csv("train"), columns=_SERIES_COLUMNS, rows_of=_series_rows),
)
EVIDENCE_TABLE = Table(
    name="truth_evidence.csv",
    columns=(
        *("study_id", "condition", "level", "seen", "seen_width"),
        *(f"{name}_own_view" for name in labels.SEVERITY_COLUMNS),
        *(f"{name}_of_level" for name in labels.SEVERITY_COLUMNS),
    ),
    rows_of=_evidence_rows,
)
VARIED_TABLES = (
    Table(name="truth_discs.csv", columns=("study_id", *disc_truth.COLUMNS), rows_of=_disc_rows),
    Table(
        name="truth_anatomy.csv",
        columns=("study_id", "num_lumbar", "transition", "age", "lesions"),
        rows_of=_anatomy_rows,
    ),
)
TEST_TABLES = (
    Table(name=layout.series_csv("test"), columns=_SERIES_COLUMNS, rows_of=_series_rows),
)
