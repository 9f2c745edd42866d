"""Converts annotated DICOM into sharded TFRecords."""

import pathlib
import time
import typing

from absl import flags, logging

from spine_tf import cli, conversion_flags, flags as flags_module
from tfrecords import program

if typing.TYPE_CHECKING:
    from spine_tf.conversion import job

_DATA_DIR = flags_module.data_dir()
_OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "Records directory; required.")
_CONVERSION = conversion_flags.Conversion("to convert", has_kinds=True)
_WORKERS = flags_module.Workers()
_MAX_REJECT_FRACTION = flags.DEFINE_float(
    "max_reject_fraction", 0.05, "More rejected rows end the run with exit status 3."
)
_OVERWRITE = flags_module.overwrite("conversion")
_ENGINE = flags.DEFINE_enum("engine", "local", ["local", "beam"], "What runs the shards.")
_BEAM_ARGS = flags.DEFINE_string(
    "beam_args", None, "Apache Beam's flags, such as '--runner=FlinkRunner --parallelism=8'."
)
_SHARDS = flags.DEFINE_string("shards", None, "i/N: write part i of N, i from 0.")
_DRY_RUN = flags.DEFINE_bool(
    "dry_run", False, "Say what would be written, from the CSVs and 16 images; write nothing."
)
_FINALIZE = flags.DEFINE_bool("finalize", False, "Complete a directory of --shards runs.")


def main() -> None:
    """Runs the conversion, or the part of it, that the flags describe."""
    from spine_tf.conversion import finalize, job
    from spine_tf.rsna import sources

    start = time.monotonic()
    _check_combinations()
    data_dir = program.require_path(_DATA_DIR)
    output_dir = None if _DRY_RUN.value else program.require_output_dir(_OUTPUT_DIR)
    flags_module.require_kinds(data_dir=data_dir)
    if output_dir is None:
        _preview(data_dir)
        return
    conversion, source = _CONVERSION.settings(), sources.open_source(data_dir)
    if _SHARDS.value is not None:
        slot = _parse_slot(_SHARDS.value)
        job.convert_slot(
            source,
            output_dir,
            conversion,
            slot,
            num_workers=_WORKERS.number(),
            beam_args=_beam_args(),
        )
        print(f"slot {_SHARDS.value} of {output_dir} is done; when all are:")
        same = program.given(_SHARDS, _ENGINE, _BEAM_ARGS, _WORKERS.flag)
        cli.print_next("convert", *same, finalize=True)
        return
    if _FINALIZE.value:
        dataset = job.finish(
            source, output_dir, conversion, max_reject_fraction=_MAX_REJECT_FRACTION.value
        )
    else:
        dataset = job.convert(
            source,
            output_dir,
            conversion,
            num_workers=_WORKERS.number(),
            beam_args=_beam_args(),
            max_reject_fraction=_MAX_REJECT_FRACTION.value,
            is_overwritten=_OVERWRITE.value,
        )
    print(finalize.summarize(dataset))
    logging.info("converted in %.1f s", time.monotonic() - start)
    print(f"records: {output_dir}")
    cli.print_next("records", "verify", output_dir)
    cli.print_next_training(output_dir, conversion.kind)


def _preview(data_dir: pathlib.Path) -> None:
    from spine_tf.conversion import preview
    from spine_tf.rsna import sources

    found = preview.preview(sources.open_source(data_dir), _CONVERSION.settings())
    for note in found.wanted.notes:
        logging.warning("%s", note)
    print(found.in_words(_WORKERS.number()))
    output_dir = _OUTPUT_DIR.value or cli.beside(data_dir, "records")
    same = program.given(_DRY_RUN, _OUTPUT_DIR)
    cli.print_next("convert", *same, output_dir=output_dir)


def _beam_args() -> str | None:
    return (_BEAM_ARGS.value or "") if _ENGINE.value == "beam" else None


def _parse_slot(text: str) -> "job.Slot":
    from spine_tf.conversion import job

    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal()):
        raise ValueError(f"--shards is {text!r}, expected i/N, such as 0/4")
    return job.Slot(index=int(index), count=int(count))


def _check_combinations() -> None:
    """Refuses flags that could have no effect beside each other."""
    if _SHARDS.value is not None and _FINALIZE.value:
        raise ValueError("--shards and --finalize exclude each other: finalize when all are done")
    if _DRY_RUN.value and (_FINALIZE.value or _SHARDS.value is not None or _ENGINE.present):
        raise ValueError(
            "--dry_run is of a whole conversion here: leave out --shards, --finalize and --engine"
        )
    if _OVERWRITE.value and (_SHARDS.value is not None or _FINALIZE.value):
        raise ValueError(
            "--overwrite is not possible beside --shards or --finalize: other slots may be at work"
        )
    if _ENGINE.value == "beam" and _WORKERS.is_given:
        raise ValueError("--workers has no effect beside --engine beam: say it in --beam_args")
    if _ENGINE.value != "beam" and _BEAM_ARGS.value is not None:
        raise ValueError("--beam_args has no effect without --engine beam")
    if _FINALIZE.value and (_ENGINE.value == "beam" or _WORKERS.is_given):
        raise ValueError("--engine and --workers have no effect beside --finalize: leave them out")
    if not 0 <= _MAX_REJECT_FRACTION.value <= 1:
        raise ValueError(f"--max_reject_fraction is {_MAX_REJECT_FRACTION.value}, expected 0 to 1")


if __name__ == "__main__":
    program.run(
        main,
        usage="DICOM to records.\n\n%s --data_dir D --output_dir R [--levels all] [--dry_run]\n",
    )
