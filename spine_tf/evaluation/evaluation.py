"""One evaluation from end to end: a run, its records, a report."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
from absl import logging

from spine_tf import labels
from spine_tf.evaluation import (
    analysis as analysis_module,
    comparison_page,
    controls as controls_module,
    held_out,
    label_baseline,
    level_held_out,
    report,
    run_details,
)
from spine_tf.pages import image, page_origin
from spine_tf.runs import run, run_directory
from spine_tf.training import level_task
from tfrecords import atomic, output_place, records, words


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How an evaluation is done.

    Attributes:
        split: "test", "val" or "oof"; None is "test", or all of an external directory.
        seed: decides what the bootstrap draws; any integer.
        num_resamples: how often the bootstrap draws, at least 1.
        has_evidence: draws evidence maps beside the crops.
        has_controls: checks that studies and crops of different splits differ.
        data_dir: where the records come from; adds the baseline from other labels.
        num_augmented: copies of each image whose answers are averaged; 1 is the image alone.
    """

    split: str | None = None
    seed: int = 0
    num_resamples: int = 1000
    has_evidence: bool = True
    has_controls: bool = False
    data_dir: pathlib.Path | None = None
    num_augmented: int = 1

    def __post_init__(self) -> None:
        if self.split is not None and self.split not in held_out.SPLITS:
            raise ValueError(
                f"split is {self.split!r}, expected one of {', '.join(held_out.SPLITS)}"
            )
        if self.num_resamples < 1:
            raise ValueError(f"num_resamples is {self.num_resamples}, expected at least 1")
        if self.num_augmented < 1:
            raise ValueError(f"num_augmented is {self.num_augmented}, expected at least 1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What an evaluation found and where it lies.

    Attributes:
        page: the report.
        analysis: the contents of metrics.json.
    """

    page: pathlib.Path
    analysis: analysis_module.Analysis


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compared:
    """What a comparison found and where it lies, likewise."""

    page: pathlib.Path
    analysis: comparison_page.Analysis


def evaluate(
    run_dir: pathlib.Path,
    source: records.Records,
    report_dir: pathlib.Path,
    options: Options,
    shuffled: controls_module.Shuffled | None = None,
) -> Result:
    """Evaluates a run and writes its report.

    Example:
        >>> import pathlib
        >>> from spine_tf.evaluation import evaluation
        >>> from tfrecords import records
        >>> result = evaluation.evaluate(
        ...     pathlib.Path("runs/simple"),
        ...     records.open_records("records"),
        ...     pathlib.Path("report"),
        ...     evaluation.Options(split="test", has_evidence=False),
        ... )
        >>> result.page.name
        'report.html'
        >>> result.analysis.summary.to_frame().columns.tolist()
        ['value', 'low', 'high']

    Args:
        run_dir: a finished run.
        source: records that it was trained on, or others for an external validation.
        report_dir: written; a report of the same run that lies there is replaced file by file.
        options: how.
        shuffled: the control that trains, to stand beside those of `has_controls`.

    Returns:
        Where the report is, and its figures: `result.analysis.summary`.

    Raises:
        ValueError: there is no finished run, the records do not fit it, `report_dir` holds
            another run's report or something else, or `shuffled` is given without `has_controls`.
    """
    require_report_dir(report_dir, [run_dir])
    return evaluate_run(run.load_run(run_dir), source, report_dir, options, shuffled)


def evaluate_run(
    trained: run.Run,
    source: records.Records,
    report_dir: pathlib.Path,
    options: Options,
    shuffled: controls_module.Shuffled | None = None,
) -> Result:
    """Does what `evaluate` does, for a run that is loaded already."""
    if shuffled is not None and not options.has_controls:
        raise ValueError(
            "the control on shuffled labels stands beside the others, which were not asked for: "
            "set has_controls, or leave it out"
        )
    origin = require_report_dir(report_dir, [trained.run_dir])
    source = source.keeping(trained.config.data.keep_mb)
    found = _load(trained, source, options)
    logging.info(
        "%s of %s by %s",
        words.counted(len(found.evaluated.predictions), "prediction"),
        found.evaluated.split,
        words.counted(len(trained.members), "model"),
    )
    analysed = _analyse(trained, source, found, options, shuffled)
    content = report.Content(
        name=trained.run_dir.resolve().name,
        evaluated=found.evaluated,
        analysis=analysed,
        images=found.images,
        predict=found.predict if options.has_evidence else None,
        histories=run_details.read_histories(trained.run_dir),
        details=run_details.of_run(trained, source, options.num_augmented),
        control_pairs=_pairs(analysed, source, trained.config.task_spec),
        origin=origin,
        graded=_graded(source),
    )
    return Result(page=report.write(report_dir, content), analysis=analysed)


def evaluate_ensemble(
    run_dirs: Sequence[pathlib.Path],
    source: records.Records,
    report_dir: pathlib.Path,
    options: Options,
) -> Result:
    """Evaluates runs as one model, the mean of all of theirs, and writes its report.

    Args:
        run_dirs: at least two finished runs of one task.
        source: open records, as `evaluate` takes them.
        report_dir: where the page is written, as `evaluate` has it.
        options: how.

    Raises:
        ValueError: `evaluate` would raise it, or the runs can't answer together.
    """
    if options.has_controls or options.data_dir is not None:
        raise ValueError(
            "--controls and --data_dir have no effect on an ensemble: evaluate the runs one by one"
        )
    if len(run_dirs) < 2:
        raise ValueError(f"--ensemble is of {len(run_dirs)} run, expected --run_dir a,b,...")
    names = _names(run_dirs)
    origin = require_report_dir(report_dir, run_dirs)
    runs = [run.load_run(path) for path in run_dirs]
    source = source.keeping(runs[0].config.data.keep_mb)
    found = held_out.load_ensemble(runs, source, options.split, num_augmented=options.num_augmented)
    analysed = _analyse(runs[0], source, found, options)
    if found.answers is not None:
        analysed = analysis_module.add_ensemble(
            analysed, found.evaluated, names, found.answers.of_runs, found.answers.num_models
        )
    content = report.Content(
        name=" + ".join(names),
        evaluated=found.evaluated,
        analysis=analysed,
        images=found.images,
        predict=found.predict if options.has_evidence else None,
        histories={
            f"{name}, {fold}": history
            for name, path in zip(names, run_dirs, strict=True)
            for fold, history in run_details.read_histories(path).items()
        },
        details={
            **run_details.of_ensemble(analysed.ensemble),
            **{
                f"{name}: {section.lower()}": values
                for name, one in zip(names, runs, strict=True)
                for section, values in run_details.of_run(
                    one, source, options.num_augmented
                ).items()
            },
        },
        control_pairs=[],
        origin=origin,
        graded=_graded(source),
    )
    return Result(page=report.write(report_dir, content), analysis=analysed)


def compare(
    run_dirs: Sequence[pathlib.Path],
    source: records.Records,
    report_dir: pathlib.Path,
    options: Options,
) -> Compared:
    """Compares runs on the same examples and writes the comparison.

    Args:
        run_dirs: finished runs of one task; the others are compared with the first.
        source: open records, as `evaluate` takes them.
        report_dir: where the page is written, as `evaluate` has it.
        options: how; what only a report of one run shows can't take effect.

    Raises:
        ValueError: `evaluate` would raise it, or the runs can't be compared.
    """
    if options.has_controls or options.data_dir is not None:
        raise ValueError(
            "--controls and --data_dir have no effect on a comparison: evaluate the runs one by one"
        )
    names = _names(run_dirs)
    origin = require_report_dir(report_dir, run_dirs)
    runs = []
    for name, run_dir in zip(names, run_dirs, strict=True):
        trained = run.load_run(run_dir)
        source = source.keeping(trained.config.data.keep_mb)
        found = _load(trained, source, options)
        runs.append((name, found.evaluated))
        logging.info("%s: %d predictions", name, len(found.evaluated.predictions))
    analysed = comparison_page.analyse(runs, seed=options.seed, num_resamples=options.num_resamples)
    analysed = dataclasses.replace(analysed, test_time_copies=options.num_augmented)
    page = comparison_page.write(report_dir, analysed, origin, _graded(source))
    return Compared(page=page, analysis=analysed)


def _load(trained: run.Run, source: records.Records, options: Options) -> held_out.HeldOut:
    if trained.config.task != level_task.NAME:
        return held_out.load(trained, source, options.split, num_augmented=options.num_augmented)
    if options.has_controls or options.num_augmented > 1:
        raise ValueError(
            f"--controls and --tta have no effect on {trained.run_dir}, a run of levels: leave "
            "them out"
        )
    return level_held_out.load(trained, source, options.split)


def _graded(source: records.Records) -> str:
    held = source.manifest.config
    return labels.graded_in_words(held["conditions"], held["levels"])


def _names(run_dirs: Sequence[pathlib.Path]) -> list[str]:
    """The directories' names, or their paths where names repeat."""
    if len({path.resolve() for path in run_dirs}) != len(run_dirs):
        raise ValueError("--run_dir names a run twice, expected different ones")
    names = [path.resolve().name for path in run_dirs]
    return names if len(set(names)) == len(names) else [str(path) for path in run_dirs]


def _analyse(
    trained: run.Run,
    source: records.Records,
    found: held_out.HeldOut,
    options: Options,
    shuffled: controls_module.Shuffled | None = None,
) -> analysis_module.Analysis:
    evaluated = found.evaluated
    analysed = analysis_module.analyse(
        evaluated, seed=options.seed, num_resamples=options.num_resamples
    )
    analysed = dataclasses.replace(analysed, test_time_copies=options.num_augmented)
    if options.data_dir is not None:
        grades = label_baseline.read_grades(options.data_dir)
        answers = label_baseline.predict(evaluated, grades, trained.provenance["train_studies"])
        analysed = analysis_module.add_label_baseline(
            analysed, evaluated, answers, label_baseline.NOTE
        )
    if options.has_controls:
        examples = held_out.load_examples(source, source.splits, evaluated.task)
        controls = controls_module.Controls(
            studies=controls_module.count_studies(source),
            nearest=controls_module.nearest_across_splits(
                examples.windowed, examples.keys, examples.splits
            ),
            shuffled=shuffled,
        )
        analysed = dataclasses.replace(analysed, controls=controls)
    return analysed


def _pairs(
    analysed: analysis_module.Analysis, source: records.Records, task: labels.Task
) -> list[report.PicturedPair]:
    """The most alike crops with their pictures."""
    if analysed.controls is None:
        return []
    pairs = analysed.controls.nearest.pairs
    wanted = {key for pair in pairs for key in (pair.first, pair.second)}
    examples = records.load_examples(source, source.splits, task.severities)
    shown = examples.take(np.array([key in wanted for key in examples.keys]))
    crops = {
        key: image.png_uri(image.crop(values))
        for key, values in zip(shown.keys, shown.normalized(), strict=True)
    }
    return [
        report.PicturedPair(pair=pair, first_crop=crops[pair.first], second_crop=crops[pair.second])
        for pair in pairs
    ]


def require_report_dir(report_dir: pathlib.Path, run_dirs: Sequence[pathlib.Path]) -> str:
    """Returns the origin that the page of a directory, which need not exist yet, is to name.

    Raises:
        ValueError: it holds the report of other runs, a run, or other files.
    """
    is_report = any((report_dir / name).is_file() for name in ("report.html", "metrics.json"))
    names = {path.name for path in atomic.contents(report_dir)}
    is_other = not is_report and bool(names - {"figures"})
    if is_other or run_directory.is_run(report_dir):  # which has a metrics.json as well
        raise ValueError(f"{report_dir} holds other files: choose another --report_dir")
    origin = page_origin.describe(run_dirs)
    page_origin.require_own(report_dir / "report.html", origin)
    output_place.require_inside(
        report_dir, "--report_dir", files=report.FILES, directories=["figures"]
    )
    return origin
