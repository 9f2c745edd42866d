"""A study as a hospital's zip, and a service that reads it with a tiny model, in this process."""

import contextlib
import io
import pathlib
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import keras
import pydicom
import pytest

from spine_tf import labels
from spine_tf.configuration import config
from spine_tf.localization import finder
from spine_tf.models import families
from spine_tf.runs import run
from spine_tf.serving import bundle, grader, study_reader
from spine_tf.web import application, bounds, desk, front_page, guard, server

_PX = 16
_TIMES = {0: (100, 3000), 1: (10, 500), 2: (100, 3000)}


@pytest.fixture(scope="session")
def make_zip() -> Callable[..., bytes]:
    """Returns a zip of files by their names."""

    def make_zip(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", method) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return made.getvalue()

    return make_zip


@pytest.fixture(scope="session")
def study_files(squares_dir: pathlib.Path) -> dict[str, bytes]:
    """The study of squares.py as a scanner would send it, in files without a name."""
    files = {}
    for number, path in enumerate(sorted(squares_dir.rglob("*.dcm"))):
        series, instance = int(path.parent.name), int(path.stem)
        image = pydicom.dcmread(path)
        image.Modality, image.BodyPartExamined = "MR", "LSPINE"
        image.PatientID, image.PatientName = "secret 17", "Secret^Name"
        image.StudyInstanceUID = "1.2.3.4"
        image.SeriesInstanceUID = f"1.2.3.4.{series}"
        image.SOPInstanceUID = f"1.2.3.4.{series}.{instance}"
        image.EchoTime, image.RepetitionTime = _TIMES[series % 10]
        made = io.BytesIO()
        image.save_as(made, enforce_file_format=True)
        files[f"secret-name/IM{number}"] = made.getvalue()
    return files


@pytest.fixture(scope="session")
def study_zip(study_files: dict[str, bytes], make_zip: Callable[..., bytes]) -> bytes:
    return make_zip(study_files)


@pytest.fixture(scope="session")
def model_dir(
    tmp_path_factory: pytest.TempPathFactory, squares_localizer_dir: pathlib.Path
) -> pathlib.Path:
    """An export of all 25 rows with random weights, and the localiser of squares.py in it."""
    task = {"task": "multiclass", "model": {"family": "simple", "filters": [4], "units": 4}}
    run_config = config.from_dict(task)
    keras.utils.set_random_seed(0)
    model = families.build_model(run_config.model, (_PX, _PX, 1), 3)
    records = {
        "manifest_sha256": "0",
        "config": {
            "roi_mm": 30.0,
            "roi_px": _PX,
            "num_slices": 1,
            "mirror_right": True,
            "conditions": list(labels.CONDITIONS),
            "levels": list(labels.LEVELS),
        },
        "num_examples": {},
    }
    one = run.Run(
        run_dir=pathlib.Path("w"),
        config=run_config,
        members=(run.Member(model=model, temperature=0.1),),
        provenance={
            "versions": {},
            "records": records,
            "train_splits": [],
            "monitor_split": None,
            "val_split": None,
            "train_studies": [],
        },
        class_prior=(0.5, 0.3, 0.2),
    )
    directory = tmp_path_factory.mktemp("web") / "export"
    return bundle.export([one], directory, localizer_dir=squares_localizer_dir).directory


@pytest.fixture(scope="session")
def reader(model_dir: pathlib.Path) -> Iterator[study_reader.StudyReader]:
    """The export with its own localiser, loaded and warmed."""
    with grader.opened([model_dir]) as graders:
        own = finder.choose(None, [one.directory for one in graders])
        made = study_reader.StudyReader(graders=graders, finder=own)
        made.warm()
        yield made


@pytest.fixture(scope="module")
def start(reader: study_reader.StudyReader) -> Iterator[Callable[..., str]]:
    """Starts a server with these bounds, returns its address; all end with the module."""
    with contextlib.ExitStack() as stack:

        def start(token: str = "", **of_bounds: Any) -> str:
            made = bounds.Bounds(**of_bounds)
            page = front_page.render(reader, made)
            door = guard.Door(names=frozenset({"localhost"}), is_local=True, token=token)
            app = application.make(desk.Desk(reader, made), door, "spine-tf 0", page)
            listening = stack.enter_context(server.bind("127.0.0.1", 0))
            stack.enter_context(server.running(app, listening))
            return server.address_of(listening)

        yield start
