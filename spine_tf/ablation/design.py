"""The design of an ablation: a base, what varies, and whether one that lies there can go on."""

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from spine_tf.ablation import variant as variant_module
from spine_tf.configuration import config as config_module, differences, overrides, roi_config
from spine_tf.conversion import plan
from tfrecords import atomic, json_object

FILE = "ablation.json"

# What a variant sets beside the fields of the configuration: the family, the region of interest.
_FAMILY = "model"
_ROI_FIELDS = tuple(field.name for field in dataclasses.fields(roi_config.RoiConfig))


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

    def apply(self, variant: variant_module.Variant) -> Recipe:
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
            if override.family is None and override.field in _ROI_FIELDS:
                roi[override.field] = override.value
            elif override.family is None and override.field == _FAMILY:
                run_config = self._with_family(override.value)
            else:
                settings.append(setting)
        return Recipe(
            roi=json_object.build(roi_config.RoiConfig, roi, ""),
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Design:
    """The base and what is changed in it.

    Attributes:
        base: what the variants start from.
        conversion: rows, folds and the base's region of interest.
        variants: in the order in which they run; those that say the base again are left out.
        num_seeds: trainings of each, with seeds from the base's on.
    """

    base: Base
    conversion: plan.Settings
    variants: tuple[variant_module.Variant, ...]
    num_seeds: int = 1

    def __post_init__(self) -> None:
        if self.num_seeds < 1:
            raise ValueError(f"--seeds is {self.num_seeds}, expected at least 1")
        different = [
            variant for variant in self.variants if self.base.apply(variant) != self.base.recipe
        ]
        slugs = [variant.slug for variant in different]
        for slug in slugs:
            if slugs.count(slug) > 1:
                raise ValueError(f"two variants are named {slug!r}: give them different names")
        object.__setattr__(self, "variants", tuple(different))

    @property
    def seeds(self) -> range:
        """The seeds of each variant's trainings, one a training."""
        first = self.base.recipe.config.seed
        return range(first, first + self.num_seeds)

    def conversion_of(self, recipe: Recipe) -> plan.Settings:
        """Returns the conversion of a variant: the base's, with its own region of interest."""
        return dataclasses.replace(self.conversion, roi=recipe.roi)


def make_base(
    base_config: config_module.Config,
    changes: Iterable[str],
    conversion: plan.Settings,
    variants: Iterable[variant_module.Variant],
) -> Base:
    """Returns the base: the configuration with the changes that its family has the fields for.

    Raises:
        ValueError: a change that is of no family of the base or a variant.
    """
    changes, own = tuple(changes), base_config.model.family
    families = [own, *(family for variant in variants for family in _families(variant))]
    overrides.require_concerned(families, changes)
    changed = overrides.apply(base_config, overrides.of_family(own, changes))
    recipe = Recipe(roi=conversion.roi, config=changed)
    return Base(recipe=recipe, changes=changes)


def _families(variant: variant_module.Variant) -> list[str]:
    prefix = f"{_FAMILY}="
    return [text.removeprefix(prefix) for text in variant.settings if text.startswith(prefix)]


def to_json(design: Design, plan_config: Mapping[str, Any], source: Any) -> dict[str, Any]:
    """Returns what a later call has to agree with, as JSON types.

    Args:
        design: what this call asks for.
        plan_config: the base conversion's, with files by their content.
        source: the fingerprint of the data set.
    """
    values = {
        "config": config_module.to_dict(design.base.recipe.config),
        "changes": design.base.changes,
        "conversion": dict(plan_config),
        "source": source,
        "num_seeds": design.num_seeds,
    }
    return {
        "base": json.loads(json.dumps(values)),
        "variants": [
            {**dataclasses.asdict(variant), "settings": list(variant.settings)}
            for variant in design.variants
        ],
    }


def merge(work_dir: pathlib.Path, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the stored ablation with the variants of this call added.

    Raises:
        ValueError: the base, or a variant of the same name, is another one.
    """
    path = work_dir / FILE
    if not path.is_file():
        return dict(wanted)
    stored = json_object.read_as(
        _require_stored, path, expected="an ablation", mend="choose another --work_dir"
    )
    found = differences.differences(stored["base"], wanted["base"])
    known = {variant["name"]: variant for variant in stored["variants"]}
    for variant in wanted["variants"]:
        known.setdefault(variant["name"], variant)
        found += differences.differences(known[variant["name"]], variant, variant["name"])
    if found:
        raise ValueError(
            f"{path} was begun otherwise: {'; '.join(found)}: go on with the same, or choose "
            "another --work_dir"
        )
    return {**stored, "variants": list(known.values())}


def _require_stored(values: dict[str, Any]) -> dict[str, Any]:
    """What `to_json` makes: a base, and variants that are ones."""
    json_object.convert(dict[str, Any], values["base"], "base")
    json_object.convert(tuple[variant_module.Variant, ...], values["variants"], "variants")
    return values


def variants_of(merged: Mapping[str, Any]) -> tuple[variant_module.Variant, ...]:
    """Returns the variants of a stored ablation, in the order in which they were first named."""
    return tuple(
        variant_module.Variant(**{**values, "settings": tuple(values["settings"])})
        for values in merged["variants"]
    )


def write(work_dir: pathlib.Path, merged: Mapping[str, Any]) -> None:
    """Writes ablation.json."""
    atomic.write_json(work_dir / FILE, dict(merged), indent=2)
