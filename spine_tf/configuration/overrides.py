"""Single fields set by name: the grammar of --set, the same in every program that has it.

field=value           for every chosen family that has the field
family:field=value    for that family alone
field                 a path, such as model.dropout, data.augmentation.shift or seed
value                 JSON, such as 0.3, true or [16, 32]; what is no JSON is a string
"""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from typing import Any

from spine_tf.configuration import config as config_module, fields, model_configs
from tfrecords import json_object

_FAMILY_FIELD = "model.family"
_WEIGHTS_FIELD = "model.weights"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Override:
    """One field and its value.

    Attributes:
        family: the only one that is meant; None is every family that has the field.
        field: its path.
        value: as JSON types.
        text: as given.
    """

    family: str | None
    field: str
    value: Any
    text: str

    def concerns(self, family: str) -> bool:
        """Returns whether a family is meant."""
        if self.family is not None:
            # A field that this family lacks is an error later: nobody else can be meant.
            return self.family == family
        if self.field == _WEIGHTS_FIELD and isinstance(self.value, str):
            # A backbone's file, beside families that have none, is meant for those that have.
            return model_configs.MODEL_CONFIGS[family].takes_weights(self.value)
        return self.field in config_module.field_names(family)


def parse(text: str) -> Override:
    """Returns the override of `field=value` or `family:field=value`.

    Raises:
        ValueError: there is no "=", or no such family.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} has no '=', expected field=value or family:field=value")
    family, colon, field = name.rpartition(":")
    if colon and family not in model_configs.MODEL_CONFIGS:
        raise ValueError(
            f"{text!r} is for the family {family!r}, expected one of "
            f"{', '.join(model_configs.MODEL_CONFIGS)}"
        )
    return Override(family=family or None, field=field, value=_parse_value(value), text=text)


def _parse_value(text: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return text


def apply(config: config_module.Config, texts: Iterable[str]) -> config_module.Config:
    """Returns the configuration with fields set, in order.

    Args:
        config: the one to start from.
        texts: such as "model.dropout=0.3"; each has to concern the configuration's family.

    Raises:
        ValueError: a text that is no override, a field that does not exist, a value that does not
            fit.
    """
    values = config_module.to_dict(config)
    for override in map(parse, texts):
        if override.family not in (None, config.model.family):
            raise ValueError(
                f"{override.text!r} is for {override.family}, but the model is "
                f"{config.model.family}: leave it out"
            )
        _assign(values, override)
    return config_module.from_dict(values)


def _assign(values: dict[str, Any], override: Override) -> None:
    known = fields.flatten(values)
    if override.field == _FAMILY_FIELD:
        raise ValueError(f"{_FAMILY_FIELD} can't be set, choose the family with --model")
    if override.field not in known:
        raise ValueError(json_object.describe_unknown(override.field, known))
    *parents, leaf = override.field.split(".")
    for parent in parents:
        values = values[parent]
    values[leaf] = override.value


def of_family(family: str, texts: Iterable[str]) -> list[str]:
    """Returns those of the texts that concern a family."""
    return [text for text in texts if parse(text).concerns(family)]


def require_concerned(families: Sequence[str], texts: Iterable[str]) -> None:
    """Raises ValueError for a text that concerns none of the families."""
    for override in map(parse, texts):
        if not any(override.concerns(family) for family in families):
            known = [name for family in families for name in config_module.field_names(family)]
            raise ValueError(
                f"--set {override.text}: no chosen model has that field; "
                f"{json_object.describe_unknown(override.field, dict.fromkeys(known))}"
            )
