"""The table of the kinds of record."""

from spine_tf.configuration import limits, record_kind, roi_config
from spine_tf.conversion import axial_kind, kind, level_kind, roi_kind, sagittal_kind

_KINDS: dict[str, type[kind.Kind]] = {
    record_kind.ROI: roi_kind.RoiKind,
    record_kind.LEVEL: level_kind.LevelKind,
    record_kind.SAGITTAL: sagittal_kind.SagittalKind,
    record_kind.AXIAL: axial_kind.AxialKind,
}


def make(name: str, region: roi_config.RoiConfig) -> kind.Kind:
    """Returns a kind of record.

    Args:
        name: of the kind.
        region: what a record shows around a point; a kind that decides it itself takes the
            default for its own.

    Raises:
        ValueError: there is no such kind, or its region of interest is another one.
    """
    limits.Choice(tuple(_KINDS)).require("--kind", name)
    found = _KINDS[name]
    if region != roi_config.RoiConfig():
        require_region(name, region)
    return found(region=found.fixed_region or region)


def require_region(name: str, region: roi_config.RoiConfig) -> None:
    """Raises ValueError where a kind of record has another region of interest, of its own."""
    fixed = _KINDS[name].fixed_region
    if fixed is not None and region != fixed:
        raise ValueError(
            f"--kind {name} has a region of interest of its own, {fixed.roi_mm:g} mm at "
            f"{fixed.roi_px} px and {fixed.num_slices} slices: leave --roi_mm, --roi_px, "
            "--num_slices, --mirror_right and --window out"
        )
