"""The console script `spine-tf PROGRAM ...`, which runs a program as `python -m` would."""

import dataclasses
import difflib
import itertools
import pathlib
import runpy
import sys
import types
from collections.abc import Mapping, Sequence

from spine_tf.configuration import record_kind
from tfrecords import program as program_module, terminal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """A program.

    Attributes:
        module: what `python -m` runs; `spine-tf` takes this name too.
        purpose: in a few words.
    """

    module: str
    purpose: str


# All programs there are, in the order in which data pass them; tests hold the tree to this table.
PROGRAMS: Mapping[str, Program] = types.MappingProxyType(
    {
        name: Program(module=module, purpose=purpose)
        for name, module, purpose in (
            ("phantom", "spine_tf.phantom", "write synthetic studies in the RSNA layout"),
            ("organize", "spine_tf.organize", "any pile of DICOM files to the RSNA layout"),
            ("localize", "spine_tf.localize", "find points in studies that have none"),
            ("audit", "spine_tf.audit", "find errors in a data set"),
            ("subset", "spine_tf.subset", "a smaller data set of the same layout"),
            ("convert", "spine_tf.convert", "DICOM and CSV to sharded TFRecords"),
            ("records", "tfrecords", "verify or inspect a records directory"),
            ("augment", "spine_tf.augment", "draw every augmentation at three strengths"),
            ("config", "spine_tf.config", "every field of a configuration, or its JSON"),
            ("train", "spine_tf.train", "train one model, or one a fold"),
            ("search", "tuner", "search hyperparameters with Keras Tuner"),
            ("clean", "spine_tf.clean", "find labels that are probably wrong"),
            ("stack", "spine_tf.stack", "one answer a row from several runs' out-of-fold ones"),
            ("evaluate", "spine_tf.evaluate", "figures with intervals and a report"),
            ("ablate", "spine_tf.ablate", "change one thing at a time and measure it"),
            ("reproduce", "spine_tf.reproduce", "the report's experiment and its table"),
            ("export", "spine_tf.export", "write a SavedModel and what belongs to it"),
            ("predict", "spine_tf.predict", "studies, with points or without, to grades and pages"),
            ("serve", "spine_tf.serve", "a local page to drop a study on, and HTTP for programs"),
        )
    }
)


def main() -> None:
    """Runs the program that the first argument names, or says which there are."""
    terminal.outlive_readers()
    name, *arguments = sys.argv[1:] or ["help"]
    if name == "help" and arguments and arguments != ["help"]:
        _run(arguments[0], ["--help"])
    elif name in ("help", "--help", "-h"):
        sys.stdout.write(_usage())
    elif name in ("version", "--version"):
        sys.stdout.write(f"{program_module.version()}\n")
    else:
        _run(name, arguments)


def _run(name: str, arguments: Sequence[str]) -> None:
    names = {program.module: name for name, program in PROGRAMS.items()}
    name = names.get(name, name)
    if name not in PROGRAMS:
        nearest = difflib.get_close_matches(name, PROGRAMS, n=1)
        meant = f"; did you mean {nearest[0]}?" if nearest else ""
        sys.stderr.write(f"error: there is no program {name!r}{meant}\n{_usage()}")
        sys.exit(1)
    # Flags of one program stay out of another: each is run as the main module of its own.
    sys.argv = [sys.argv[0], *arguments]
    started_as = {program_module.STARTED_AS: ("spine-tf", name)}
    runpy.run_module(PROGRAMS[name].module, started_as, run_name="__main__", alter_sys=True)


def _usage() -> str:
    lines = [f"  {name:10} {program.purpose}" for name, program in PROGRAMS.items()]
    return "\n".join(
        [
            "spine-tf PROGRAM [--flag=value ...]",
            "spine-tf help PROGRAM",
            "spine-tf version",
            "",
            "Programs, which python -m runs too: spine_tf.PROGRAM; tfrecords for records, tuner "
            "for search.",
            "",
            *lines,
            "",
        ]
    )


# Words that stand in such a command for what the program can't know.
_PLACEHOLDERS = {
    "DATA": "studies in the RSNA layout, or for predict any pile of DICOM; a folder or a zip file",
    "RECORDS": "a directory that convert writes",
    "RUN": "a new directory",
    "OTHER": "a run of task landmarks on the other plane's records",
    "EXPORT": "a directory that export writes",
}


# By kind of record, a task and a family that is small and good at it.
_LANDMARKS = "landmarks"
_TRAININGS = {
    record_kind.ROI: ("multiclass", "residual"),
    record_kind.LEVEL: ("levels", "level"),
    record_kind.SAGITTAL: (_LANDMARKS, "unet"),
    record_kind.AXIAL: (_LANDMARKS, "unet"),
}


def print_next_training(records_dir: pathlib.Path, kind: str = record_kind.ROI) -> None:
    """Prints the command that trains on records of a kind."""
    task, model = _TRAININGS[kind]
    run_dir = beside(records_dir, "run")
    print_next("train", records_dir=records_dir, task=task, model=model, run_dir=run_dir)


def print_next_of_run(
    run_dir: pathlib.Path, records_dir: pathlib.Path, *, task: str, split: str
) -> None:
    """Prints the commands that take a run; of landmarks two runs make a localiser.

    Args:
        run_dir: of a finished training.
        records_dir: that it learned from.
        task: what it learned.
        split: that it has predictions of.
    """
    if task == _LANDMARKS:
        localizer_dir = beside(run_dir, "localizer")
        # A localiser has one network of each kind, not the mean of several folds'.
        one_dir = min((path.parent for path in run_dir.rglob("model.keras")), default=run_dir)
        print_next("export", run_dir=[one_dir, "OTHER"], export_dir=localizer_dir)
        return
    report_dir = beside(run_dir, "report")
    print_next(
        "evaluate", run_dir=run_dir, records_dir=records_dir, split=split, report_dir=report_dir
    )
    print_next("export", run_dir=run_dir, export_dir=beside(run_dir, "export"))


def beside(path: pathlib.Path, name: str) -> pathlib.Path:
    """Returns a path in the same folder that is free: `name`, else `name` with a number."""
    stem, suffix = pathlib.PurePath(name).stem, pathlib.PurePath(name).suffix
    more = (f"{stem}_{number}{suffix}" for number in itertools.count(2))
    names = itertools.chain([name], more)
    return next(found for each in names if not (found := path.parent / each).exists())


def print_next(name: str, *arguments: object, **values: object) -> None:
    """Prints the command that usually comes next, started as this program was.

    Args:
        name: the program's name, as in PROGRAMS.
        arguments, values: see `program.next_line`.
    """
    is_script = program_module.own_command()[0] == "spine-tf"
    start = ["spine-tf", name] if is_script else ["python", "-m", PROGRAMS[name].module]
    words = [word for value in values.values() for word in _listed(value)]
    meant = [f"{word}: {means}" for word, means in _PLACEHOLDERS.items() if word in words]
    comment = f"  # {'; '.join(meant)}" if meant else ""
    sys.stdout.write(f"{program_module.next_line(start, *arguments, **values)}{comment}\n")


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else [value]
