"""Makes the localiser that comes with the package: phantoms, records, two networks, one directory.

    python benchmarks/localizer_weights.py --work_dir W [--num_studies 1200] [--epochs 40]
        [--fine_epochs 6]

With --fine_epochs the sagittal network is trained on, with heights stretched by up to a factor of
1.6 either way, as real headers have them wrong, and larger moves of all kinds.
No patient's image takes part. Each step that is done is left as it is, and one that was interrupted
is gone on with by the same command; on two cores 1,200 studies take about half a day. The result is
W/localizer; --install puts it into the package and prints the sha256 that localizer.py has to have.
"""

import hashlib
import pathlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence

from absl import app, flags

from spine_tf.configuration import record_kind
from spine_tf.localization import localizer
from spine_tf.rsna import layout
from spine_tf.runs import run_directory

_WORK_DIR = flags.DEFINE_string("work_dir", None, "Where all of it is kept.", required=True)
_NUM_STUDIES = flags.DEFINE_integer("num_studies", 1200, "Phantom studies.")
_SEED = flags.DEFINE_integer("seed", 4242, "Of phantoms and trainings.")
_EPOCHS = flags.DEFINE_integer("epochs", 40, "Of each network.")
_FINE_EPOCHS = flags.DEFINE_integer("fine_epochs", 0, "Of the sagittal one's second training.")
_NAME = flags.DEFINE_string("name", "phantom 1", "What every report calls the localiser.")
_INSTALL = flags.DEFINE_bool("install", False, "Replace the package's localiser by it.")

_NETWORK = (
    *("model.input_px=128", "model.output_stride=2", "model.norm=group"),
    *("training.batch_size=8", "training.learning_rate=0.0015", "training.warmup_epochs=1"),
    *("training.ema_decay=0.99", "training.patience=0"),
)
_CHANGES = tuple(
    f"data.augmentation.{name}={value}"
    for name, value in {
        **{"unchanged": 0, "rotation_degrees": 12, "scale": 0.2, "shift": 0.08, "shear": 0.1},
        **{"curve": 0.5, "bias": 0.4, "ghost": 0.1, "blur": 1.0, "noise": 0.03, "cutout": 0.12},
        **{"field_cut": 0.1, "slice_reversal": 0.5, "slice_repeat": 0.15},
    }.items()
)
_OF_KIND = {
    record_kind.SAGITTAL: ("model.filters=[24,48,64,96,128]",),
    record_kind.AXIAL: ("model.filters=[16,32,48,64,96]", "data.augmentation.flip=0.5"),
}
_FINE = (
    *("training.learning_rate=0.0007", "training.warmup_epochs=0"),
    *("data.augmentation.stretch=0.6", "data.augmentation.scale=0.25"),
    *("data.augmentation.rotation_degrees=15", "data.augmentation.shift=0.12"),
    *("data.augmentation.shear=0.15", "data.augmentation.curve=0.7"),
)


def main(_: list[str]) -> None:
    """Makes what isn't there yet."""
    work_dir = pathlib.Path(_WORK_DIR.value)
    data_dir, made = work_dir / "phantom", work_dir / "localizer"
    if not (data_dir / layout.LABELS_CSV).exists():
        flags_of = {"num_studies": _NUM_STUDIES.value, "seed": _SEED.value, "output_dir": data_dir}
        _run("phantom", "--randomize", **flags_of)
    runs = [_train(work_dir, data_dir, kind) for kind in _OF_KIND]
    if _FINE_EPOCHS.value:
        runs[0] = _train_on(work_dir, runs[0])
    if not made.exists():
        _run("export", run_dir=",".join(map(str, runs)), export_dir=made, name=_NAME.value)
    if _INSTALL.value:
        _install(made)


def _train(work_dir: pathlib.Path, data_dir: pathlib.Path, kind: str) -> pathlib.Path:
    """Converts one kind of record and trains its network; returns the run."""
    records_dir, run_dir = work_dir / f"records_{kind}", work_dir / f"run_{kind}"
    # Folds of 5 %: one is held out, one says which epoch is best.
    folds = {"num_folds": 20, "test_fraction": 0}
    _run("convert", kind=kind, data_dir=data_dir, output_dir=records_dir, **folds)
    _fit(records_dir, run_dir, (*_NETWORK, *_OF_KIND[kind], *_CHANGES), _EPOCHS.value)
    return run_dir


def _train_on(work_dir: pathlib.Path, first_dir: pathlib.Path) -> pathlib.Path:
    """Trains the sagittal network on from its first run; returns the second."""
    kind, run_dir = record_kind.SAGITTAL, first_dir.with_name(f"{first_dir.name}_fine")
    start = f"model.weights={first_dir}"
    settings = (*_NETWORK, *_OF_KIND[kind], *_CHANGES, *_FINE, start)
    _fit(work_dir / f"records_{kind}", run_dir, settings, _FINE_EPOCHS.value)
    return run_dir


def _fit(
    records_dir: pathlib.Path, run_dir: pathlib.Path, settings: Sequence[str], epochs: int
) -> None:
    """Trains, or goes on, unless the run is there."""
    if run_directory.is_run(run_dir):
        return
    _run(
        "train",
        *(f"--set={setting}" for setting in settings),
        *(["--resume"] if run_dir.exists() else []),
        **{"records_dir": records_dir, "run_dir": run_dir, "task": "landmarks"},
        **{"model": "unet", "epochs": epochs, "seed": _SEED.value},
    )


def _run(program: str, *switches: str, **values: object) -> None:
    """Runs a program of the package, and prints the command."""
    given = [*(f"--{name}={value}" for name, value in values.items()), *switches]
    print(shlex.join(["python", "-m", f"spine_tf.{program}", *given]), flush=True)
    subprocess.run([sys.executable, "-m", f"spine_tf.{program}", *given], check=True)


def _install(made: pathlib.Path) -> None:
    localizer.read(made)
    shutil.rmtree(localizer.DEFAULT_DIR, ignore_errors=True)
    shutil.copytree(made, localizer.DEFAULT_DIR)
    digest = hashlib.sha256((made / localizer.FILE_NAME).read_bytes()).hexdigest()
    size = sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
    print(f"{localizer.DEFAULT_DIR}: {size / 2**20:.1f} MiB; _DEFAULT_SHA256 = {digest!r}")


if __name__ == "__main__":
    app.run(main)
