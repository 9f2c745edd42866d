"""What a search is asked to do, checked before anything is begun, and what ends it."""

import dataclasses
import pathlib
import time
from collections.abc import Collection, Iterable, Mapping, Sequence

from absl import logging

from spine_tf import labels
from spine_tf.configuration import config, model_configs, overrides, training_config
from spine_tf.crops import landmark_kinds, record
from spine_tf.rsna import folds as folds_module
from spine_tf.training import fold_roles, level_examples
from tfrecords import records
from tuner import space_presets

TRIALS = "all trials were run"
SPACE = "the search space is exhausted"
MINUTES = "the time was over"
CHIEF = "the chief has no more trials"
DISK = "the disk budget was used up"

_PREFIX = "val_"
_OF_CLASSES = tuple(monitor.removeprefix(_PREFIX) for monitor in training_config.MONITORS)
# Millimetres are of points at the right level: a network that finds few, the plain ones, has less
# of them. The log loss counts every pixel of every window, so also a peak where there is no point.
_OF_POINTS = ("log_loss", "level_right", "slice_error")

OBJECTIVES = tuple(dict.fromkeys((*_OF_CLASSES, *_OF_POINTS)))
"""Of any task; `objectives_of` has those of one."""

LANDMARKS = "landmarks"
# What a search can be of: the tasks that spaces are declared for.
TASKS = (*labels.TASKS, "levels", LANDMARKS)


