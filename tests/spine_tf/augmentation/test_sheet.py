import dataclasses
import pathlib
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from spine_tf.augmentation import field_of_view, sheet
from spine_tf.configuration import data_config


def test_every_change_of_the_configuration_is_drawn() -> None:
    names = {field.name for field in dataclasses.fields(data_config.AugmentationConfig)}
    assert set(sheet.STRENGTHS) == names - {"unchanged"}


@pytest.mark.parametrize("name", sheet.STRENGTHS)
def test_the_strongest_of_a_change_is_seen(name: str) -> None:
    generator = np.random.default_rng(0)
    images = tf.constant(generator.uniform(0.2, 0.8, (8, 32, 32, 3)).astype(np.float32))
    seeds = tf.stack([tf.fill([8], 0), tf.range(8)], axis=1)
    strength = sheet.STRENGTHS[name][-1]
    view = field_of_view.whole(32, side_mm=50.0)
    changed = sheet.change(images, seeds, name, strength, view)
    assert float(tf.reduce_mean(tf.abs(changed - images))) > 0.005


@pytest.mark.slow
def test_program_writes_the_same_picture_for_a_seed(
    records_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    pictures = []
    for index in range(2):
        path = tmp_path / f"{index}.png"
        command = ["warm-python", "-m", "spine_tf.augment", "--seed=3"]
        command += [f"--records_dir={records_dir}", f"--png={path}"]
        subprocess.run(command, check=True, cwd=tmp_path)
        pictures.append(path.read_bytes())
    assert pictures[0] == pictures[1]
    with Image.open(tmp_path / "0.png") as picture:
        rows = np.asarray(picture).reshape(len(sheet.STRENGTHS) + 1, -1)
        assert picture.width > 1000
    assert (rows.std(axis=1) > 20).all(), "something is drawn in every row"
