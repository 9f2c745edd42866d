"""The report's experiment: which models on which tasks, and whether one that lies there goes on."""

import dataclasses
import json
import pathlib
from typing import Any

from spine_tf import labels
from spine_tf.configuration import (
    config,
    differences,
    fields,
    overrides,
    pretrained_configs,
    roi_config,
)
from spine_tf.conversion import plan
from tfrecords import atomic

_FILE = "reproduce.json"

# The report's families, in the order of its text.
FAMILIES = ("simple", "dense", "densenet", "residual", "resnet50")

# A look at the whole path, not at what models can do.
_FAST_SETTINGS = ("training.epochs=4", "training.patience=0", "model.input_px=32")
_FAST_PRETRAINED = ("model.weights=none", "training.epochs=1", "data.inner_fold=none")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """Which models are trained on which tasks, and how.

    Attributes:
        tasks: names of tasks.
        families: names of the models' families.
        changes: `field=value`, for every family that has the field, or `family:field=value` for
            one alone.
        num_trials: trials of a search for each task and family; 0 takes the families' defaults.
        is_fast: few epochs on small crops.
        seed: seed of models and searches.
    """

    tasks: tuple[str, ...] = labels.WHOLE_TASKS
    families: tuple[str, ...] = FAMILIES
    changes: tuple[str, ...] = ()
    num_trials: int = 0
    is_fast: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        _check_names("tasks", self.tasks, labels.WHOLE_TASKS)
        _check_names("models", self.families, config.families_of(labels.WHOLE_TASKS[0]))
        if self.num_trials < 0:
            raise ValueError(f"--search is {self.num_trials}, expected 0 or a number of trials")
        if self.is_fast and self.num_trials:
            raise ValueError("--fast has no search: leave out --fast or --search")
        overrides.require_concerned(self.families, self.changes)
        for task in self.tasks:
            for family in self.families:
                self.make_config(task, family)

    @property
    def num_resamples(self) -> int:
        """How often each bootstrap draws."""
        return 200 if self.is_fast else 1000

    def make_config(
        self, task: str, family: str, best: pathlib.Path | None = None
    ) -> config.Config:
        """Returns the configuration of a run.

        Args:
            task: name of the task.
            family: name of the model's family.
            best: configuration that a search found; None is the family's default.
        """
        base = config.read_config(best) if best else config.default_config(task, family)
        changes = [f"seed={self.seed}"]
        if self.is_fast:
            changes += _FAST_SETTINGS
            is_large = isinstance(base.model, pretrained_configs.PretrainedConfig)
            changes += _FAST_PRETRAINED if is_large else ()
        return overrides.apply(base, [*changes, *overrides.of_family(family, self.changes)])

    def make_conversion(
        self, *, conditions: tuple[str, ...], levels: tuple[str, ...], num_folds: int | None = None
    ) -> plan.Settings:
        """Returns what is converted for it.

        Args:
            conditions, levels: which rows.
            num_folds: None takes 5, or 3 where it is fast.
        """
        return plan.Settings(
            conditions=conditions,
            levels=levels,
            roi=roi_config.RoiConfig(roi_px=64 if self.is_fast else 128),
            num_folds=num_folds or (3 if self.is_fast else 5),
            seed=self.seed,
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the settings as JSON types."""
        values = dataclasses.asdict(self)
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}


def begin(experiment: Experiment, work_dir: pathlib.Path) -> None:
    """Makes a work directory, or checks that the experiment in it may go on as this one.

    Raises:
        ValueError: it holds other files, or a run of another configuration.
    """
    path = work_dir / _FILE
    if not path.is_file() and atomic.contents(work_dir):
        raise ValueError(f"{work_dir} holds other files: choose another --work_dir")
    work_dir.mkdir(parents=True, exist_ok=True)
    require_same_runs(experiment, work_dir)
    atomic.write_json(path, experiment.to_json())


def run_dir(work_dir: pathlib.Path, task: str, family: str) -> pathlib.Path:
    """Returns where a run lies in a work directory."""
    return work_dir / "runs" / task / family


def require_same_runs(experiment: Experiment, work_dir: pathlib.Path) -> None:
    """Raises ValueError where a run that is there was started with another configuration.

    Settings of models that have no run yet may change: a family that failed can be mended. Where a
    search decides, training itself refuses another configuration.
    """
    if experiment.num_trials:
        return
    for task in experiment.tasks:
        for family in experiment.families:
            path = run_dir(work_dir, task, family) / "config.json"
            if path.is_file():
                _require_same(path, experiment.make_config(task, family))


def _require_same(path: pathlib.Path, wanted: config.Config) -> None:
    """Says what differs, and the flags that say it as it was."""
    anew = f"remove {path.parent} and its reports to train it anew, or choose another --work_dir"
    try:
        stored = config.read_config(path)
    except ValueError as err:
        raise ValueError(f"{err}: another version wrote it; {anew}") from err
    found = differences.differences(config.to_dict(stored), config.to_dict(wanted))
    if found:
        flags = " ".join(_flag(stored, text.partition(" is ")[0]) for text in found)
        raise ValueError(
            f"{path} says otherwise than --set, --fast, --seed and the defaults do now "
            f"({'; '.join(found)}): give {flags} to go on, {anew}"
        )


def _flag(stored: config.Config, field: str) -> str:
    """The flag that sets a field of one family to what is stored."""
    value = fields.flatten(config.to_dict(stored))[field]
    if field == "seed":
        return f"--seed={value}"
    return f"--set '{stored.model.family}:{field}={json.dumps(value)}'"


def _check_names(flag: str, names: tuple[str, ...], known: tuple[str, ...]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"--{flag} has {name!r}, expected some of {', '.join(known)}")
    if not names or len(set(names)) != len(names):
        raise ValueError(f"--{flag} is {','.join(names)!r}, expected each name once")
