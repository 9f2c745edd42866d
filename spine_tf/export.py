"""Exports a trained run, or checks an export: `python -m spine_tf.export`."""

import pathlib

from absl import flags, logging

from spine_tf import cli, flags as flags_module
from spine_tf.configuration import directory_kind
from spine_tf.localization import localizer
from spine_tf.runs import run_kinds
from spine_tf.serving import formats
from tfrecords import program, words

_RUN_DIRS = flags_module.run_dirs(
    "A run of train, several (a,b,c), which give one model, their mean, or a stack; required "
    "without --check."
)
_EXPORT_DIR = flags.DEFINE_string(
    "export_dir", None, "Directory to write; must not exist; required without --check."
)
_FORMATS = flags.DEFINE_list(
    "formats",
    ["saved_model"],
    "Some of saved_model (always written), onnx, openvino, litert, litert_int8.",
)
_RECORDS_DIR = flags_module.records_dir(
    "The records that the run was trained on: litert_int8 needs them."
)
_LOCALIZER_DIR = flags_module.localizer_dir(
    ", which goes into the export, and finds points there instead of the package's own"
)
_NAME = flags.DEFINE_string(
    "name", None, "What reports call a localiser; the names of its runs if not given."
)
_CHECK = flags.DEFINE_string(
    "check", None, "Checks files and answers of an export or a localiser, and writes nothing."
)

_USAGE = """Exports a trained run as a SavedModel for TensorFlow Serving and in other formats.

  %s --run_dir W --export_dir E [--formats onnx,openvino,litert]
  %s --run_dir SAGITTAL,AXIAL --export_dir L --name NAME        runs of task landmarks: a localiser
  %s --check E
"""


def main() -> None:
    """Exports or checks as the flags say."""
    if _CHECK.value is not None:
        _check(pathlib.Path(_CHECK.value))
    else:
        _export()


def _export() -> None:
    run_dirs = flags_module.require_dirs(_RUN_DIRS)
    stacks = [path for path in run_dirs if directory_kind.of(path) is directory_kind.Kind.STACK]
    if stacks and len(run_dirs) > 1:
        raise ValueError(f"{stacks[0]} is a stack, which is exported alone: leave out the others")
    export_dir = program.require_output_dir(_EXPORT_DIR)
    if export_dir.exists():
        raise ValueError(f"{export_dir} exists; choose another --export_dir or remove it")

    if run_kinds.are_of_points(run_dirs):
        _export_localizer(run_dirs, export_dir)
        return
    if _NAME.value is not None:
        raise ValueError("--name has no effect on runs that grade: leave it out")
    names = formats.parse_names(_FORMATS.value)
    records_dir = program.path(_RECORDS_DIR)
    if records_dir is not None and formats.INT8 not in names:
        raise ValueError("--records_dir has no effect without --formats litert_int8: leave it out")
    runs_alone = [path for path in run_dirs if path not in stacks]
    flags_module.require_kinds(run_dir=runs_alone, records_dir=records_dir)

    # TensorFlow is imported only now: flags are checked before the seconds that it takes.
    from spine_tf.runs import run
    from spine_tf.serving import bundle

    localizer_dir = program.path(_LOCALIZER_DIR)
    if stacks:
        exported = bundle.export_stack(
            stacks[0], export_dir, format_names=names, localizer_dir=localizer_dir
        )
    else:
        exported = bundle.export(
            [run.load_run(directory) for directory in run_dirs],
            export_dir,
            format_names=names,
            records_dir=records_dir,
            localizer_dir=localizer_dir,
        )
    logging.info("%s exported", words.counted(len(exported.differences), "format"))
    print(exported.directory / "saved_model")
    print(exported.directory / "model_card.md")
    _print_next(exported.directory)


def _export_localizer(run_dirs: list[pathlib.Path], export_dir: pathlib.Path) -> None:
    """Makes a localiser of two runs that find points."""
    given = {"records_dir": _RECORDS_DIR, "formats": _FORMATS, "localizer_dir": _LOCALIZER_DIR}
    for name, flag in given.items():
        if flag.present:
            raise ValueError(f"--{name} has no effect on runs that find points: leave it out")
    from spine_tf.localization import localizer_export

    name = _NAME.value or " and ".join(path.resolve().name for path in run_dirs)
    differences = localizer_export.export(run_dirs, export_dir, name=name)
    for kind, difference in differences.items():
        print(f"{kind} network answers as its run: heights differ by {difference:.1e} at most")
    print(f"localiser: {export_dir}")
    _print_next_of_localizer(export_dir)


def _check(export_dir: pathlib.Path) -> None:
    if _RUN_DIRS.value or _EXPORT_DIR.value or _LOCALIZER_DIR.value:
        raise ValueError("--check stands alone: leave out --run_dir and --export_dir")
    if (export_dir / localizer.FILE_NAME).exists():
        _check_localizer(export_dir)
        return
    flags_module.require_kinds(check=export_dir)
    from spine_tf.serving import answer_check

    findings = answer_check.check(export_dir)
    print(f"as exported: {words.counted(findings.num_files, 'file')}")
    for name, difference in findings.differences.items():
        print(f"{name} answers as golden: largest difference {difference:.1e}")
    for name, reason in findings.unchecked.items():
        print(f"{name} was not asked: {reason}")
    _print_next(export_dir)


def _check_localizer(localizer_dir: pathlib.Path) -> None:
    found = localizer.read(localizer_dir)
    print(f"the files of localiser {found.name!r} are as exported")
    from spine_tf.localization import networks

    networks.Networks(found).warm()
    print("both networks answer with heatmaps")
    _print_next_of_localizer(localizer_dir)


def _print_next_of_localizer(localizer_dir: pathlib.Path) -> None:
    cli.print_next("localize", data_dir="DATA", output="points.csv", localizer_dir=localizer_dir)


def _print_next(export_dir: pathlib.Path) -> None:
    output = cli.beside(export_dir, "submission.csv")
    cli.print_next("predict", model_dir=export_dir, data_dir="DATA", output=output)


if __name__ == "__main__":
    program.run(main, usage=_USAGE)
