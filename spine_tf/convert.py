"""Converts annotated DICOM into sharded TFRecords."""

import pathlib
import time
import typing

from absl import flags, logging

from spine_tf.processes import pool
from tfrecords import program

if typing.TYPE_CHECKING:
    from spine_tf.conversion import job, plan

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder or zip file in the RSNA layout.")
_OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "Records directory.")
_CONDITIONS = flags.DEFINE_list(
    "conditions",
    "left_subarticular_stenosis,right_subarticular_stenosis",
    "Conditions to convert, or all.",
)
_LEVELS = flags.DEFINE_list("levels", "l4_l5", "Levels to convert, or all.")
_ROI_MM = flags.DEFINE_float("roi_mm", 50.0, "Side of a crop in millimetres.")
_ROI_PX = flags.DEFINE_integer("roi_px", 128, "Side of a crop in pixels.")
_NUM_SLICES = flags.DEFINE_integer("num_slices", 1, "Slices of a crop, odd.")
_MIRROR_RIGHT = flags.DEFINE_bool(
    "mirror_right", True, "Flip axial crops of one side, so that lateral lies to the right."
)
_WINDOW = flags.DEFINE_enum(
    "window",
    "slice",
    ["slice", "series", "crop"],
    "Pixels whose 0.5 and 99.5 percentile become black and white.",
)
_NUM_FOLDS = flags.DEFINE_integer("num_folds", 5, "Folds.")
_TEST_FRACTION = flags.DEFINE_float("test_fraction", 0.15, "Part of the studies to test on.")
_FOLDS_CSV = flags.DEFINE_string("folds_csv", None, "study_id,fold: decides the folds.")
_EXCLUDE = flags.DEFINE_string("exclude", None, "CSV with a column key: rows to leave out.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the folds.")
_WORKERS = flags.DEFINE_integer("workers", None, "Processes; all cores if not given.")
_MAX_REJECT_FRACTION = flags.DEFINE_float(
    "max_reject_fraction", 0.05, "More rejected rows end the run with exit status 3."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Remove a conversion that is there.")
_ENGINE = flags.DEFINE_enum("engine", "local", ["local", "beam"], "What runs the shards.")
_BEAM_ARGS = flags.DEFINE_string(
    "beam_args", None, "Apache Beam's flags, such as '--runner=FlinkRunner --parallelism=8'."
)
_SHARDS = flags.DEFINE_string("shards", None, "i/N: write part i of N, i from 0.")
_FINALIZE = flags.DEFINE_bool("finalize", False, "Complete a directory of --shards runs.")


def main() -> None:
    """Runs the conversion, or the part of it, that the flags describe."""
    from spine_tf.conversion import finalize, job
    from spine_tf.rsna import sources

    start = time.monotonic()
    _check_combinations()
    data_dir = pathlib.Path(program.require("data_dir", _DATA_DIR.value))
    output_dir = pathlib.Path(program.require("output_dir", _OUTPUT_DIR.value))
    conversion, source = _settings(), sources.open_source(data_dir)
    if _SHARDS.value is not None:
        slot = _parse_slot(_SHARDS.value)
        job.convert_slot(
            source,
            output_dir,
            conversion,
            slot,
            num_workers=_num_workers(),
            beam_args=_beam_args(),
        )
        print(f"slot {_SHARDS.value} of {output_dir} is done; when all are, run --finalize")
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
            num_workers=_num_workers(),
            beam_args=_beam_args(),
            max_reject_fraction=_MAX_REJECT_FRACTION.value,
            is_overwritten=_OVERWRITE.value,
        )
    print(finalize.summarize(dataset))
    logging.info("converted in %.1f s", time.monotonic() - start)
    print(f"records: {output_dir}")


def _settings() -> "plan.Settings":
    from spine_tf import labels
    from spine_tf.configuration import roi_config
    from spine_tf.conversion import plan

    return plan.Settings(
        conditions=_names(_CONDITIONS.value, labels.CONDITIONS),
        levels=_names(_LEVELS.value, labels.LEVELS),
        roi=roi_config.RoiConfig(
            roi_mm=_ROI_MM.value,
            roi_px=_ROI_PX.value,
            num_slices=_NUM_SLICES.value,
            mirror_right=_MIRROR_RIGHT.value,
            window=_WINDOW.value,
        ),
        num_folds=_NUM_FOLDS.value,
        test_fraction=_TEST_FRACTION.value,
        seed=_SEED.value,
        folds_csv=pathlib.Path(_FOLDS_CSV.value) if _FOLDS_CSV.value else None,
        exclude=pathlib.Path(_EXCLUDE.value) if _EXCLUDE.value else None,
    )


def _names(given: list[str], known: tuple[str, ...]) -> tuple[str, ...]:
    return known if given == ["all"] else tuple(given)


def _num_workers() -> int:
    if _WORKERS.value is None:
        return pool.num_cpus()
    if not 1 <= _WORKERS.value <= 1024:
        raise ValueError(f"--workers is {_WORKERS.value}, expected 1 to 1024")
    return _WORKERS.value


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
    if _OVERWRITE.value and (_SHARDS.value is not None or _FINALIZE.value):
        raise ValueError(
            "--overwrite is not possible beside --shards or --finalize: other slots may be at work"
        )
    if _ENGINE.value == "beam" and _WORKERS.value is not None:
        raise ValueError("--workers has no effect beside --engine beam: say it in --beam_args")
    if _ENGINE.value != "beam" and _BEAM_ARGS.value is not None:
        raise ValueError("--beam_args has no effect without --engine beam")
    if _FINALIZE.value and (_ENGINE.value == "beam" or _WORKERS.value is not None):
        raise ValueError("--engine and --workers have no effect beside --finalize: leave them out")
    if _FOLDS_CSV.value and flags.FLAGS["test_fraction"].present:
        raise ValueError("--test_fraction has no effect beside --folds_csv: leave one out")
    if _FOLDS_CSV.value and flags.FLAGS["seed"].present:
        raise ValueError("--seed has no effect beside --folds_csv: leave one out")
    if not 0 <= _MAX_REJECT_FRACTION.value <= 1:
        raise ValueError(f"--max_reject_fraction is {_MAX_REJECT_FRACTION.value}, expected 0 to 1")


if __name__ == "__main__":
    program.run(
        main,
        usage="DICOM to records: python -m spine_tf.convert --data_dir D --output_dir R",
    )
