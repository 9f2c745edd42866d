"""Exports a trained run as one directory that a server can take; checks one that was received."""

import pathlib

from absl import flags, logging

from tfrecords import program

_RUN_DIR = flags.DEFINE_list(
    "run_dir",
    None,
    "A run directory of spine_tf.train; several (a,b,c) give one model, their mean.",
)
_EXPORT_DIR = flags.DEFINE_string("export_dir", None, "Directory to write; must not exist.")
_FORMATS = flags.DEFINE_list(
    "formats",
    ["saved_model"],
    "Some of saved_model (always written), onnx, openvino, litert, litert_int8.",
)
_RECORDS_DIR = flags.DEFINE_string(
    "records_dir", None, "The records that the run was trained on: litert_int8 needs them."
)
_CHECK = flags.DEFINE_string(
    "check", None, "Checks files and answers of an exported directory, and writes nothing."
)

_USAGE = """Exports a trained run as a SavedModel for TensorFlow Serving and in other formats.

  python -m spine_tf.export --run_dir W --export_dir E [--formats onnx,openvino,litert]
  python -m spine_tf.export --check E
"""


def main() -> None:
    if _CHECK.value is not None:
        _check()
    else:
        _export()


def _export() -> None:
    if not _RUN_DIR.value or not _EXPORT_DIR.value:
        raise ValueError("--run_dir and --export_dir are needed, or --check DIR alone")
    from spine_tf import run
    from spine_tf.serving import bundle, formats

    names = formats.parse_names(_FORMATS.value)
    runs = [run.load_run(pathlib.Path(directory)) for directory in _RUN_DIR.value]
    records_dir = pathlib.Path(_RECORDS_DIR.value) if _RECORDS_DIR.value else None
    if records_dir is not None and formats.INT8 not in names:
        raise ValueError("--records_dir has no effect without --formats litert_int8: leave it out")
    exported = bundle.export(
        runs, pathlib.Path(_EXPORT_DIR.value), format_names=names, records_dir=records_dir
    )
    logging.info("%d format(s) exported", len(exported.differences))
    print(exported.directory / "saved_model")
    print(exported.directory / "model_card.md")


def _check() -> None:
    if _RUN_DIR.value or _EXPORT_DIR.value:
        raise ValueError("--check stands alone: leave out --run_dir and --export_dir")
    from spine_tf.serving import verification

    findings = verification.check(pathlib.Path(_CHECK.value))
    print(f"{findings.num_files} files are as exported")
    for name, difference in findings.differences.items():
        print(f"{name} answers as golden: largest difference {difference:.1e}")
    for name, reason in findings.unchecked.items():
        print(f"{name} was not asked: {reason}")


if __name__ == "__main__":
    program.run(main, usage=_USAGE)
