"""model_card.md: what the model is, on what it was trained, how well it does, what it is not."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import spine_tf
from spine_tf.configuration import config
from spine_tf.localization import localizer
from spine_tf.runs import run, run_directory
from spine_tf.scoring import summary
from spine_tf.serving import formats, golden, spec
from tfrecords import atomic, words

FILE_NAME = "model_card.md"

_FIGURES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "log_loss": "Log loss",
    "weighted_log_loss": "Weighted log loss (1/2/4)",
    "auc": "AUC",
    "quadratic_kappa": "Quadratic kappa",
    "expected_calibration_error": "Expected calibration error",
}
_LICENCE = """\
The weights are derived from the data that the model was trained on. The RSNA 2024 Lumbar Spine
data set is free for non-commercial use only and may not be passed on: weights trained on it are
for non-commercial use only. The golden inputs are synthetic; no pixel of a study is in this
directory.
"""
_TRUST = (
    "This directory is a program: whoever loads the SavedModel runs its graph. `SHA256SUMS` shows "
    "that no file was damaged or swapped on the way, `python -m spine_tf.predict` and "
    "`export --check` compare it first; it is no proof of origin, so take models only from those "
    "whom you trust.\n"
)
_LIMITS = """\
- **Not a medical device.** Nothing here may guide the care of a patient.
- It grades a place that is given: it does not find levels, and it does not say that a coordinate
  is wrong.
- Figures hold for studies like those it was measured on. Other scanners, protocols and patients
  have to be measured anew (`python -m spine_tf.evaluate`).
