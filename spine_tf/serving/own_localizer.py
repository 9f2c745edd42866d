"""The localiser that an export brings along: a copy, listed among its files, with golden answers.

It lies beside the model, so TensorFlow Serving takes the export as it takes any other.
"""

import pathlib
import shutil

import numpy as np

from spine_tf.localization import localizer, networks
from spine_tf.serving import golden, spec

OUTPUTS_FILE = "localizer.npz"
NAME = "localizer"
_SEED = 0
_LARGEST_STORED = 1500
# Of a heatmap every so many pixels are kept: a network that changed changes all of them.
_STEP = 16


def place(export_dir: pathlib.Path) -> pathlib.Path:
    """Returns where an export has its localiser, if it has one."""
    return export_dir / localizer.IN_EXPORT


def put(localizer_dir: pathlib.Path, export_dir: pathlib.Path) -> None:
    """Copies a localiser into an export that is being written, once it can answer.

    Raises:
        ValueError: there is none, it was changed, or its networks can't be asked.
    """
    localizer.read(localizer_dir)
    target = place(export_dir)
    for network in localizer.NETWORKS:
        folder = localizer_dir / network / "saved_model"
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                copy = target / path.relative_to(localizer_dir)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
    shutil.copyfile(localizer_dir / localizer.FILE_NAME, target / localizer.FILE_NAME)
    # What was copied is what was compared; a file that changed meanwhile is found here.
    golden.write_answers(export_dir, OUTPUTS_FILE, ask(export_dir))


def ask(export_dir: pathlib.Path) -> spec.Answer:
    """Returns what an export's networks answer to noise: heatmaps, thinned out, by network."""
    loaded = networks.Networks(localizer.read(place(export_dir)))
    rng = np.random.default_rng(_SEED)
    image = rng.integers(0, _LARGEST_STORED, (1, *networks.IMAGE_SHAPE), np.uint16)
    window = np.array([[0, _LARGEST_STORED]], np.float32)
    answers = loaded.ask(image, window)
    return {name: answer[:, ::_STEP, ::_STEP] for name, answer in answers.items()}


def check(export_dir: pathlib.Path) -> float:
    """Returns how far the networks are from their golden answers.

    Raises:
        ValueError: by more than another machine explains.
    """
    expected = golden.read_answers(export_dir, OUTPUTS_FILE)
    return golden.compare(expected, ask(export_dir), NAME)
