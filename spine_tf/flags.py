"""The flags that programs share, each declared once, and what their values mean.

absl's flags are global, so nothing is defined here by itself: a program calls, at its top, what it
wants to have. A class stands for flags that belong together: made, it defines them; its methods
turn their values into settings. Flags that mean another thing in each program stay there.
"""

import pathlib
from collections.abc import Collection

from absl import flags

from spine_tf.configuration import config as config_module, directory_kind, model_configs
from spine_tf.processes import pool
from tfrecords import program

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


def require_report_dir(flag: flags.FlagHolder[str | None]) -> pathlib.Path:
    """Returns the directory of a report, a new one or an earlier one's; ValueError of any other.

    Pages among the files of a data set, records, a run or an export would be taken for theirs.
    """
    found = program.require_output_dir(flag)
    kind = directory_kind.of(found)
    if kind not in (None, directory_kind.Kind.REPORT):
        raise ValueError(
            f"--{flag.name} {found} is {kind.words}, expected a folder for pages alone: name "
            "another, which may lie in it"
        )
    return found


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
