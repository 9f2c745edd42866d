"""The flags that decide the records of a conversion, for the programs that convert or choose rows.

Made as those of `spine_tf.flags` are: each class defines its flags when a program makes it.
"""

from typing import TYPE_CHECKING

from absl import flags

from spine_tf import flags as flags_module, labels
from spine_tf.configuration import record_kind, roi_config
from tfrecords import program

if TYPE_CHECKING:
    from spine_tf.conversion import plan

# So that --help of a program lists what it asks for here as flags of its own.
flags.disclaim_key_flags()

CONDITIONS, LEVELS = ("left_subarticular_stenosis", "right_subarticular_stenosis"), ("l4_l5",)


class Rows:
    """--conditions and --levels: which rows of the CSVs are meant."""

    def __init__(self, purpose: str) -> None:
        self._conditions = flags.DEFINE_list(
            "conditions",
            ",".join(CONDITIONS),
            f"Conditions {purpose}: all, or some of {', '.join(labels.CONDITIONS)}.",
        )
        self._levels = flags.DEFINE_list(
            "levels",
            ",".join(LEVELS),
            f"Levels {purpose}: all, or some of {', '.join(labels.LEVELS)}.",
        )

    @property
    def conditions(self) -> tuple[str, ...]:
        """The conditions, unchecked."""
        return _names(self._conditions, labels.CONDITIONS)

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels, unchecked."""
        return _names(self._levels, labels.LEVELS)

    def given_or_all(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Returns conditions and levels, unchecked, all of what the user doesn't choose."""
        return (
            self.conditions if self._conditions.present else labels.CONDITIONS,
            self.levels if self._levels.present else labels.LEVELS,
        )


def _names(flag: flags.FlagHolder[list[str]], known: tuple[str, ...]) -> tuple[str, ...]:
    return known if flag.value == ["all"] else tuple(flag.value)


def num_slices(text: str) -> flags.FlagHolder[int]:
    """Defines --num_slices."""
    return flags.DEFINE_integer("num_slices", roi_config.RoiConfig.num_slices, text)


def window(text: str) -> flags.FlagHolder[str]:
    """Defines --window."""
    default = roi_config.RoiConfig.window
    return flags.DEFINE_enum("window", default, list(roi_config.WINDOWS), text)


class Roi:
    """--roi_mm, --roi_px, --num_slices, --mirror_right, --window: the region of interest."""

    def __init__(self, of: str = "") -> None:
        default = roi_config.RoiConfig()
        self._roi_mm = flags.DEFINE_float(
            "roi_mm", default.roi_mm, f"Side of a crop in millimetres{of}."
        )
        self._roi_px = flags.DEFINE_integer(
            "roi_px", default.roi_px, f"Side of a crop in pixels{of}."
        )
        self._num_slices = num_slices(f"Slices of a crop, odd, 1 to 63{of}.")
        self._mirror_right = flags.DEFINE_bool(
            "mirror_right",
            default.mirror_right,
            f"Flip axial crops of one side, so that lateral lies to the right{of}.",
        )
        self._window = window(f"Pixels whose 0.5 and 99.5 percentile become black and white{of}.")

    @property
    def is_given(self) -> bool:
        """Whether any of it is asked for."""
        asked = (self._roi_mm, self._roi_px, self._num_slices, self._mirror_right, self._window)
        return any(flag.present for flag in asked)

    def config(self) -> roi_config.RoiConfig:
        """Returns the region of interest; ValueError for a value out of range."""
        return roi_config.RoiConfig(
            roi_mm=self._roi_mm.value,
            roi_px=self._roi_px.value,
            num_slices=self._num_slices.value,
            mirror_right=self._mirror_right.value,
            window=self._window.value,
        )


def _kind() -> flags.FlagHolder[str]:
    said = "; ".join(f"{name}: {text}" for name, text in record_kind.NAMES.items())
    return flags.DEFINE_enum(
        "kind",
        record_kind.ROI,
        list(record_kind.NAMES),
        f"What a record holds. {said}. Of kinds but roi, --conditions and --levels are all if not "
        "given.",
    )


class Conversion:
    """Rows, region of interest and folds: all that decides the records of a conversion."""

    def __init__(
        self, rows: str, of: str = "", seed_name: str = "seed", *, has_kinds: bool = False
    ) -> None:
        """Defines the flags.

        Args:
            rows: what is done with the rows, such as "to convert".
            of: whose region of interest it is, such as "; the base's".
            seed_name: name of the flag with the folds' seed.
            has_kinds: defines --kind too; else records are regions of interest.
        """
        self._kind = _kind() if has_kinds else None
        self._rows = Rows(rows)
        self._roi = Roi(of)
        self._num_folds = flags.DEFINE_integer("num_folds", 5, "Folds, 2 to 99.")
        self._test_fraction = flags.DEFINE_float(
            "test_fraction", 0.15, "Part of the studies that is set aside to test on, 0 to 1."
        )
        self._folds_csv = flags.DEFINE_string(
            "folds_csv", None, "CSV with the columns study_id and fold, which decides the folds."
        )
        self._exclude = flags.DEFINE_string(
            "exclude", None, "CSV with a column key: rows to leave out."
        )
        self._points = flags_module.points()
        self._seed = flags.DEFINE_integer(seed_name, 0, "Seed of the folds.")

    def settings(self) -> "plan.Settings":
        """Returns the settings; ValueError for what can't be, or has no effect beside the rest."""
        from spine_tf.conversion import kinds, plan

        for flag in (self._test_fraction, self._seed):
            if self._folds_csv.value and flag.present:
                raise ValueError(
                    f"--{flag.name} has no effect beside --folds_csv: leave one of them out"
                )
        kind = record_kind.ROI if self._kind is None else self._kind.value
        conditions, levels = (
            (self._rows.conditions, self._rows.levels)
            if kind == record_kind.ROI
            else self._rows.given_or_all()
        )
        roi = self._roi.config()
        if self._roi.is_given:
            kinds.require_region(kind, roi)
        return plan.Settings(
            conditions=conditions,
            levels=levels,
            roi=roi,
            kind=kind,
            num_folds=self._num_folds.value,
            test_fraction=self._test_fraction.value,
            seed=self._seed.value,
            folds_csv=program.path(self._folds_csv),
            exclude=program.path(self._exclude),
            points=program.path(self._points),
        )
