"""An ablation from its first conversion to its page; killed, it goes on where it was.

ablation.json             the base and the variants; another base is refused
records/<roi>/            conversions, one a region of interest
variants/<name>/seed_i/   runs with all folds, training.log beside them
variants/<name>/result.json   the score, written when a variant is finished
figures/, ablation.csv, ablation.md, ablation.html   written anew after every variant
"""

import contextlib
import dataclasses
import functools
import pathlib
import time
from collections.abc import Iterator
from typing import Any

from absl import logging

from spine_tf.ablation import (
    ablation_table,
    design as design_module,
    scores,
    variant as variant_module,
    variant_training,
)
from spine_tf.conversion import plan
from spine_tf.pages import picture
from spine_tf.processes import isolated, lock
from spine_tf.rsna import sources
from spine_tf.scoring import figure
from tfrecords import atomic, errors, json_object, output_place, progress

_RESULT_FILE = "result.json"
_TABLE_FILES = "ablation.csv", "ablation.md", "ablation.html"
_TIME_IS_OVER = "the time was over: --resume goes on"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ablation:
    """What was found, and where it lies.

    Attributes:
        rows: the base first.
        page: ablation.html.
        text: the table as Markdown.
    """

    rows: tuple[ablation_table.Row, ...]
    page: pathlib.Path
    text: str

    def count(self, status: str) -> int:
        """Returns how many rows have a status."""
        return sum(row.status == status for row in self.rows)


def run(
    design: design_module.Design,
    source: sources.Source,
    work_dir: pathlib.Path,
    *,
    is_resumed: bool,
    num_workers: int,
    max_minutes: float | None = None,
) -> Ablation:
    """Trains the base and every variant on the same folds and writes the table.

    A variant that can't be converted or trained is a row with the reason.

    Args:
        design: what.
        source: the data set.
        work_dir: as the module's docstring says.
        is_resumed: an ablation that is there is continued; else it is refused.
        num_workers: processes that convert.
        max_minutes: how long this call may take; a training that is running then goes on another
            time.

    Raises:
        ValueError: the directory holds something else, or an ablation with another base.
    """
    started = time.monotonic()
    planned = plan.make_plan(source, design.conversion)
    _prepare(work_dir, is_resumed)
    with lock.lock_directory(work_dir, owner="ablation", flag="--work_dir"):
        wanted = design_module.to_json(design, planned.config, planned.source)
        merged = design_module.merge(work_dir, wanted)
        design_module.write(work_dir, merged)
        design = dataclasses.replace(design, variants=design_module.variants_of(merged))
        with _progress(design) as bar:
            trainer = variant_training.Trainer(
                design=design,
                source=source,
                work_dir=work_dir,
                num_workers=num_workers,
                is_over=lambda: (
                    max_minutes is not None and time.monotonic() - started > 60.0 * max_minutes
                ),
                on_tick=bar.show_running,
            )
            return _Runner(design, trainer, bar).run()


def _prepare(work_dir: pathlib.Path, is_resumed: bool) -> None:
    is_ours = (work_dir / design_module.FILE).is_file()
    if is_ours and not is_resumed:
        raise ValueError(
            f"{work_dir} holds an ablation: go on with it by --resume, or choose another --work_dir"
        )
    if not is_ours and atomic.contents(work_dir):
        raise ValueError(f"{work_dir} holds other files: choose another --work_dir")
    output_place.require_inside(work_dir, "--work_dir", files=_TABLE_FILES, directories=["figures"])
    work_dir.mkdir(parents=True, exist_ok=True)


class _Bar:
    """Trained folds of all variants."""

    def __init__(self, count: progress.Count, folds_per_variant: int) -> None:
        self._count = count
        self._folds_per_variant = folds_per_variant
        self._num_before = 0

    def show_running(self, num_folds: int) -> None:
        """Shows how many folds of the running variant are trained."""
        self._count.move(min(num_folds, self._folds_per_variant) + self._num_before)

    def finish_variant(self) -> None:
        """Counts a variant as done, however it ended."""
        self._num_before += self._folds_per_variant
        self.show_running(0)


@contextlib.contextmanager
def _progress(design: design_module.Design) -> Iterator[_Bar]:
    folds_per_variant = design.conversion.num_folds * design.num_seeds
    total = folds_per_variant * (1 + len(design.variants))
    with progress.counting("ablation", total=total, unit="fold") as count:
        yield _Bar(count, folds_per_variant)


