"""One variant, trained in a process of its own: conversion, all folds, each seed."""

import dataclasses
import pathlib
from collections.abc import Callable

from spine_tf.ablation import design as design_module
from spine_tf.configuration import roi_config
from spine_tf.conversion import job
from spine_tf.processes import isolated
from spine_tf.reproduction import out_of_fold
from spine_tf.rsna import sources
from spine_tf.scoring import predictions

RECORDS_DIR = "records"
VARIANTS_DIR = "variants"
_LOG_FILE = "training.log"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """Out-of-fold predictions of each seed, and the seconds of all trainings."""

    seeds: tuple[predictions.Predictions, ...]
    seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trainer:
    """What trains variants in a work directory.

    Attributes:
        design: what the ablation asks for.
        source: the data set.
        work_dir: as `ablation.run` says.
        num_workers: processes that convert.
        is_over: says when a training has to end; it goes on from its last epoch another time.
        on_tick: called with the number of finished folds of the running variant.
    """

    design: design_module.Design
    source: sources.Source
    work_dir: pathlib.Path
    num_workers: int
    is_over: Callable[[], bool]
    on_tick: Callable[[int], None]

    def train(self, slug: str, recipe: design_module.Recipe) -> Trained:
        """Converts and trains what is not done yet.

        Raises:
            isolated.Stopped: `is_over` said so.
            ValueError, OSError: it can't be converted or trained.
        """
        if self.is_over():
            raise isolated.Stopped
        records_dir = self.convert(recipe)
        variant_dir = self.work_dir / VARIANTS_DIR / slug
        variant_dir.mkdir(parents=True, exist_ok=True)
        found, seconds = [], 0.0
        for seed in self.design.seeds:
            run_dir = variant_dir / f"seed_{seed}"
            run_config = dataclasses.replace(recipe.config, seed=seed)
            written = isolated.call(
                out_of_fold.train,
                run_config,
                records_dir,
                run_dir,
                log_path=variant_dir / _LOG_FILE,
                is_over=self.is_over,
                on_tick=lambda: self.on_tick(self.num_folds_done(slug)),
            )
            found.append(written.read_predictions(run_dir, run_config.task_spec))
            seconds += written.seconds
        return Trained(seeds=tuple(found), seconds=seconds)

    def convert(self, recipe: design_module.Recipe) -> pathlib.Path:
        """Returns the records of a region of interest, converted unless they are there."""
        records_dir = self.work_dir / RECORDS_DIR / roi_name(recipe.roi)
        job.convert(
            self.source,
            records_dir,
            self.design.conversion_of(recipe),
            num_workers=self.num_workers,
        )
        return records_dir

    def num_folds_done(self, slug: str) -> int:
        """Returns how many folds of a variant are trained, over all seeds."""
        variant_dir = self.work_dir / VARIANTS_DIR / slug
        return len(list(variant_dir.glob("seed_*/fold_*/metrics.json")))


def roi_name(roi: roi_config.RoiConfig) -> str:
    """Returns the name of the records of a region of interest; equal ones share it."""
    mirrored = "mirrored" if roi.mirror_right else "unmirrored"
    slices = f"{roi.num_slices}slices"
    return f"{roi.roi_mm:g}mm_{roi.roi_px}px_{slices}_{roi.window}_{mirrored}"
