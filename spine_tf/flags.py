"""The flags that programs share, each declared once, and what their values mean.

absl's flags are global, so nothing is defined here by itself: a program calls, at its top, what it
wants to have. A class stands for flags that belong together: made, it defines them; its methods
turn their values into settings. Flags that mean another thing in each program stay there.
"""

import pathlib
from collections.abc import Collection
from typing import TYPE_CHECKING

from absl import flags

from spine_tf import labels
from spine_tf.configuration import (
    config as config_module,
    directory_kind,
    model_configs,
    record_kind,
    roi_config,
)
from spine_tf.processes import pool
from tfrecords import program

if TYPE_CHECKING:
    from spine_tf.conversion import plan

_MOST_WORKERS = 1024
_KINDS = {
    "data_dir": directory_kind.Kind.DATA,
    "records_dir": directory_kind.Kind.RECORDS,
    "run_dir": directory_kind.Kind.RUN,
    "model_dir": directory_kind.Kind.EXPORT,
    "check": directory_kind.Kind.EXPORT,
}

# So that --help of a program lists what it asks for here as flags of its own.
flags.disclaim_key_flags()


def data_dir(
    text: str = "Folder or zip file in the RSNA layout; required.",
) -> flags.FlagHolder[str | None]:
    """Defines --data_dir."""
    return flags.DEFINE_string("data_dir", None, text)


def records_dir(
    text: str = "Directory that convert wrote; required.",
) -> flags.FlagHolder[str | None]:
    """Defines --records_dir."""
    return flags.DEFINE_string("records_dir", None, text)


def verify() -> flags.FlagHolder[bool]:
    """Defines --verify."""
    return flags.DEFINE_bool(
        "verify",
        True,
        "Compare the sha256 of the records that are read with manifest.json; what can't be in a "
        "record is found without it too.",
    )


def run_dirs(text: str) -> flags.FlagHolder[list[str] | None]:
    """Defines --run_dir, which takes several."""
    return flags.DEFINE_list("run_dir", None, text)


def require_dirs(flag: flags.FlagHolder[list[str] | None]) -> list[pathlib.Path]:
    """Returns the directories, at least one; ValueError where the flag is not given.

    One whose name has a comma is taken for what it is where it stands alone; among others it is
    to be in quotes, as in a CSV.
    """
    if not flag.value:
        raise ValueError(f"--{flag.name} is missing; see --help")
    whole = pathlib.Path(",".join(flag.value))
    return [whole] if whole.exists() else [pathlib.Path(name) for name in flag.value]


def require_kinds(**given: pathlib.Path | list[pathlib.Path] | None) -> None:
    """Raises ValueError where what a flag names is another kind of directory, and says which.

    Args:
        given: directories by the flag that names them, such as records_dir=...; None is passed
            over. --data_dir may be a zip file.
    """
    for name, value in given.items():
        for path in value if isinstance(value, list) else [value]:
            if path is not None and not (name == "data_dir" and path.is_file()):
                directory_kind.require(path, _KINDS[name], f"--{name}")


def points(more: str = "") -> flags.FlagHolder[str | None]:
    """Defines --points."""
    return flags.DEFINE_string(
        "points",
        None,
        f"CSV of points, .mrk.json of 3D Slicer, or a folder of those, instead of --data_dir's own "
        f"coordinates{more}.",
    )


def localizer_dir(text: str) -> flags.FlagHolder[str | None]:
    """Defines --localizer_dir."""
    return flags.DEFINE_string(
        "localizer_dir",
        None,
        f"Directory of a localiser's two networks, with localizer.json{text}.",
    )


def study_pages() -> flags.FlagHolder[str | None]:
    """Defines --report_dir of programs that read studies."""
    return flags.DEFINE_string(
        "report_dir",
        None,
        "Where index.html, a page a study and markups for 3D Slicer go; those of the same data are "
        "replaced.",
    )


def side() -> flags.FlagHolder[str | None]:
    """Defines --side."""
    return flags.DEFINE_enum(
        "side",
        None,
        ["test", "train"],
        "With --data_dir: which studies; the test side where there is one, else the train side.",
    )


def work_dir(more: str = "") -> flags.FlagHolder[str | None]:
    """Defines --work_dir."""
    return flags.DEFINE_string("work_dir", None, f"Where everything is written{more}; required.")


def max_minutes(more: str = "") -> flags.FlagHolder[float | None]:
    """Defines --max_minutes."""
    return flags.DEFINE_float("max_minutes", None, f"Minutes that this call may take{more}.")