class _Runner:
    """Goes through base and variants; knows the base's predictions once they are there."""

    def __init__(
        self, design: design_module.Design, trainer: variant_training.Trainer, bar: _Bar
    ) -> None:
        self._design = design
        self._trainer = trainer
        self._bar = bar
        self._base: variant_training.Trained | None = None
        self._rows = [
            ablation_table.Row(
                name=name,
                group=group,
                settings=changed,
                reason="not yet",
                num_seeds=design.num_seeds,
            )
            for name, group, changed in (
                (variant_module.BASE, variant_module.BASE, ()),
                *((v.name, v.group, v.settings) for v in design.variants),
            )
        ]

    def run(self) -> Ablation:
        """Runs what is not finished, the base first, and writes the table after each."""
        recipes = [
            self._design.base.recipe,
            *(self._design.base.apply(variant) for variant in self._design.variants),
        ]
        slugs = [variant_module.BASE, *(variant.slug for variant in self._design.variants)]
        self._read_finished(slugs)
        found = self._write()
        for index, (slug, recipe) in enumerate(zip(slugs, recipes, strict=True)):
            row = self._rows[index]
            if row.status != ablation_table.FINISHED or row.is_base:
                self._rows[index] = self._run_one(row, slug, recipe)
                self._log(index)
                found = self._write()
            self._bar.finish_variant()
        return found

    def _read_finished(self, slugs: list[str]) -> None:
        for index, slug in enumerate(slugs):
            path = self._result_path(slug)
            if path.is_file():
                result = _read_result(path)
                self._rows[index] = dataclasses.replace(
                    self._rows[index],
                    status=ablation_table.FINISHED,
                    reason="",
                    score=result.score,
                    seconds=result.seconds,
                )

    def _run_one(
        self, row: ablation_table.Row, slug: str, recipe: design_module.Recipe
    ) -> ablation_table.Row:
        if self._base is None and not row.is_base:
            return dataclasses.replace(row, reason="the base has no figures to compare with")
        logging.info("%s", row.name)
        try:
            trained = self._trainer.train(slug, recipe)
            if row.is_base:
                self._base = trained
            found = self._score(trained, recipe, is_base=row.is_base)
        except isolated.Stopped:
            return dataclasses.replace(row, status=ablation_table.NOT_RUN, reason=_TIME_IS_OVER)
        except (ValueError, OSError) as err:
            reason = errors.reason(err)
            return dataclasses.replace(row, status=ablation_table.FAILED, reason=reason)
        result = _Result(score=found, seconds=trained.seconds)
        atomic.write_json(self._result_path(slug), figure.as_json(result))
        return dataclasses.replace(
            row, status=ablation_table.FINISHED, reason="", score=found, seconds=trained.seconds
        )

    def _score(
        self, trained: variant_training.Trained, recipe: design_module.Recipe, *, is_base: bool
    ) -> scores.Score:
        base = None if is_base or self._base is None else self._base.seeds
        task = recipe.config.task_spec
        return scores.score(trained.seeds, base, task, seed=0)

    def _log(self, index: int) -> None:
        row = self._rows[index]
        if row.score is None:
            said = f"{row.status}: {row.reason}"
        elif row.is_base:
            said = f"accuracy {row.figure_in_words('accuracy')}, {row.seconds:.0f} s"
        else:
            change = row.change_in_words("accuracy")
            said = f"accuracy {change} against the base, {row.seconds:.0f} s"
        logging.info("%d of %d, %s: %s", index + 1, len(self._rows), row.name, said)

    def _result_path(self, slug: str) -> pathlib.Path:
        return self._trainer.work_dir / variant_training.VARIANTS_DIR / slug / _RESULT_FILE

    def _write(self) -> Ablation:
        work_dir, rows = self._trainer.work_dir, tuple(self._rows)
        text = ablation_table.to_markdown(rows)
        atomic.write_text(work_dir / "ablation.csv", ablation_table.to_csv(rows))
        atomic.write_text(work_dir / "ablation.md", text)
        pictures = ablation_table.draw(rows)
        picture.write(work_dir / "figures", pictures)
        path = work_dir / "ablation.html"
        page = ablation_table.render(rows, pictures, about=_about(self._design))
        atomic.write_text(path, page)
        return Ablation(rows=rows, page=path, text=text)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Result:
    """What result.json holds of a finished variant."""

    score: scores.Score
    seconds: float


def _read_result(path: pathlib.Path) -> _Result:
    return json_object.read_as(
        functools.partial(json_object.build, _Result),
        path,
        expected="the score of a variant",
        mend="remove it, and the variant is measured again",
    )


def _about(design: design_module.Design) -> dict[str, Any]:
    base = design.base.recipe
    values = dataclasses.asdict(base.config)
    return {
        "task": base.config.task,
        "classes": base.config.task_spec.classes,
        "conditions": design.conversion.conditions,
        "levels": design.conversion.levels,
        "family": base.config.model.family,
        "num_seeds": design.num_seeds,
        "details": {
            "Region of interest": dataclasses.asdict(base.roi),
            "Folds": {
                "folds": design.conversion.num_folds,
                "test fraction, not opened": design.conversion.test_fraction,
                "seed": design.conversion.seed,
            },
            "Model": {"family": base.config.model.family, **values["model"]},
            "Training": {**values["training"], "seed": base.config.seed},
            "Data": {
                name: value for name, value in values["data"].items() if name != "augmentation"
            },
            "Augmentation": values["data"]["augmentation"],
        },
    }
