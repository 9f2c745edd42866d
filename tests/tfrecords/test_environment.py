"""Settings of other packages change nothing, and the user's files stay as they are."""

import json
import os
import pathlib
import subprocess
import sys
import warnings

import pytest

from tfrecords import environment

_USUAL = {
    "floatx": "float32",
    "epsilon": 1e-7,
    "backend": "tensorflow",
    "image_data_format": "channels_last",
}


@pytest.fixture
def keras_dir(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """KERAS_HOME, in an environment that is put back."""
    for name in list(os.environ):
        if name.startswith("KERAS_") or name in ("TF_USE_LEGACY_KERAS", "PYTHONWARNINGS"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setattr(sys, "warnoptions", [])
    return tmp_path


@pytest.mark.parametrize("text", [None, "{}", json.dumps(_USUAL), json.dumps({"backend": "jax"})])
def test_usual_settings_are_used(keras_dir: pathlib.Path, text: str | None) -> None:
    if text is not None:
        (keras_dir / "keras.json").write_text(text)
    assert environment.settle() == ()
    assert os.environ["KERAS_HOME"] == str(keras_dir)
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({**_USUAL, "image_data_format": "channels_first"}),
        json.dumps({**_USUAL, "floatx": "float16"}),
        json.dumps({**_USUAL, "floatx": "bfloat8"}),
        json.dumps({"epsilon": 0.1}),
        json.dumps([1]),
        "{",
        "[" * 10**5,
    ],
)
def test_other_settings_of_keras_are_left_aside_and_said(
    keras_dir: pathlib.Path, text: str
) -> None:
    path = keras_dir / "keras.json"
    path.write_text(text)
    assert environment.settle() == (str(path),)
    assert not pathlib.Path(os.environ["KERAS_HOME"]).exists()
    assert path.read_text() == text


def test_settings_of_keras_that_are_no_file_hold_nothing_up(keras_dir: pathlib.Path) -> None:
    path = keras_dir / "keras.json"
    os.mkfifo(path)
    assert environment.settle() == (str(path),)
    path.unlink()
    path.symlink_to("/dev/zero")
    os.environ["KERAS_HOME"] = str(keras_dir)
    assert environment.settle() == (str(path),)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("KERAS_BACKEND", "torch", "KERAS_BACKEND=torch"),
        ("TF_USE_LEGACY_KERAS", "1", "TF_USE_LEGACY_KERAS"),
        ("KERAS_MAX_EPOCHS", "many", "KERAS_MAX_EPOCHS"),
        ("KERAS_NNX_ENABLED", "true", "KERAS_NNX_ENABLED"),
    ],
)
def test_variable_of_another_setting_is_left_aside_and_said(
    keras_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    assert environment.settle() == (said,)
    assert os.environ.get(name, "tensorflow") == "tensorflow"


def test_warnings_are_no_errors(keras_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONWARNINGS", "error::DeprecationWarning")
    monkeypatch.setattr(sys, "warnoptions", ["error::DeprecationWarning"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert environment.settle() == ("warnings as errors",)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert "PYTHONWARNINGS" not in os.environ


@pytest.mark.slow
def test_program_trains_whatever_others_have_set(
    tmp_path: pathlib.Path, records_dir: pathlib.Path
) -> None:
    """All at once: each alone is as the functions above say."""
    keras_json = tmp_path / ".keras" / "keras.json"
    keras_json.parent.mkdir()
    keras_json.write_text(
        json.dumps({**_USUAL, "floatx": "float16", "image_data_format": "channels_first"})
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "spine_tf.train", "--task=multiclass", "--model=simple"),
            *(f"--records_dir={records_dir}", f"--run_dir={tmp_path / 'run'}"),
            *("--val_fold=0", "--epochs=1", "--set=model.filters=[4]"),
        ],
        env={
            **{name: value for name, value in os.environ.items() if name != "KERAS_HOME"},
            "HOME": str(tmp_path),
            "KERAS_BACKEND": "torch",
            "KERAS_MAX_EPOCHS": "x",
            "LC_ALL": "xx_YY",
            "PYTHONOPTIMIZE": "2",
            "PYTHONWARNINGS": "error",
            "TF_CPP_MIN_LOG_LEVEL": "x",
            "TF_USE_LEGACY_KERAS": "1",
            "TZ": "Nowhere/City",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "not used here: KERAS_BACKEND=torch, KERAS_MAX_EPOCHS, TF_USE_LEGACY" in done.stderr
    assert str(keras_json) in done.stderr
    assert "channels_first" in keras_json.read_text()
