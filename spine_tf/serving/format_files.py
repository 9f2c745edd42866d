"""Writes and opens the formats beside the SavedModel, each by its own module."""

import pathlib

import numpy as np

from spine_tf.serving import formats, golden, quiet, saved_model


def write(
    export_dir: pathlib.Path, name: str, crops: tuple[np.ndarray, np.ndarray] | None = None
) -> None:
    """Writes a format from the directory's SavedModel.

    Args:
        export_dir: holds saved_model/1.
        name: a key of FORMATS.
        crops: representative images and windows; int8 needs them.

    Raises:
        ValueError: the model can't be converted, with the converter's reason.
    """
    module = formats.import_module(name)
    source = export_dir / saved_model.FOLDER / saved_model.VERSION
    path = export_dir / formats.FORMATS[name].file
    try:
        with quiet.quiet():
            if name == formats.INT8:
                module.write_int8(source, path, *_required(crops))
            else:
                module.write(source, path)
    except module.ERRORS as err:
        raise ValueError(
            f"format {name} can't be written for this model ({type(err).__name__}: {err}); "
            "leave it out of --formats"
        ) from err


def load(export_dir: pathlib.Path, name: str) -> golden.Ask:
    """Opens a format in its own runtime; ValueError if the runtime does not take it."""
    module = formats.import_module(name)
    path = export_dir / formats.FORMATS[name].file
    try:
        with quiet.quiet():
            return module.load(path)
    except module.ERRORS as err:
        raise ValueError(f"{path} can't be loaded: {err}") from err


def _required(
    crops: tuple[np.ndarray, np.ndarray] | None,
) -> tuple[np.ndarray, np.ndarray]:
    if crops is None:
        raise ValueError(
            f"format {formats.INT8} needs --records_dir: representative crops set its ranges"
        )
    return crops
