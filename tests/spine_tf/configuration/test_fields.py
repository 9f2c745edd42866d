"""Fields as a reader is told of them."""

import dataclasses
import math
from typing import Annotated

import pytest

from spine_tf.configuration import config, fields, limits, model_configs


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Base:
    """A base.

    Attributes:
        low, high: the ends, which
            are two.
        kind: of the base.
    """

    low: float = 0.5
    high: Annotated[float, limits.Range(0.0, 1.0)] = 1.0
    kind: str = "plain"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Made(_Base):
    """A thing: with a colon.

    Attributes:
        kind: its own: text.
        base: another.
    """

    widths: tuple[int, ...] = (3,)
    base: _Base = dataclasses.field(default_factory=_Base)


def test_meaning_comes_from_the_nearest_docstring_and_names_may_share_one():
    described = {each.name: each for each in fields.describe(_Made(), "made.")}
    assert described["made.low"].meaning == described["made.high"].meaning
    assert described["made.low"].meaning == "the ends, which are two."
    assert described["made.kind"].meaning == "its own: text."
    assert described["made.base.kind"].meaning == "of the base."
    assert described["made.low"].kind == "number"
    assert described["made.high"].kind == "number, 0.0 to 1.0"
    assert described["made.kind"].kind == "text"


@pytest.mark.parametrize("family", model_configs.MODEL_CONFIGS)
def test_every_field_of_every_configuration_has_a_meaning_and_a_kind(family: str) -> None:
    for task in model_configs.MODEL_CONFIGS[family].tasks:
        made = config.default_config(task, family)
        described = config.describe(made)
        flat = fields.flatten(config.to_dict(made))
        assert {each.name: each.value for each in described} == flat
        assert [each.name for each in described] == list(flat)
        for each in described:
            # A sentence or a clause that ends; "of the head." would say nothing by itself.
            assert each.meaning.endswith("."), each.name
            assert len(each.meaning.split()) >= 4, each
            assert each.kind


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 10**400])
@pytest.mark.parametrize("field", ["epochs", "learning_rate"])
def test_number_that_is_none_is_named(field: str, value: float) -> None:
    values = {"task": "binary", "model": {"family": "simple"}, "training": {field: value}}
    with pytest.raises(ValueError, match=f"training.{field} is .*, expected (an integer|a number)"):
        config.from_dict(values)
