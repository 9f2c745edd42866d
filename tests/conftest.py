"""What the tests of several packages stand on: records of synthetic crops, and a browser."""

import contextlib
import dataclasses
import gc
import json
import multiprocessing
import os
import pathlib
import runpy
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing import spawn
from typing import Any

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.chrome import service

from spine_tf import labels
from spine_tf.configuration import roi_config
from spine_tf.crops import landmark_kinds, record
from tfrecords import example, manifest, schema, shard, tfds_files

_LONG_FILES = ("test_commands.py", "test_search.py", "test_chief.py", "test_reproduction.py")
_SPLITS = ("fold_0", "fold_1", "fold_2", "test")
_DOTS_PX = 32
_CONDITION = labels.CONDITIONS.index("left_subarticular_stenosis")
_LEVEL = labels.LEVELS.index("l4_l5")
_WARM_PYTHON = pathlib.Path(__file__).with_name("warm_python.py")
_read_at_an_import = runpy.run_path(str(_WARM_PYTHON))["read_at_an_import"]
_FAULTS = pathlib.Path(__file__).with_name("page_faults.js").read_text("utf-8")
_BROWSER_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def pytest_configure(config: pytest.Config) -> None:
    """Puts `warm-python` on the PATH, one for all processes of xdist; it is what they spawn too."""
    if "WARM_PYTHON_DIR" not in os.environ:
        _make_warm_python(config)
    multiprocessing.set_executable(shutil.which("warm-python"))


def _make_warm_python(config: pytest.Config) -> None:
    """See warm_python.py."""
    directory = tempfile.mkdtemp(prefix="warm-python-")
    config.add_cleanup(lambda: shutil.rmtree(directory))
    os.environ["WARM_PYTHON_DIR"] = directory
    os.environ["WARM_PYTHON_FOR"] = str(os.getpid())
    os.environ["PATH"] = os.pathsep.join([directory, os.environ["PATH"]])
    variables_path = pathlib.Path(directory, "variables.json")
    variables_path.write_text(json.dumps(dict(os.environ)), "utf-8")
    command = pathlib.Path(directory, "warm-python")
    words = [sys.executable, "-I", "-S", str(_WARM_PYTHON)]
    command.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', "utf-8")
    command.chmod(0o755)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest tests first: in the end one of two processes would wait for them."""
    items.sort(key=lambda item: item.path.name not in _LONG_FILES)


def pytest_collection_finish() -> None:
    """Takes what was imported out of the collector's sight: Keras collects at every new session."""
    gc.collect()
    gc.freeze()


