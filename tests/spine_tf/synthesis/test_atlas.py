import pathlib

import numpy as np
import pytest
from PIL import Image

from spine_tf.synthesis import atlas


@pytest.mark.slow
def test_page_shows_three_severities_beside_their_crops(tmp_path: pathlib.Path):
    (path,) = atlas.write_pages(tmp_path / "pages", seed=1, num_patients=1)

    picture = np.asarray(Image.open(path).convert("L")).astype(float)
    rows = np.split(picture, 3)
    assert picture.shape == (3 * 420, 6 * 420)
    assert all(row.std() > 30 for row in rows)
    assert np.abs(rows[0] - rows[2]).mean() > 5
