"""Writes a whole phantom data set: `write_studies(config, output_dir, workers=2)`."""

import functools
import multiprocessing
import pathlib
from collections.abc import Callable, Iterator

import tqdm

from spine_tf.phantom import layout, settings, study


def write_studies(
    config: settings.PhantomConfig, output_dir: pathlib.Path, *, workers: int = 1
) -> None:
    """Writes the train and the test side; the same bytes for any number of workers.

    `train.csv` is written last: a directory without it is not complete.

    Args:
        config: what to write.
        output_dir: a new or empty directory.
        workers: processes that draw and write studies.

    Raises:
        ValueError: the directory is not empty, or `workers` is not positive.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}, expected at least 1")
    if output_dir.exists() and (not output_dir.is_dir() or any(output_dir.iterdir())):
        raise ValueError(
            f"{output_dir} exists and is not an empty directory: remove it or name another one"
        )
    output_dir.mkdir(parents=True, exist_ok=True)
    test_indices = range(config.num_studies, config.num_studies + config.num_test_studies)
    for side, indices in (("test", test_indices), ("train", range(config.num_studies))):
        write = functools.partial(
            _write_study, config=config, images_dir=output_dir / f"{side}_images"
        )
        with layout.Tables(output_dir, side) as tables:
            for result in _map(write, indices, workers, f"{side} studies"):
                tables.add(result)


def _write_study(
    index: int, *, config: settings.PhantomConfig, images_dir: pathlib.Path
) -> study.Study:
    return study.write_study(config, index, images_dir)


def _map(
    write: Callable[[int], study.Study], indices: range, workers: int, title: str
) -> Iterator[study.Study]:
    progress = functools.partial(tqdm.tqdm, total=len(indices), desc=title, disable=None)
    if workers == 1 or len(indices) < 2:
        yield from progress(map(write, indices))
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from progress(pool.imap(write, indices))
