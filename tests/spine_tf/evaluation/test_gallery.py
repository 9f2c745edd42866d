import numpy as np

from spine_tf.evaluation import gallery
from spine_tf.scoring import predictions as predictions_module


def _make(labels, probabilities):
    return predictions_module.Predictions(
        keys=tuple(f"{i}/1/{i}/spinal_canal_stenosis/l4_l5" for i in range(len(labels))),
        labels=np.array(labels),
        probabilities=np.array(probabilities),
    )


def test_galleries_show_the_clearest_cases_first():
    predictions = _make(
        [0, 0, 1, 0, 1, 1],
        [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.05, 0.95], [0.6, 0.4], [0.51, 0.49]],
    )

    chosen = gallery.choose(predictions, count=3)

    # Right ones by class in turn: the surest of class 0, of class 1, the next of class 0.
    assert chosen["right"] == [0, 2, 1]
    assert chosen["wrong"] == [3, 4, 5]
    assert chosen["uncertain"] == [5, 4, 2]


def test_gallery_of_a_perfect_model_has_nothing_wrong():
    chosen = gallery.choose(_make([0, 1], [[0.9, 0.1], [0.2, 0.8]]), count=3)

    assert chosen["wrong"] == []
    assert sorted(chosen["right"]) == [0, 1]


def test_evidence_peaks_where_the_model_looks():
    generator = np.random.default_rng(0)
    images = generator.random((2, 72, 72, 1)).astype(np.float32) * 0.2
    images[0, 12:20, 52:60] = 1.0
    images[1, 44:52, 20:28] = 1.0

    def predict(batch):
        brightest = batch.max(axis=(1, 2, 3)).astype(np.float64)
        return np.stack([1.0 - 0.9 * brightest, 0.9 * brightest], axis=1)

    maps = gallery.evidence_maps(predict, images, np.array([1, 1]))

    assert maps.shape == (2, gallery.GRID, gallery.GRID)
    assert np.unravel_index(maps[0].argmax(), maps[0].shape) in [(1, 6), (1, 7), (2, 6), (2, 7)]
    assert np.unravel_index(maps[1].argmax(), maps[1].shape) in [(5, 2), (6, 2), (5, 3), (6, 3)]
    assert maps[0, 8, 0] == 0.0


def test_evidence_against_a_class_is_negative():
    image = np.zeros((1, 72, 72, 1), np.float32)
    image[0, 32:40, 32:40] = 1.0

    def predict(batch):
        bright = batch.mean(axis=(1, 2, 3)).astype(np.float64) * 50
        severe = np.clip(bright / (1.0 + bright), 0.01, 0.99)
        return np.stack([1.0 - severe, severe], axis=1)

    severe = gallery.evidence_maps(predict, image, np.array([1]))
    normal = gallery.evidence_maps(predict, image, np.array([0]))

    np.testing.assert_allclose(severe, -normal, atol=1e-6)