- Readers agree only moderately on these grades (kappa about 0.3 to 0.5 for the lateral recess).
"""


def write(
    directory: pathlib.Path,
    runs: Sequence[run.Run],
    served: spec.Spec,
    differences: Mapping[str, float],
    more: str = "",
) -> None:
    """Writes the card.

    Args:
        directory: the export's directory.
        runs: the runs that are exported.
        served: what the model answers.
        differences: format -> as in `bundle.Bundle`.
        more: how the answers of the runs are put together, where it is not their mean.
    """
    parts = [
        _title(runs, served, more),
        *([_section("Stacked", more)] if more else []),
        _section("Answers", _answers(served)),
        _section("Input", _input(served)),
        _section("Trained on", "\n".join(_training(one) for one in runs)),
        _section("Figures", "\n".join(map(_figures, runs)) + _reservation(runs)),
        _section("Files", _files(differences) + _own_localizer(directory)),
        _section("Limits", _LIMITS),
        _section("Licence", _LICENCE),
        _section("Made with", _origin(runs)),
    ]
    atomic.write_text(directory / FILE_NAME, "\n".join(parts))


def _title(runs: Sequence[run.Run], served: spec.Spec, more: str) -> str:
    members = sum(len(one.members) for one in runs)
    together = "answers" if more else "mean"
    mean = (
        f"the {together} of {members} calibrated models" if members > 1 else "one calibrated model"
    )
    families = " and ".join(sorted({one.config.model.family for one in runs}))
    return (
        f"# Lumbar spine {served.task} classifier ({families})\n\n"
        f"Grades {', '.join(served.conditions)} at {', '.join(served.levels)}; {mean}. "
        "For research; not a medical device.\n"
    )


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}"


def _answers(served: spec.Spec) -> str:
    task = served.task_spec
    rows = "".join(
        f"| {index} | {name} | {column} | {prior:.3f} |\n"
        for index, (name, column, prior) in enumerate(
            zip(task.classes, task.columns, served.class_prior, strict=True)
        )
    )
    return (
        "| class | grade | column | share in training |\n|---|---|---|---|\n"
        f"{rows}\n"
        "Every signature returns `probabilities` (calibrated by temperature), "
        "`competition_probabilities` (those, weighted "
        f"{'/'.join(f'{weight:g}' for weight in task.class_weights)} and renormalised: best for "
        "the RSNA 2024 metric) and `label`, the most probable grade.\n"
    )


def _input(served: spec.Spec) -> str:
    roi, slices = served.roi, words.counted(served.roi.num_slices, "slice")
    if served.views:
        return (
            f"A level by {len(served.views)} views, each a square of {roi.roi_mm:g} mm on "
            f"{roi.roi_px} x {roi.roi_px} pixels, {slices}, as stored values "
            "(uint16): "
            + "; ".join(f"{condition} on {series}" for condition, series in served.views)
            + ". `present` says which there are; a missing one is not looked at. "
            f"`{spec.PREPROCESS_FILE}` says how they are made.\n"
        )
    return (
        f"A square of {roi.roi_mm:g} mm around the given coordinate on {roi.roi_px} x "
        f"{roi.roi_px} pixels, {slices}, as stored values (uint16) with the "
        f"{roi.window}'s window. `{spec.PREPROCESS_FILE}` says how they are made; "
        + (
            f"With each crop go `condition` and `level`, int64: `told` in "
            f"`{spec.PREPROCESS_FILE}`. "
            if served.told
            else ""
        )
        + (
            "`serve_slice` makes them inside the graph.\n"
            if served.has_slice_signature
            else "there is no `serve_slice`: that window needs the whole series.\n"
        )
    )


def _training(one: run.Run) -> str:
    provenance = one.provenance
    records = provenance["records"]
    lines = [
        f"- run: `{one.run_dir.name}`, model `{one.config.model.family}`, seed {one.config.seed}, "
        f"{words.counted(len(one.members), 'member')}, temperature "
        + ", ".join(f"{member.temperature:.3f}" for member in one.members),
        f"- records: manifest sha256 `{records['manifest_sha256']}`, "
        f"{sum(records['num_examples'].values())} examples",
        *_halves(one),
        f"- studies in training: {len(provenance['train_studies'])}",
        f"- {_splits(provenance)}",
        "- versions: "
        + ", ".join(f"{name} {version}" for name, version in provenance["versions"].items()),
    ]
    return "\n".join(lines) + "\n"


def _halves(one: run.Run) -> list[str]:
    task = one.config.task_spec
    if not task.has_halves:
        return []
    return [f"- trained to tell {', '.join(task.classes)} apart; the halves are added up"]


def _splits(provenance: Mapping[str, Any]) -> str:
    if provenance.get("folds"):
        return (
            f"one member for each of {', '.join(provenance['folds'])}, which it never saw; the "
            "test split was not read"
        )
    return (
        f"training splits: {', '.join(provenance['train_splits'])}; watched for early stopping: "
        f"{provenance['monitor_split'] or 'none'}; held out: {provenance['val_split']}"
    )


def _figures(one: run.Run) -> str:
    path = one.run_dir / run_directory.METRICS_FILE
    if not path.is_file():
        return f"`{one.run_dir.name}` was not measured: it has no metrics.json.\n"
    found = summary.read(path)
    majority = found.baselines["majority"].metrics
    rows = "".join(
        f"| {title} | {found.metrics[name].in_words()} | "
        f"{majority[name].in_words() if name in majority else '-'} |\n"
        for name, title in _FIGURES.items()
        if name in found.metrics
    )
    recalls = "".join(
        f"| Recall, {name} | {figures['recall'].in_words()} | - |\n"
        for name, figures in found.per_class.items()
    )
    examples = words.counted(found.num_examples, "example")
    return (
        f"`{one.run_dir.name}`, split `{found.split}`: {examples} of "
        f"{words.counted(found.num_studies, 'study')}, 95 % intervals of a bootstrap over them.\n\n"
        "| | model | majority class |\n|---|---|---|\n"
        f"{rows}{recalls}"
    )


def _origin(runs: Sequence[run.Run]) -> str:
    blocks = "".join(
        f"\n```json\n{json.dumps(config.to_dict(one.config), indent=2)}\n```\n" for one in runs
    )
    return (
        f"`python -m spine_tf.export` of spine_tf {spine_tf.__version__}, from runs of "
        f"`python -m spine_tf.train` with\n{blocks}"
    )


def _reservation(runs: Sequence[run.Run]) -> str:
    if sum(len(one.members) for one in runs) == 1:
        return ""
    return (
        "\nThese are the figures of the parts, each on data that it did not see. The exported mean "
        "itself was not measured; `python -m spine_tf.evaluate --split test` does that.\n"
    )


def _own_localizer(directory: pathlib.Path) -> str:
    path = directory / localizer.IN_EXPORT
    if not path.is_dir():
        return ""
    return (
        f"\n`{path.name}/` is the localiser {localizer.read(path).name!r}: `predict` finds points "
        "with it where none are given.\n"
    )


def _files(differences: Mapping[str, float]) -> str:
    paths = {
        formats.SAVED_MODEL: formats.SAVED_MODEL_DIR,
        **{name: fmt.file for name, fmt in formats.FORMATS.items()},
    }
    rows = "".join(
        f"| `{paths[name]}` | {name} | {difference:.1e} |\n"
        for name, difference in differences.items()
    )
    return (
        "| file | format | difference |\n|---|---|---|\n"
        f"{rows}\n"
        "The difference is the largest of a probability on the golden inputs: of the SavedModel "
        "from the trained model, of the others from the SavedModel; for int8 it is the mean on "
        f"training crops. `{golden.FOLDER}/` holds synthetic inputs and the answers to them; "
        "`python -m spine_tf.export --check DIR` compares files and answers. OpenVINO's CPU plugin "
        "may compute in bfloat16: set `INFERENCE_PRECISION_HINT` to `f32` for these answers.\n\n"
        f"{_TRUST}"
    )