def objectives_of(task: str) -> tuple[str, ...]:
    """Returns the figures that trials of a task may be chosen by."""
    return _OF_POINTS if task == LANDMARKS else _OF_CLASSES


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """A figure of the fold held out that a search optimises.

    Attributes:
        name: one of OBJECTIVES; weighted_log_loss is the competition's loss.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in OBJECTIVES:
            raise ValueError(f"objective is {self.name!r}, expected one of {', '.join(OBJECTIVES)}")

    @property
    def monitor(self) -> str:
        """The logged figure; early stopping and the choice of the epoch go by it, too."""
        return _PREFIX + self.name

    @property
    def direction(self) -> str:
        """Which way is better: "min" or "max"."""
        return "max" if training_config.ALL_MONITORS[self.monitor] else "min"

    @property
    def sign(self) -> int:
        """Multiplied with it, smaller is better."""
        return 1 if self.direction == "min" else -1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """A search.

    Attributes:
        search_dir: where it is written.
        records_dir: a finished conversion.
        task: as given to `--task`.
        bases: family -> the configuration that is varied.
        fixed: fields that keep their base value, as `is_fixed` takes them.
        declare: the search space.
        space_name: what messages call the space.
        objective: what is optimised.
        oracle: one of oracles.NAMES.
        folds: the objective is the mean over folds 0 to folds - 1.
        seed: decides what the oracle draws; the models' seed is in `bases`.
        workers: processes that train, on this machine.
        max_trials: trials of the whole search.
        max_minutes: minutes that this call may take; None is no limit.
        max_disk_mb: MiB that the search directory may take; None is no limit.
        max_parameters: weights that a model may have; None is no limit.
        prune: stop bad trials by their learning curve.
        verifies: compares the records' sha256 with the manifest's before the first trial.
    """

    search_dir: pathlib.Path
    records_dir: pathlib.Path
    task: str
    bases: Mapping[str, config.Config]
    fixed: frozenset[str] = frozenset()
    declare: space_presets.Declare = space_presets.declare_small
    space_name: str = "small"
    objective: Objective = dataclasses.field(default_factory=lambda: Objective(name="log_loss"))
    oracle: str = "bayesian"
    folds: int = 1
    seed: int = 0
    workers: int = 1
    max_trials: int = 30
    max_minutes: float | None = None
    max_disk_mb: float | None = None
    max_parameters: int | None = None
    prune: bool = True
    verifies: bool = True

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"task is {self.task!r}, expected one of {', '.join(TASKS)}")
        if self.objective.name not in objectives_of(self.task):
            raise ValueError(
                f"--objective is {self.objective.name}, expected a figure that trials of task "
                f"{self.task} are chosen by: {', '.join(objectives_of(self.task))}"
            )
        for name in ("folds", "workers", "max_trials"):
            _require_at_least_one(name, getattr(self, name))
        for name in ("max_minutes", "max_disk_mb", "max_parameters"):
            value = getattr(self, name)
            if value is not None and not value > 0:  # nor NaN
                raise ValueError(f"--{name} is {value}, expected a number above 0")

    @property
    def max_epochs(self) -> int:
        """Epochs of a whole training."""
        return max(base.training.epochs for base in self.bases.values())


@dataclasses.dataclass(kw_only=True)
class Clock:
    """The time that one call of the program may take.

    Attributes:
        max_minutes: None is no limit.
    """

    max_minutes: float | None
    started: float = dataclasses.field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.started

    @property
    def seconds_left(self) -> float | None:
        """Until the limit, at least 0; None without one."""
        if self.max_minutes is None:
            return None
        return max(0.0, self.max_minutes * 60.0 - self.seconds)

    @property
    def is_over(self) -> bool:
        """Whether the limit is reached."""
        return self.seconds_left == 0.0


def make_bases(
    task: str | None,
    families: Sequence[str],
    *,
    start: config.Config | None = None,
    settings: Iterable[str] = (),
    seed: int | None = None,
    max_epochs: int | None = None,
    monitor: str = "val_log_loss",
) -> tuple[dict[str, config.Config], frozenset[str]]:
    """Returns the configuration that is varied for each family, and the fields that are not.

    Args:
        task: None takes the start configuration's.
        families: empty takes the start configuration's family.
        start: its data, training and seed go for all families, its model for its own.
        settings: `field=value`, each for every family that has the field, or `family:field=value`.
        seed: the models' seed; None keeps the start configuration's.
        max_epochs: epochs that a training may take; None keeps the configuration's.
        monitor: the figure that early stopping goes by, unless a setting says otherwise.

    Raises:
        ValueError: something is missing, unknown, twice, or contradicts the start configuration.
    """
    task, families = _checked_names(task, families, start)
    settings = list(settings)
    overrides.require_concerned(families, settings)
    fixed = frozenset(setting.partition("=")[0] for setting in settings)
    given = [f"training.monitor={monitor}", *settings]
    if max_epochs is not None:
        if any(overrides.parse(setting).field == "training.epochs" for setting in settings):
            raise ValueError("--max_epochs and --set training.epochs both say how long: give one")
        _require_at_least_one("max_epochs", max_epochs)
        given.append(f"training.epochs={max_epochs}")
        fixed |= {"training.epochs"}
    if seed is not None:
        given.append(f"seed={seed}")
    bases = {family: _make_base(_start_config(task, family, start), given) for family in families}
    return {name: _with_head_first(base, start, fixed) for name, base in bases.items()}, fixed


def is_fixed(family: str, field: str, fixed: Collection[str]) -> bool:
    """Returns whether a field of a family keeps its base value.

    Args:
        family: name of a model family.
        field: such as "model.dropout".
        fixed: fields of all families that have them, or of one as "family:field".
    """
    return field in fixed or f"{family}:{field}" in fixed


def check_folds(source: records.Records, folds: int, task: str) -> None:
    """Raises ValueError unless the folds that are asked for, from fold_0 on, have examples.

    So it does where the records don't say which rows and crops they are, or are not of the kind
    that the task learns from, as a training would.
    """
    if task == "levels":
        level_examples.require_kind(source)
    elif task == LANDMARKS:
        landmark_kinds.of_records(source)
    else:
        record.require_conversion(source)
    names = fold_roles.fold_splits(source)
    if len(names) < 2:
        raise ValueError(
            f"{source.directory} has {len(names)} folds with examples, a search needs two: one to "
            "train on and one to score: convert with --num_folds 2 or more, or more studies"
        )
    wanted = [folds_module.fold_name(fold) for fold in range(folds)]
    if empty := [name for name in wanted if name not in names]:
        raise ValueError(
            f"--folds is {folds}, but {source.directory} has no example in {', '.join(empty)}; "
            f"its folds are {', '.join(names)}: lower it, or convert again"
        )


def of_folds(settings: Settings, source: records.Records) -> Settings:
    """Returns the settings as records of so many folds allow them.

    A trial needs three folds: to train on, to stop on, to be scored on. With two, every trial
    trains to its last epoch, as with data.inner_fold=none, and a warning says so.
    """
    names = fold_roles.fold_splits(source)
    bases = {
        family: base
        if is_fixed(family, "data.inner_fold", settings.fixed)
        else overrides.apply(base, ["data.inner_fold=none"])
        for family, base in settings.bases.items()
    }
    if len(names) > 2 or bases == settings.bases:
        return settings
    logging.warning(
        "%s has %d folds, and a trial needs three, to train on, to stop on and to be scored on: "
        "every trial trains to its last epoch (data.inner_fold=none); more folds come of convert "
        "--num_folds",
        *(source.directory, len(names)),
    )
    return dataclasses.replace(settings, bases=bases)


def _checked_names(
    task: str | None, families: Sequence[str], start: config.Config | None
) -> tuple[str, Sequence[str]]:
    if start is not None:
        task, families = task or start.task, families or [start.model.family]
        if task != start.task:
            raise ValueError(f"--task is {task}, but the configuration is for {start.task}")
        if start.model.family not in families:
            raise ValueError(
                f"--models has no {start.model.family}, but the configuration is for it: "
                "add it, or leave --config out"
            )
    if not task:
        raise ValueError(f"--task is missing, expected one of {', '.join(TASKS)}")
    if not families:
        raise ValueError(
            f"--models is missing, expected some of {', '.join(model_configs.MODEL_CONFIGS)}"
        )
    for family in families:
        if families.count(family) > 1:
            raise ValueError(f"--models has {family} twice: name each family once")
    return task, families


def _start_config(task: str, family: str, start: config.Config | None) -> config.Config:
    default = config.default_config(task, family)
    if start is None:
        return default
    model = start.model if start.model.family == family else default.model
    return dataclasses.replace(start, model=model)


def _make_base(start: config.Config, settings: Iterable[str]) -> config.Config:
    family = start.model.family
    try:
        return overrides.apply(start, overrides.of_family(family, settings))
    except ValueError as err:
        raise ValueError(f"{family}: {err}") from err


def _with_head_first(
    base: config.Config, start: config.Config | None, fixed: Collection[str]
) -> config.Config:
    """Lets the search of a pretrained backbone begin with its head, which trains in seconds."""
    is_chosen = start is not None and start.model.family == base.model.family
    if (
        is_chosen
        or is_fixed(base.model.family, "model.frozen_epochs", fixed)
        or not space_presets.is_pretrained(base.model)
    ):
        return base
    return overrides.apply(base, [f"model.frozen_epochs={space_presets.HEAD_ONLY}"])


def _require_at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"--{name} is {value}, expected at least 1")
