"""A variant: a name, and what it changes in the base; from the text of a flag to configurations."""

import dataclasses
import re
from collections.abc import Iterator

from spine_tf.configuration import config as config_module, fields, overrides, roi_config

BASE = "base"
FAMILY = "model"
ROI_FIELDS = tuple(field.name for field in dataclasses.fields(roi_config.RoiConfig))

# What all variants share: --task, --seeds and the folds decide it.
_SHARED = ("task", "seed", "model.family", "data.val_fold")
_LONGEST_NAME = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """What is changed.

    Attributes:
        name: in tables and figures, such as "roi_mm=30".
        group: the factor, or the name of a bundle; neighbours in tables and figures.
        settings: `field=value`, in order; the fields of RoiConfig, `model` for the family, and
            those of the configuration.
    """

    name: str
    group: str
    settings: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.name or len(self.name) > _LONGEST_NAME or self.slug == BASE:
            raise ValueError(
                f"the variant {self.name!r} needs a name of 1 to {_LONGEST_NAME} characters other "
                f"than {BASE!r}"
            )
        for setting in self.settings:
            field = overrides.parse(setting).field
            if field in _SHARED:
                raise ValueError(f"{self.name}: {field} can't vary, all variants share it")

    @property
    def slug(self) -> str:
        """The name of its directory."""
        return re.sub(r"[^A-Za-z0-9_.=+-]+", "_", self.name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is converted and trained.

    Attributes:
        roi: the region of interest.
        config: the run's configuration.
    """

    roi: roi_config.RoiConfig
    config: config_module.Config


@dataclasses.dataclass(frozen=True, kw_only=True)
class Base:
    """Where all variants start from.

    Attributes:
        recipe: what the base itself converts and trains.
        changes: `field=value` that another family takes over where it has the field, or
            `family:field=value` for one family alone.
    """

    recipe: Recipe
    changes: tuple[str, ...] = ()

    def apply(self, variant: Variant) -> Recipe:
        """Returns what a variant converts and trains.

        Raises:
            ValueError: a field that does not exist, or a value that does not fit.
        """
        try:
            return self._apply(variant.settings)
        except ValueError as err:
            raise ValueError(f"variant {variant.name}: {err}") from err

    def _apply(self, changed: tuple[str, ...]) -> Recipe:
        roi = dataclasses.asdict(self.recipe.roi)
        run_config, settings = self.recipe.config, []
        for setting in changed:
            override = overrides.parse(setting)
            if override.family is None and override.field in ROI_FIELDS:
                roi[override.field] = override.value
            elif override.family is None and override.field == FAMILY:
                run_config = self._with_family(override.value)
            else:
                settings.append(setting)
        return Recipe(
            roi=fields.build(roi_config.RoiConfig, roi, ""),
            config=overrides.apply(run_config, settings),
        )

    def _with_family(self, family: str) -> config_module.Config:
        """The base with another family's defaults, and the changes that it has the fields for."""
        own = self.recipe.config
        if family == own.model.family:
            return own
        model = config_module.default_config(own.task, family).model
        return overrides.apply(
            dataclasses.replace(own, model=model), overrides.of_family(family, self.changes)
        )


def parse_factor(text: str) -> list[Variant]:
    """Returns the variants of `field=value,value,...`; values are JSON, else strings."""
    field, equals, values = text.partition("=")
    found = list(_split(values))
    if not equals or not field or not all(found):
        raise ValueError(f"--factors is {text!r}, expected field=value,value,...")
    return [
        Variant(name=f"{field}={value}", group=field, settings=(f"{field}={value}",))
        for value in found
    ]


def parse_bundle(text: str) -> Variant:
    """Returns the variant of `name:field=value,field=value`."""
    name, colon, settings = text.partition(":")
    found = tuple(_split(settings))
    if not colon or not all(found):
        raise ValueError(f"--variant is {text!r}, expected name:field=value,field=value")
    return Variant(name=name.strip(), group=name.strip(), settings=found)


def _split(text: str) -> Iterator[str]:
    """Parts between commas that are not inside brackets, as in 1,[2,3]."""
    depth, part = 0, ""
    for character in text:
        depth += (character in "[{") - (character in "]}")
        if character == "," and depth == 0:
            yield part.strip()
            part = ""
        else:
            part += character
    yield part.strip()