_WITH_WARM_CHILDREN = """
import multiprocessing, runpy, shutil, sys
multiprocessing.set_executable(shutil.which("warm-python"))
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="session")
def killable() -> tuple[str, ...]:
    """Before a module and its flags: a program that is a child of the test, its children warm.

    What a test kills by its identifier, or whose children it looks up, must not be forked by a
    server; its children may.
    """
    return sys.executable, "-c", _WITH_WARM_CHILDREN


@pytest.fixture(scope="module", autouse=True)
def variables_of_module() -> Iterator[None]:
    """Fails the last test of a module whose fixtures leave other variables than they found."""
    with _same_variables():
        yield


@pytest.fixture(autouse=True)
def variables_of_test() -> Iterator[None]:
    """Fails a test that leaves other variables than it found: later ones would have them.

    New ones may stay that no program reads at an import: packages set them at theirs.
    """
    with _same_variables():
        yield


@contextlib.contextmanager
def _same_variables() -> Iterator[None]:
    before = dict(os.environ)
    yield
    changed = {name for name, text in before.items() if os.environ.get(name) != text}
    new = _read_at_an_import(os.environ).keys() - before.keys()
    left = sorted(changed - {"PYTEST_CURRENT_TEST"} | new)
    for name in left:
        os.environ.pop(name, None)
        os.environ.update({name: before[name]} if name in before else {})
    assert not left, f"left in os.environ: {', '.join(left)}; use monkeypatch"


@pytest.fixture(scope="module")
def ordinary_children() -> Iterator[None]:
    """What multiprocessing spawns is an ordinary Python, for tests of how that begins and ends."""
    before = spawn.get_executable()
    multiprocessing.set_executable(sys.executable)
    yield
    multiprocessing.set_executable(before)


def write_records(
    directory: pathlib.Path,
    *,
    per_class: int = 8,
    roi_px: int = 32,
    num_slices: int = 1,
    first_study: int = 1000,
    severities: tuple[int, ...] = (0, 1, 2),
    conditions: tuple[int, ...] = (_CONDITION,),
    levels: tuple[int, ...] = (_LEVEL,),
) -> pathlib.Path:
    """Writes a finished directory: a disc whose brightness falls with the severity, in noise.

    Each of fold_0, fold_1, fold_2 and test has `per_class` examples a severity, one a study, of the
    conditions and levels in turn.
    """
    directory.mkdir(parents=True)
    roi = roi_config.RoiConfig(roi_px=roi_px, num_slices=num_slices)
    schema = record.record_schema(roi)
    generator = np.random.default_rng([per_class, roi_px, num_slices])
    studies = iter(range(first_study, first_study + 10_000))
    shards = []
    for split in _SPLITS:
        name = shard.file_name(record.DATASET_NAME, split, 0, 1)
        with shard.Writer(directory / name, split) as writer:
            for number, severity in enumerate(severities * per_class):
                place = conditions[number % len(conditions)], levels[number % len(levels)]
                values = _example(generator, roi, next(studies), severity, *place)
                writer.write(example.serialize(schema, values))
        shards.append(writer.shard)
    counts = {
        name: per_class * severities.count(index) for index, name in enumerate(labels.SEVERITIES)
    }
    dataset = manifest.Manifest(
        name=record.DATASET_NAME,
        config={
            **dataclasses.asdict(roi),
            "conditions": [labels.CONDITIONS[each] for each in conditions],
            "levels": [labels.LEVELS[each] for each in levels],
            "num_folds": 3,
        },
        shards=tuple(shards),
        class_counts={split: counts for split in _SPLITS},
    )
    tfds_files.write_schema(directory, schema)
    tfds_files.write_info(directory, dataset, "Discs in noise.")
    manifest.write_manifest(directory, dataset)
    return directory


def _example(
    generator: np.random.Generator,
    roi: roi_config.RoiConfig,
    study: int,
    severity: int,
    condition: int,
    level: int,
) -> dict[str, Any]:
    grid = np.arange(roi.roi_px) - roi.roi_px / 2
    is_disc = np.hypot(*np.meshgrid(grid, grid)) < roi.roi_px / 4
    image = 300 + is_disc * (600 - 250 * severity)
    noise = generator.normal(0, 60, (roi.roi_px, roi.roi_px, roi.num_slices))
    by_slice = {"slice_center_xy": np.full(2 * roi.num_slices, 64, np.float32)}
    return {
        **(by_slice if roi.num_slices > 1 else {}),
        "image": np.clip(image[..., np.newaxis] + noise, 0, 4095).astype(np.uint16),
        "window": np.array([50, 1100], np.float32),
        "label": severity,
        "condition": condition,
        "level": level,
        "study_id": study,
        "series_id": 7,
        "instance_number": 3,
        "center_xy": np.array([64, 64], np.float32),
        "pixel_spacing": np.array([0.5, 0.5], np.float32),
        "mirrored": 0,
        "key": f"{study}/7/3/{labels.CONDITIONS[condition]}/{labels.LEVELS[level]}".encode(),
    }


@pytest.fixture(scope="session")
def records_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """24 examples a split, 32 px, one slice, three severities, fold_0 to fold_2 and test."""
    return write_records(tmp_path_factory.mktemp("records") / "r")


@pytest.fixture(scope="session")
def make_records() -> Callable[..., pathlib.Path]:
    """`write_records`, for a directory of another kind."""
    return write_records


def write_dots(directory: pathlib.Path, kind: str, per_split: int = 8) -> pathlib.Path:
    """Writes records of points, of `kind` sagittal or axial: bright dots, one a channel.

    Each of fold_0, fold_1 and fold_2 has `per_split` windows of 32 px, one a study.
    """
    directory.mkdir(parents=True)
    num = len(landmark_kinds.KINDS[kind].channels)
    shapes = {"image": (_DOTS_PX, _DOTS_PX, 3), "window": (2,), "point_xy": (2 * num,)}
    shapes |= {"point_slices": (num,), "point_known": (num,), "study_id": (), "key": ()}
    types = {"image": "uint16", "point_known": "int64", "study_id": "int64", "key": "bytes"}
    made = schema.Schema(
        features=tuple(
            schema.Feature(name=name, dtype=types.get(name, "float32"), shape=shape)
            for name, shape in shapes.items()
        )
    )
    generator, shards = np.random.default_rng(0), []
    for number, split in enumerate(_SPLITS[:3]):
        with shard.Writer(directory / shard.file_name("points", split, 0, 1), split) as writer:
            for study in range(100 * number, 100 * number + per_split):
                writer.write(example.serialize(made, _dots(generator, num, study)))
        shards.append(writer.shard)
    config = {"kind": kind, "conditions": list(labels.CONDITIONS), "levels": list(labels.LEVELS)}
    dataset = manifest.Manifest(name="points", config=config, shards=tuple(shards), class_counts={})
    tfds_files.write_schema(directory, made)
    tfds_files.write_info(directory, dataset, "Points.")
    manifest.write_manifest(directory, dataset)
    return directory


def _dots(generator: np.random.Generator, num: int, study: int) -> dict[str, Any]:
    points = generator.integers(3, _DOTS_PX - 3, (num, 2))
    image = np.full((_DOTS_PX, _DOTS_PX, 3), 100, np.uint16)
    for x, y in points:
        image[y - 1 : y + 2, x - 1 : x + 2] = 900
    is_known = generator.random(num) < 0.8
    return {
        "image": image,
        "window": np.array([0, 1000], np.float32),
        "point_xy": points.astype(np.float32).ravel(),
        "point_slices": generator.integers(0, 4, num).astype(np.float32),
        "point_known": is_known.astype(np.int64),
        "study_id": study,
        "key": f"{study}/1/{study % 100}".encode(),
    }


@pytest.fixture(scope="session")
def dots_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """24 sagittal windows of `write_dots`."""
    return write_dots(tmp_path_factory.mktemp("dots") / "r", "sagittal")


@pytest.fixture(scope="session")
def make_dots() -> Callable[..., pathlib.Path]:
    """`write_dots`, for a directory of another kind."""
    return write_dots


class Browser:
    """Headless Chromium that tells what a page asked for and how it looks.

    `driver` is Selenium's own object, for all that a page shows.
    """

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, path: pathlib.Path) -> None:
        """Opens a file; what the page before it asked for and logged is forgotten."""
        self.requested()
        self.logged()
        self.driver.get(path.as_uri())

    def requested(self) -> list[str]:
        """Returns the addresses asked for since the last call, data: left out."""
        entries = self.driver.get_log("performance")
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        sent = [each for each in messages if each["method"] == "Network.requestWillBeSent"]
        addresses = [each["params"]["request"]["url"] for each in sent]
        return [address for address in addresses if not address.startswith("data:")]

    def logged(self) -> list[str]:
        """Returns the lines of the console since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def set_width(self, width: int) -> None:
        """Makes the page `width` CSS pixels wide; below 500 it is on a phone."""
        screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)

    def needed_width(self) -> int:
        """Returns the width in CSS pixels below which the page scrolls sideways."""
        return self.driver.execute_script("return document.documentElement.scrollWidth")

    def faults(self, width: int) -> list[list[str]]:
        """Returns what doesn't fit, or can't be read, at a width in CSS pixels, each with its text.

        Elements beyond the edge that nothing scrolls to, text of less than 11 pixels or cut off,
        and in charts text outside the picture or over other text.
        """
        self.set_width(width)
        return self.driver.execute_script(_FAULTS)

    def set_scheme(self, scheme: str) -> None:
        """Makes the reader prefer `scheme`, dark or light."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def contrast(self, selector: str, paper: str = "section") -> float:
        """Returns WCAG's ratio of the colours of a text and of the background of `paper`."""
        colours = self.driver.execute_script(
            "const of = (name) => getComputedStyle(document.querySelector(name));"
            "return [of(arguments[0]).color, of(arguments[1]).backgroundColor]",
            selector,
            paper,
        )
        low, high = sorted(_luminance(colour) for colour in colours)
        return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    """WCAG's relative luminance of a colour as the browser writes it, rgb(...) or rgba(...)."""
    channels = colour[colour.index("(") + 1 : colour.index(")")].split(",")[:3]
    values = np.array([float(channel) / 255 for channel in channels])
    linear = np.where(values <= 0.03928, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser of the module's own; the tests are left out where there is none, except in CI."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        # A machine that says it checks everything must not pass over this in silence.
        assert not os.environ.get("CI"), "chromium and chromedriver are needed where CI is set"
        pytest.skip("chromium and chromedriver are not on the PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in _BROWSER_ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chromium = webdriver.Chrome(options=options, service=service.Service(driver))
    try:
        yield Browser(chromium)
    finally:
        chromium.quit()
