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
    fixed = found.fixed_region
    if fixed is None:
        return found(region=region)
    if region not in (roi_config.RoiConfig(), fixed):
        raise ValueError(
            f"--kind {name} has a region of interest of its own, {fixed.roi_mm:g} mm at "
            f"{fixed.roi_px} px and {fixed.num_slices} slices: leave --roi_mm, --roi_px, "
            "--num_slices, --mirror_right and --window out"
        )
    return found(region=fixed)
