"""Writes synthetic lumbar spine studies, as RSNA 2024's or a hospital's, or pictures of them."""

import json
import pathlib
import time

from absl import flags, logging

from spine_tf import cli, flags as flags_module
from tfrecords import program

_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "New or empty directory for the data set; this or --png."
)
_NUM_STUDIES = flags.DEFINE_integer("num_studies", 60, "Studies of the train side.")
_SEED = flags_module.seed("everything random")
_WORKERS = flags_module.Workers("Processes; 0 takes all cores.", default=0)
_ERRORS = flags.DEFINE_bool("errors", False, "Plant the errors that the real data have.")
_ODDITIES = flags.DEFINE_bool(
    "oddities", False, "Plant oddities of scanners and archives, which change no right answer."
)
_RANDOMIZE = flags.DEFINE_bool(
    "randomize",
    False,
    "Vary anatomy, scoliosis, lesions, contrasts, scanners and protocols far more than usual, for "
    "what learns to find points: these are exact, and those of all that is in view.",
)
_VARY = flags.DEFINE_list(
    "vary",
    None,
    "What --randomize varies: some of anatomy, curvature, lesions, contrast, scanner, protocol; "
    "all by default.",
)
_EDITION = flags.DEFINE_enum(
    "edition",
    "1",
    ["1", "2"],
    "Of the truth. 1: its own view says all there is to know of a target; 2: views show it in "
    "part, so that both views of the canal and the other targets of a level say more.",
)
_STYLE = flags.DEFINE_enum(
    "style",
    "rsna",
    ["rsna", "hospital"],
    "rsna: studies in the layout of RSNA 2024; hospital: a pile of files as archives export them, "
    "and truth.csv, which says what each is.",
)
_PNG = flags.DEFINE_string("png", None, "Directory for pictures of mild to severe anatomy.")

_USAGE = """Synthetic lumbar spine studies in the RSNA 2024 layout, with a known best score.

  %s --output_dir D [--num_studies 60] [--seed 0] [--workers N]
                            [--errors | --oddities | --randomize | --style hospital]
  %s --png DIR [--seed 0]
"""


def main() -> None:
    """Writes what the flags ask for."""
    if _OUTPUT_DIR.value is None and _PNG.value is None:
        raise ValueError(
            "nothing to do: give --output_dir D for a data set, --png DIR for pictures"
        )
    _refuse_what_pictures_ignore()
    if _OUTPUT_DIR.value is not None:
        write = _write_pile if _STYLE.value == "hospital" else _write_data_set
        write(program.require_output_dir(_OUTPUT_DIR))
    if _PNG.value is not None:
        from spine_tf.synthesis import atlas

        for path in atlas.write_pages(program.require_output_dir(_PNG), seed=_SEED.value):
            print(f"picture: {path}")


def _refuse_what_pictures_ignore() -> None:
    of_data_set = (_NUM_STUDIES, _WORKERS.flag, _ERRORS, _ODDITIES, _RANDOMIZE, _VARY)
    for flag in (*of_data_set, _EDITION, _STYLE):
        if _OUTPUT_DIR.value is None and flag.present:
            raise ValueError(
                f"--{flag.name} has no effect on the pictures of --png: leave it out, or give "
                "--output_dir"
            )


def _write_data_set(output_dir: pathlib.Path) -> None:
    from spine_tf.synthesis import phantom, phantom_config

    config = phantom_config.PhantomConfig(
        num_studies=_NUM_STUDIES.value,
        seed=_SEED.value,
        with_errors=_ERRORS.value,
        with_oddities=_ODDITIES.value,
        edition=int(_EDITION.value),
        varied=_varied_parts(),
    )
    num_workers = _WORKERS.number()
    start = time.monotonic()
    phantom.write_studies(config, output_dir, num_workers=num_workers)
    logging.info(
        "%d train and %d test studies with %d workers in %.1f s",
        config.num_studies,
        config.num_test_studies,
        num_workers,
        time.monotonic() - start,
    )
    _print_summary(output_dir)


def _varied_parts() -> tuple[str, ...]:
    from spine_tf.synthesis import phantom_config

    if _VARY.value is None:
        return phantom_config.PARTS if _RANDOMIZE.value else ()
    if not _RANDOMIZE.value or not _VARY.value:
        raise ValueError("--vary says what --randomize varies: give both, or --randomize alone")
    return tuple(_VARY.value)


def _write_pile(output_dir: pathlib.Path) -> None:
    from spine_tf.synthesis import hospital, phantom_config

    if _ERRORS.value or _ODDITIES.value or _varied_parts() or _EDITION.present:
        raise ValueError(
            "--errors, --oddities, --randomize and --edition are for studies of --style rsna; a "
            "hospital's pile has oddities of its own, and no grades"
        )
    config = phantom_config.PhantomConfig(num_studies=_NUM_STUDIES.value, seed=_SEED.value)
    hospital.write_pile(config, output_dir, num_workers=_WORKERS.number())
    print(f"pile: {output_dir / hospital.PILE}")
    print(f"what each file is: {output_dir / hospital.TRUTH_CSV}")
    studies_dir = cli.beside(output_dir, "studies")
    cli.print_next("organize", dicom_dir=output_dir / hospital.PILE, output_dir=studies_dir)


def _print_summary(output_dir: pathlib.Path) -> None:
    truth = json.loads((output_dir / "truth.json").read_text("utf-8"))
    print(f"studies: {output_dir}")
    for task, ceilings in truth["ceilings"].items():
        figures = ceilings["subarticular_stenosis_l4_l5"]
        accuracy = figures.get("accuracy", {"value": float("nan"), "standard_error": float("nan")})
        print(
            f"best possible accuracy, {task}, L4/L5 subarticular: "
            f"{accuracy['value']:.3f} +- {accuracy['standard_error']:.3f} "
            f"({figures['num_examples']} examples)"
        )
    print(f"ceilings of all targets: {output_dir / 'truth.json'}")
    records_dir = cli.beside(output_dir, "records")
    cli.print_next("convert", data_dir=output_dir, output_dir=records_dir)


if __name__ == "__main__":
    program.run(main, usage=_USAGE)
