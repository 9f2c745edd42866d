"""Two runs become a localiser: heatmaps of the window's size, the same answers, what is refused."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from spine_tf.augmentation import field_of_view
from spine_tf.configuration import config, overrides, record_kind
from spine_tf.crops import landmark_kinds
from spine_tf.localization import heatmap_graph, localizer, localizer_export, peaks
from spine_tf.models import families, heads
from spine_tf.runs import run, run_directory, run_kinds
from spine_tf.training import heatmap_targets
from tfrecords import atomic

_SETTINGS = ("model.filters=[4,4,4,4]", "model.input_px=128", "model.output_stride=4")


def _write_run(run_dir: pathlib.Path, kind: str, *changes: str) -> pathlib.Path:
    """What an export reads of a run: configuration, kind of records, model, that it is finished."""
    made = overrides.apply(config.default_config("landmarks", "unet"), [*_SETTINGS, *changes])
    run_dir.mkdir(parents=True)
    provenance = {"records": {"manifest_sha256": "0", "config": {"kind": kind}}}
    atomic.write_json(
        run_dir / run_directory.CONFIG_FILE, {**config.to_dict(made), "provenance": provenance}
    )
    channels = landmark_kinds.KINDS[kind].channels
    model = families.build_network(
        made.model, (256, 256, 3), heads.Heatmaps(num_channels=len(channels)), record_mm=256.0
    )
    run.save_model(model, run_dir / "model.keras")
    atomic.write_json(run_dir / run_directory.METRICS_FILE, {})
    return run_dir


@pytest.fixture(scope="module")
def run_dirs(tmp_path_factory: pytest.TempPathFactory) -> list[pathlib.Path]:
    top = tmp_path_factory.mktemp("runs")
    return [_write_run(top / kind, kind) for kind in (record_kind.SAGITTAL, record_kind.AXIAL)]


@pytest.mark.slow
def test_an_exported_localiser_answers_as_its_runs(
    run_dirs: list[pathlib.Path], tmp_path: pathlib.Path
) -> None:
    differences = localizer_export.export(run_dirs, tmp_path / "l", name="a pair")
    assert set(differences) == set(localizer.NETWORKS)
    assert 0.0 < max(differences.values()) < 0.01
    found = localizer.read(tmp_path / "l")
    assert found.name == "a pair"
    loaded = tf.saved_model.load(str(found.saved_model("axial")))
    image = np.full((2, 256, 256, 3), 500, np.uint16)
    answer = loaded.signatures["serving_default"](
        image=tf.constant(image), window=tf.constant([[0.0, 1000.0]] * 2)
    )["heatmaps"]
    assert answer.shape == (2, 256, 256, 2)
    said = json.loads((tmp_path / "l" / localizer.FILE_NAME).read_text())
    assert said["name"] == "a pair"


def test_two_runs_of_one_kind_are_no_localiser(
    run_dirs: list[pathlib.Path], tmp_path: pathlib.Path
) -> None:
    for given in (run_dirs[:1], [run_dirs[0]] * 2):
        with pytest.raises(ValueError, match="made of a run on sagittal and one on axial records"):
            localizer_export.export(given, tmp_path / "l", name="none")
        assert not (tmp_path / "l").exists()


def test_a_run_that_is_not_finished_is_named(
    run_dirs: list[pathlib.Path], tmp_path: pathlib.Path
) -> None:
    unfinished = _write_run(tmp_path / "w", "axial")
    (unfinished / run_directory.METRICS_FILE).unlink()
    with pytest.raises(ValueError, match="w holds no finished run"):
        localizer_export.export([run_dirs[0], unfinished], tmp_path / "l", name="none")


def test_runs_of_points_and_of_grades_are_told_apart(
    run_dirs: list[pathlib.Path], tmp_path: pathlib.Path
) -> None:
    assert run_kinds.are_of_points(run_dirs)
    graded = tmp_path / "g"
    graded.mkdir()
    made = config.to_dict(config.default_config("binary", "simple"))
    atomic.write_json(graded / run_directory.CONFIG_FILE, made)
    assert not run_kinds.are_of_points([graded])
    with pytest.raises(ValueError, match="export them apart"):
        run_kinds.are_of_points([*run_dirs, graded])


@pytest.mark.parametrize(("pitch", "stride"), [(2.0, 2), (1.0, 4)])
def test_a_peak_stays_where_it_is_when_it_is_drawn_finer(pitch: float, stride: int) -> None:
    view = field_of_view.whole(256, 256.0)
    view = dataclasses.replace(view, input_px=round(256 / pitch), pitch=pitch)
    grid = heatmap_targets.Grid(view=view, stride=stride)
    weights = heatmap_graph.finer(grid)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-6)
    rng = np.random.default_rng(0)
    sigma = grid.sigma_px
    for x, y in rng.uniform(20, 235, (6, 2)):
        places = np.arange(grid.side_px) * grid.pitch + grid.first
        across, down = (np.exp(-0.5 * ((places - at) / (sigma * grid.pitch)) ** 2) for at in (x, y))
        (peak, *_) = peaks.find(weights @ np.outer(down, across) @ weights.T, 7.0)
        assert np.hypot(peak.x - x, peak.y - y) < 0.1
        assert peak.height == pytest.approx(1.0, abs=0.03)
