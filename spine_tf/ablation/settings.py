"""What an ablation consists of, and whether one that lies there can be continued."""

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from spine_tf.ablation import presets, variant as variant_module
from spine_tf.configuration import config, differences, overrides
from spine_tf.conversion import plan
from tfrecords import atomic

FILE = "ablation.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The base and what is changed in it.

    Attributes:
        base: what the variants start from.
        conversion: rows, folds and the base's region of interest.
        variants: in the order in which they run; those that say the base again are left out.
        num_seeds: trainings of each, with seeds from the base's on.
    """

    base: variant_module.Base
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
        """Of the trainings of each variant."""
        first = self.base.recipe.config.seed
        return range(first, first + self.num_seeds)

    def conversion_of(self, recipe: variant_module.Recipe) -> plan.Settings:
        """Returns the conversion of a variant: the base's, with its own region of interest."""
        return dataclasses.replace(self.conversion, roi=recipe.roi)


def make_base(
    base_config: config.Config,
    changes: Iterable[str],
    conversion: plan.Settings,
    variants: Iterable[variant_module.Variant],
) -> variant_module.Base:
    """Returns the base: the configuration with the changes that its family has the fields for.

    Raises:
        ValueError: a change that is of no family of the base or a variant.
    """
    changes, own = tuple(changes), base_config.model.family
    families = [own, *(family for variant in variants for family in _families(variant))]
    overrides.require_concerned(families, changes)
    changed = overrides.apply(base_config, overrides.of_family(own, changes))
    recipe = variant_module.Recipe(roi=conversion.roi, config=changed)
    return variant_module.Base(recipe=recipe, changes=changes)


def read_variants(
    factors: Iterable[str], bundles: Iterable[str], preset_names: Iterable[str]
) -> tuple[variant_module.Variant, ...]:
    """Returns the variants of the flags, each once: presets, factors, bundles.

    Raises:
        ValueError: a text that is none, or an unknown preset.
    """
    read = [variant for name in preset_names for variant in presets.of(name)]
    read += [variant for text in factors for variant in variant_module.parse_factor(text)]
    read += [variant_module.parse_bundle(text) for text in bundles]
    found: dict[str, variant_module.Variant] = {}
    for variant in read:
        if found.setdefault(variant.name, variant).settings != variant.settings:
            raise ValueError(f"two variants are named {variant.name!r}: give them different names")
    return tuple(found.values())


def _families(variant: variant_module.Variant) -> list[str]:
    prefix = f"{variant_module.FAMILY}="
    return [text.removeprefix(prefix) for text in variant.settings if text.startswith(prefix)]


def to_json(settings: Settings, plan_config: Mapping[str, Any], source: Any) -> dict[str, Any]:
    """Returns what a later call has to agree with, as JSON types.

    Args:
        settings: of this call.
        plan_config: the base conversion's, with files by their content.
        source: the fingerprint of the data set.
    """
    values = {
        "config": config.to_dict(settings.base.recipe.config),
        "changes": settings.base.changes,
        "conversion": dict(plan_config),
        "source": source,
        "num_seeds": settings.num_seeds,
    }
    return {
        "base": json.loads(json.dumps(values)),
        "variants": [
            {**dataclasses.asdict(variant), "settings": list(variant.settings)}
            for variant in settings.variants
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
    stored = json.loads(path.read_text("utf-8"))
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


def variants_of(merged: Mapping[str, Any]) -> tuple[variant_module.Variant, ...]:
    """Returns the variants of a stored ablation, in the order in which they were first named."""
    return tuple(
        variant_module.Variant(**{**values, "settings": tuple(values["settings"])})
        for values in merged["variants"]
    )


def write(work_dir: pathlib.Path, merged: Mapping[str, Any]) -> None:
    """Writes ablation.json."""
    atomic.write_json(work_dir / FILE, dict(merged), indent=2)