def resume(what: str) -> flags.FlagHolder[bool]:
    """Defines --resume."""
    return flags.DEFINE_bool("resume", False, f"Go on with the {what}.")


def overwrite(what: str) -> flags.FlagHolder[bool]:
    """Defines --overwrite."""
    return flags.DEFINE_bool("overwrite", False, f"Remove the {what} that is there first.")


def seed(of: str, *, lower_bound: int | None = None) -> flags.FlagHolder[int]:
    """Defines --seed, 0 where it is not given."""
    return flags.DEFINE_integer("seed", 0, f"Seed of {of}.", lower_bound=lower_bound)


def configured_seed(of: str) -> flags.FlagHolder[int | None]:
    """Defines --seed, what the configuration says where it is not given."""
    return flags.DEFINE_integer("seed", None, f"Seed of {of}; overrides the configuration.")


def task(names: Collection[str] = config_module.TASKS) -> flags.FlagHolder[str | None]:
    """Defines --task, one of the names."""
    text = "Which classes are told apart; required without --config."
    return flags.DEFINE_enum("task", None, list(names), text)


def models(default: Collection[str], purpose: str) -> flags.FlagHolder[list[str]]:
    """Defines --models, families."""
    known = ", ".join(model_configs.MODEL_CONFIGS)
    return flags.DEFINE_list("models", list(default), f"Families {purpose}: some of {known}.")


def config(of: str = "") -> flags.FlagHolder[str | None]:
    """Defines --config."""
    return flags.DEFINE_string(
        "config", None, f"Configuration JSON{of}: a run's config.json or a search's best.json."
    )


def changes(whose: str, more: str = "") -> flags.FlagHolder[list[str]]:
    """Defines --set, whose grammar is in configuration/overrides.py."""
    text = f"field=value{whose}, or family:field=value for one alone; may be repeated{more}."
    return flags.DEFINE_multi_string("set", [], text)


class Workers:
    """--workers: how many processes."""

    def __init__(
        self, text: str = "Processes; all cores if not given.", default: int | None = None
    ) -> None:
        self.flag = flags.DEFINE_integer("workers", default, text)

    @property
    def is_given(self) -> bool:
        """Whether a number is asked for."""
        return self.flag.value != self.flag.default

    def number(self) -> int:
        """Returns how many, all cores where nothing is asked for; ValueError out of range."""
        if not self.is_given:
            return pool.num_cpus()
        value = self.flag.value or 0
        if not 1 <= value <= _MOST_WORKERS:
            raise ValueError(f"--workers is {value}, expected 1 to {_MOST_WORKERS}")
        return value


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
        self._points = points()
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


class Configuration:
    """--task, --model, --config, --set, --seed: the configuration of a run."""

    def __init__(
        self,
        *,
        task_names: Collection[str] = config_module.TASKS,
        of: str = "",
        changed: str = ", such as model.dropout=0.3",
        seeded: str = "everything random",
    ) -> None:
        """Defines the flags.

        Args:
            task_names: tasks to choose from.
            of: whose configuration it is, such as " of the base".
            changed: whose fields --set sets.
            seeded: what --seed is the seed of.
        """
        families = list(model_configs.MODEL_CONFIGS)
        self._task = task(task_names)
        self._model = flags.DEFINE_enum(
            "model", None, families, f"Model family{of}; required without --config."
        )
        self._config = config(of)
        self._set = changes(changed)
        self._seed = configured_seed(seeded)

    def base(self, resumed: pathlib.Path | None = None) -> config_module.Config:
        """Returns what --set and --seed change: the file of --config, or a family's defaults.

        Args:
            resumed: configuration of the run that goes on, taken where no other is asked for.

        Raises:
            ValueError: the file says otherwise than --task or --model, or there is neither.
        """
        path = program.path(self._config)
        if path is None and self._model.value is None:
            path = resumed
        if path is None:
            return config_module.default_config(
                program.require(self._task), program.require(self._model)
            )
        found = config_module.read_config(path)
        for flag, said in ((self._task, found.task), (self._model, found.model.family)):
            if flag.value is not None and flag.value != said:
                raise ValueError(
                    f"--{flag.name} is {flag.value}, but {path} says {said}: leave out one of them"
                )
        return found

    def changes(self) -> list[str]:
        """Returns the overrides of --set and --seed."""
        seeds = [] if self._seed.value is None else [f"seed={self._seed.value}"]
        return [*self._set.value, *seeds]
