"""The configuration of a run: all of its parts, and the one JSON schema of them.

A field is a path of names, such as model.dropout. Its meaning, default and limits are in its part:

    task, seed    here
    model         model_configs.py, a class a family
    data          data_config.py: folds, feed, augmentation, doubted labels
    training      training_config.py
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any

from spine_tf import labels
from spine_tf.configuration import (
    data_config,
    family_config,
    fields,
    limits,
    model_configs,
    training_config,
)
from tfrecords import json_object

TASKS = tuple(
    dict.fromkeys(task for family in model_configs.MODEL_CONFIGS.values() for task in family.tasks)
)
"""What some family learns: the tasks of classes, and the others."""


# What a task's training has for defaults beside those of all.
_TRAINING_OF_TASK: Mapping[Any, Mapping[str, Any]] = {"levels": {"class_weights": "competition"}}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that decides what a run computes from a records directory.

    Attributes:
        task: which classes are told apart, or what else is learned.
        model: the network; its family decides which fields it has.
        data: which examples a run sees, and how.
        training: how the model is fitted.
        seed: seed of everything random in the run.
    """

    task: Annotated[str, limits.Choice(TASKS)]
    model: family_config.ModelConfig
    data: data_config.DataConfig = dataclasses.field(default_factory=data_config.DataConfig)
    training: training_config.TrainingConfig = dataclasses.field(
        default_factory=training_config.TrainingConfig
    )
    seed: Annotated[int, limits.Range(0, 2**31 - 1)] = 0

    def __post_init__(self) -> None:
        limits.check(self)
        if self.task not in self.model.tasks:
            raise ValueError(
                f"task {self.task} is not learned by model family {self.model.family}: choose one "
                f"of {', '.join(families_of(self.task))}"
            )
        if self.data.sampling == self.training.class_weights == "balanced":
            raise ValueError(
                "data.sampling and training.class_weights are both balanced, which would correct "
                "the class frequencies twice: set one of them to its default"
            )

        mixing = [name for name in ("mixup", "cutmix") if getattr(self.data.augmentation, name)]
        if self.model.is_told and mixing:
            raise ValueError(
                f"data.augmentation.{mixing[0]} blends crops of different conditions, while "
                "model.condition_input tells the network of one: set one of them to its default"
            )

    @property
    def task_spec(self) -> labels.Task:
        """The task that `task` names."""
        # The rows of a level have the grades of crops.
        return labels.get_task("multiclass" if self.task == "levels" else self.task)


def families_of(task: str) -> tuple[str, ...]:
    """Returns the model families that learn a task."""
    configs = model_configs.MODEL_CONFIGS
    return tuple(name for name, family in configs.items() if task in family.tasks)


def default_config(task: str, family: str) -> Config:
    """Returns the configuration of a family with nothing set."""
    return from_dict({"task": task, "model": {"family": family}})


def to_dict(config: Config) -> dict[str, Any]:
    """Returns the configuration as JSON types; `from_dict` is its inverse."""
    result = json.loads(json.dumps(dataclasses.asdict(config)))
    result["model"] = {"family": config.model.family, **result["model"]}
    return result


def from_dict(values: Mapping[str, Any]) -> Config:
    """Builds a configuration from JSON types; fields that are left out keep their defaults.

    Raises:
        ValueError: a field that does not exist, a value of another type or out of range.
    """
    values = dict(values)
    model = values.get("model")
    if not isinstance(model, Mapping) or "family" not in model:
        raise ValueError(
            'the configuration has no model family: expected {"model": {"family": ...}} '
            f"with one of {', '.join(model_configs.MODEL_CONFIGS)}"
        )
    own = {name: value for name, value in model.items() if name != "family"}
    training = values.get("training", {})
    if isinstance(training, Mapping):
        values["training"] = {**_TRAINING_OF_TASK.get(values.get("task"), {}), **training}
    values["model"] = json_object.build(_model_config_class(model["family"]), own, "model.")
    return json_object.build(Config, values, "")


def _model_config_class(family: Any) -> type[family_config.ModelConfig]:
    if family not in model_configs.MODEL_CONFIGS:
        raise ValueError(
            f"model is {family!r}, expected one of {', '.join(model_configs.MODEL_CONFIGS)}"
        )
    return model_configs.MODEL_CONFIGS[family]


def field_names(family: str) -> tuple[str, ...]:
    """Returns the fields of a family's configuration, such as "model.dropout".

    Raises:
        ValueError: there is no such family.
    """
    any_task = _model_config_class(family).tasks[0]
    return tuple(fields.flatten(to_dict(default_config(any_task, family))))


def describe(config: Config) -> list[fields.Description]:
    """Returns every field of a configuration, in the order of its JSON: value, range, meaning."""
    family = fields.Description(
        name="model.family",
        value=config.model.family,
        kind=f"one of {', '.join(model_configs.MODEL_CONFIGS)}",
        meaning="the model family; --model chooses it, --set can't.",
    )
    found = fields.describe(config)
    first = next(i for i, each in enumerate(found) if each.name.startswith("model."))
    return [*found[:first], family, *found[first:]]


def read_config(path: pathlib.Path) -> Config:
    """Reads a configuration file; its `provenance`, if any, is left aside.

    Raises:
        ValueError: the file is missing, no JSON, or no configuration.
    """

    def make(values: dict[str, Any]) -> Config:
        values.pop("provenance", None)
        return from_dict(values)

    return json_object.read_as(
        make, path, expected="a configuration", mend="see python -m spine_tf.config --model=FAMILY"
    )
