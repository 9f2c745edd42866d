"""Writes a whole phantom data set: `write_studies(config, output_dir, num_workers=2)`.

Below the output directory stand the files of the RSNA 2024 layout (train.csv,
train_label_coordinates.csv, train_series_descriptions.csv, train_images/,
test_series_descriptions.csv, test_images/) and what only a phantom can tell: truth.json (ceilings,
planted errors) and truth.csv (latent and probabilities of each row's grades).
"""

import dataclasses
import functools
import pathlib
from collections.abc import Iterable

import tqdm

from spine_tf import labels
from spine_tf.processes import pool
from spine_tf.synthesis import layout, settings, study, truth
from tfrecords import atomic


def write_studies(
    config: settings.PhantomConfig, output_dir: pathlib.Path, *, num_workers: int = 1
) -> None:
    """Writes the train and the test side; the same bytes for any number of workers.

    `train.csv` comes last: a directory without it is not complete.

    Args:
        config: what to write.
        output_dir: a new or empty directory.
        num_workers: processes that draw and write studies.

    Raises:
        ValueError: the directory is not empty, or `num_workers` is not positive.
        OSError: the disk is full, or a worker died twice on a study.
    """
    if num_workers < 1:
        raise ValueError(f"workers is {num_workers}, expected at least 1")
    _require_empty(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    studies = functools.partial(_write_images, config, output_dir, num_workers)
    first_test = config.num_studies
    with layout.TestTables(output_dir) as test_tables:
        for result in studies("test", range(first_test, first_test + config.num_test_studies)):
            test_tables.add(result)
    with layout.TrainTables(output_dir) as train_tables:
        _write_truth(config, output_dir, train_tables, studies("train", range(config.num_studies)))


def _require_empty(output_dir: pathlib.Path) -> None:
    if output_dir.exists() and not output_dir.is_dir():
        raise ValueError(f"{output_dir} is a file, expected a new or empty directory")
    if not output_dir.exists() or not any(output_dir.iterdir()):
        return
    is_complete = (output_dir / "train.csv").exists()
    state = "is not empty" if is_complete else "is not empty and holds no complete data set"
    raise ValueError(f"{output_dir} {state}: remove it, or name another directory")


def _write_truth(
    config: settings.PhantomConfig,
    output_dir: pathlib.Path,
    tables: layout.TrainTables,
    studies: Iterable[study.Study],
) -> None:
    ceilings = {name: truth.Ceiling(labels.TASKS[name]) for name in labels.WHOLE_TASKS}
    planted_errors = []
    for result in studies:
        tables.add(result)
        for ceiling in ceilings.values():
            ceiling.add(result.latents, result.grades)
        planted_errors += [dataclasses.asdict(error) for error in result.planted_errors]
    content = truth.describe(ceilings)
    content["config"] = dataclasses.asdict(config)
    content["planted_errors"] = planted_errors
    atomic.write_json(output_dir / "truth.json", content)


def _write_images(
    config: settings.PhantomConfig,
    output_dir: pathlib.Path,
    num_workers: int,
    side: str,
    indices: range,
) -> Iterable[study.Study]:
    write = functools.partial(_write_study, config, str(output_dir / f"{side}_images"))
    results: Iterable[study.Study] = map(write, indices)
    if num_workers > 1:
        results = pool.run_tasks(
            write,
            indices,
            num_workers=num_workers,
            name_of=lambda index: f"study {index}",
            is_in_order=True,
        )
    return tqdm.tqdm(results, total=len(indices), desc=f"{side} studies", disable=None)


def _write_study(config: settings.PhantomConfig, images_dir: str, index: int) -> study.Study:
    return study.write_study(config, index, pathlib.Path(images_dir))
