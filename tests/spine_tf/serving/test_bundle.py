"""An export answers as its runs do, in every signature, and a damaged one is found."""

import base64
import dataclasses
import hashlib
import json
import logging
import pathlib
import resource
import shutil
import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from spine_tf.configuration import config, roi_config
from spine_tf.crops import roi
from spine_tf.models import families
from spine_tf.runs import run
from spine_tf.serving import (
    answer_check,
    bundle,
    formats,
    golden,
    model_card,
    saved_model,
    served_crops,
    spec,
    verification,
)
from tfrecords import errors, records, stored_images

_PX = 32
_RECORDS: dict[str, Any] = {
    "roi_mm": 50.0,
    "roi_px": _PX,
    "num_slices": 3,
    "mirror_right": True,
    "conditions": ["left_subarticular_stenosis", "right_subarticular_stenosis"],
    "levels": ["l4_l5"],
}


def _float32(values: Any) -> np.ndarray:
    return np.asarray(values, np.float32)


def _int32(values: Any) -> np.ndarray:
    return np.asarray(values, np.int32)


def _make_run(
    task="multiclass",
    *,
    temperatures=(1.3,),
    seed=0,
    prior=None,
    run_dir="w",
    model=None,
    **changes,
):
    """A run whose weights are random: what is served does not depend on what was learnt."""
    run_config = config.from_dict(
        {"task": task, "model": model or {"family": "simple", "filters": [4, 8], "units": 8}}
    )
    values = {**_RECORDS, **changes}
    shape = (values["roi_px"], values["roi_px"], values["num_slices"])
    num_classes = len(run_config.task_spec.classes)
    members = []
    for index, temperature in enumerate(temperatures):
        keras.utils.set_random_seed(seed + index)
        model = families.build_model(
            run_config.model, shape, num_classes, record_mm=values["roi_mm"]
        )
        members.append(run.Member(model=model, temperature=temperature))
    return run.Run(
        run_dir=pathlib.Path(run_dir),
        config=run_config,
        members=tuple(members),
        provenance={
            "versions": {"tensorflow": "2.21.0"},
            "records": {
                "manifest_sha256": "0" * 64,
                "config": values,
                "num_examples": {"fold_0": 8},
            },
            "train_splits": ["fold_0"],
            "monitor_split": "fold_1",
            "val_split": "fold_2",
            "train_studies": [1, 2],
        },
        class_prior=(1 / num_classes,) * num_classes,
    )


@pytest.fixture(scope="module")
def one_run():
    return _make_run(temperatures=(1.3, 0.8))


@pytest.fixture(scope="module")
def export_dir(one_run, tmp_path_factory):
    return bundle.export([one_run], tmp_path_factory.mktemp("export") / "e").directory


@pytest.fixture(scope="module")
def served(export_dir):
    return saved_model.SavedModel(export_dir)


@pytest.fixture
def copy(export_dir, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(export_dir, tmp_path / "received")


def _crops(count, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 1500, (count, _PX, _PX, 3)).astype(np.uint16)
    return image, np.tile(_float32([20, 1300]), (count, 1))


def _normalized(image, window):
    return stored_images.normalize(image, window)


def test_export_has_the_files_of_the_contract(export_dir):
    names = {path.relative_to(export_dir).as_posix() for path in export_dir.rglob("*")}
    assert names >= {
        "saved_model/1/saved_model.pb",
        "labels.json",
        "preprocess.json",
        "model_card.md",
        "golden/inputs.npz",
        "golden/outputs.npz",
        "SHA256SUMS",
    }


def test_export_says_what_it_answers_and_how_it_wants_its_pixels(export_dir, one_run):
    described = spec.read(export_dir)
    assert described.task == "multiclass"
    assert described.conditions == tuple(_RECORDS["conditions"])
    assert described.levels == ("l4_l5",)
    assert described.class_prior == pytest.approx(one_run.class_prior)
    assert described.roi == roi_config.RoiConfig(roi_px=_PX, num_slices=3)


@pytest.mark.parametrize("batch_size", [1, 256])
def test_crops_are_answered_as_the_run_answers(served, one_run, batch_size):
    image, window = _crops(batch_size)
    answer = served.ask("serving_default", image=image, window=window)
    expected = one_run.predict(_normalized(image, window))
    assert answer["probabilities"].dtype == np.float32
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    classes = np.array(one_run.config.task_spec.classes)
    np.testing.assert_array_equal(answer["label"], classes[expected.argmax(axis=1)])


def test_competition_probabilities_are_weighted_and_sum_to_one(served):
    image, window = _crops(4)
    answer = served.ask("serving_default", image=image, window=window)
    weighted = answer["probabilities"] * [1, 2, 4]
    expected = weighted / weighted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(answer["competition_probabilities"], expected, rtol=1e-5)


def test_two_calls_answer_alike(served):
    image, window = _crops(3)
    first, second = (served.ask("serving_default", image=image, window=window) for _ in range(2))
    np.testing.assert_array_equal(first["probabilities"], second["probabilities"])


def _converted(image, spacing, centers, mirror, padding, *, window="slice"):
    """The converter's crop and window."""
    slices = np.moveaxis(image, 2, 0)
    is_padding = (slices >= padding[0]) & (slices <= padding[1])
    square = roi.Square(
        shape=image.shape[:2],
        spacing=(float(spacing[0]), float(spacing[1])),
        roi_mm=50.0,
        roi_px=_PX,
    )
    bands = square.bands([(float(x), float(y)) for x, y in centers])
    crop = roi.crop_stack(list(np.where(is_padding, 0, slices).astype(np.uint16)), bands)
    is_tissue = roi.find_tissue(list(is_padding), bands)
    by_slice = window == "slice"
    found = roi.window(*((image[:, :, 1], ~is_padding[1]) if by_slice else (crop, is_tissue)))
    return (crop[:, ::-1] if mirror else crop), _float32([found])


@pytest.mark.parametrize(
    ("shape", "spacing", "center", "mirror", "padding", "shift"),
    [
        ((300, 200), (0.43, 0.43), (101.3, 140.7), False, (1, 0), (0, 0)),
        ((64, 96), (0.9, 0.7), (0.0, 0.0), True, (1, 0), (3.25, -9)),  # mostly outside the image
        ((40, 40), (2.0, 1.0), (39.49, -0.5), True, (0, 900), (0, 0)),  # the last place on it
        ((70, 40), (2.0, 1.0), (20, 30), False, (3000, 65535), (90, 0)),  # a neighbour is off it
        ((1, 1), (0.3, 0.3), (0.0, 0.0), False, (1, 0), (0, 0)),  # one pixel
    ],
)
def test_slice_is_answered_as_the_converters_crop(
    served, shape, spacing, center, mirror, padding, shift
):
    image = np.random.default_rng(1).integers(0, 4096, (*shape, 3)).astype(np.uint16)
    centers = _float32(center) + _float32([np.negative(shift), (0, 0), shift])
    spacing, padding = _float32(spacing), np.int32(padding)
    crop, window = _converted(image, spacing, centers, mirror, padding)
    expected = served.ask("serving_default", image=crop[None], window=window)
    answer = served.ask(
        "serve_slice",
        image=image,
        pixel_spacing=spacing,
        center_xy=centers,
        mirror=mirror,
        padding=padding,
    )
    np.testing.assert_allclose(answer["probabilities"], expected["probabilities"], atol=1e-6)


@pytest.mark.slow
def test_slice_of_a_model_whose_window_is_the_crops_is_answered_as_its_crop(tmp_path):
    exported = bundle.export([_make_run(window="crop")], tmp_path / "e").directory
    served = saved_model.SavedModel(exported)
    image = np.random.default_rng(1).integers(0, 4096, (90, 80, 3)).astype(np.uint16)
    inputs = {
        "pixel_spacing": _float32([0.7, 0.7]),
        "center_xy": _float32([[11.0, 60.0], [11.0, 60.0], [8.0, 55.0]]),
        "mirror": False,
        "padding": _int32([0, 2]),
    }
    crop, window = _converted(image, *inputs.values(), window="crop")
    expected = served.ask("serving_default", image=crop[None], window=window)
    answer = served.ask("serve_slice", image=image, **inputs)
    np.testing.assert_allclose(answer["probabilities"], expected["probabilities"], atol=1e-6)
    with pytest.raises(ValueError, match="no pixel that is no padding"):
        served.ask("serve_slice", image=image, **{**inputs, "padding": _int32([0, 9999])})
    assert spec.read(exported).roi.window == "crop"
    assert "values of the crop" in json.loads((exported / "preprocess.json").read_text())["window"]


@pytest.mark.slow
def test_model_whose_window_is_the_series_has_no_slice_signature(tmp_path):
    exported = bundle.export([_make_run(window="series")], tmp_path / "e").directory
    served = saved_model.SavedModel(exported)
    assert served.signatures == {"serving_default", "serve_examples"}
    assert "there is no `serve_slice`" in (exported / "model_card.md").read_text()
    assert answer_check.check(exported).differences["saved_model"] < 1e-6
    with pytest.raises(ValueError, match="has no signature 'serve_slice'"):
        served.ask("serve_slice", image=np.zeros((4, 4, 3), np.uint16))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"center_xy": _float32([[9, 3], [72.0, 3.0], [9, 3]])}, r"center_xy is\] \[72 3\]"),
        ({"center_xy": _float32([[9, 3], [np.nan, 3.0], [9, 3]])}, "center_xy is"),
        ({"center_xy": _float32([[9, 3], [9, 3], [9, np.nan]])}, "center_xy is"),
        ({"center_xy": _float32([[9, 3], [9, 3], [1e10, 3]])}, "expected within 1e.09 pixels"),
        ({"center_xy": _float32([9, 3])}, "did not accept its input"),
        ({"padding": _int32([0, 0])}, "no pixel that is no padding"),
        ({"pixel_spacing": _float32([0.0, 0.5])}, "pixel_spacing is"),
        ({"pixel_spacing": _float32([np.nan, 0.5])}, "pixel_spacing is"),
        ({"image": np.zeros((64, 64, 1), np.uint16)}, "did not accept its input"),
    ],
)
def test_slice_that_makes_no_sense_is_refused(served, changes, message):
    inputs = {
        "image": np.zeros((64, 72, 3), np.uint16),
        "pixel_spacing": _float32([0.5, 0.5]),
        "center_xy": _float32([[10.0, 10.0]] * 3),
        "mirror": False,
        "padding": _int32([1, 0]),
    }
    with pytest.raises(ValueError, match=message):
        served.ask("serve_slice", **{**inputs, **changes})


def test_rest_body_is_answered_as_the_crops_are(served):
    """The body as TensorFlow Serving's JSON API takes it: base64 under b64, one an instance."""
    image, window = _crops(2)
    inputs = dataclasses.replace(golden.make_inputs(_spec_of(image)), image=image, window=window)
    body = json.dumps(
        {
            "signature_name": "serve_examples",
            "instances": [
                {"examples": {"b64": base64.b64encode(serialized).decode("ascii")}}
                for serialized in inputs.examples()
            ],
        }
    )
    request = json.loads(body)
    decoded = [base64.b64decode(item["examples"]["b64"]) for item in request["instances"]]
    answer = served.ask(request["signature_name"], examples=np.array(decoded, object))
    expected = served.ask("serving_default", image=image, window=window)
    predictions = [
        {name: np.asarray(value[row]).tolist() for name, value in answer.items()}
        for row in range(len(decoded))
    ]
    response = json.loads(json.dumps({"predictions": predictions}))
    np.testing.assert_allclose(
        [row["probabilities"] for row in response["predictions"]],
        expected["probabilities"],
        atol=1e-6,
    )
    assert [row["label"] for row in response["predictions"]] == expected["label"].tolist()


def _spec_of(image):
    return spec.Spec(
        task="multiclass",
        conditions=("spinal_canal_stenosis",),
        levels=("l4_l5",),
        class_prior=(1 / 3, 1 / 3, 1 / 3),
        roi=roi_config.RoiConfig(roi_px=image.shape[1], num_slices=image.shape[3]),
    )


def test_record_of_another_size_is_refused(served):
    inputs = golden.make_inputs(_spec_of(np.zeros((1, 16, 16, 3))))
    with pytest.raises(ValueError, match=r"input: \[a record has an image of another size than"):
        served.ask("serve_examples", examples=inputs.examples())


def test_unknown_signature_is_named(served):
    with pytest.raises(ValueError, match="no signature 'classify'"):
        served.ask("classify")


@pytest.mark.slow
def test_several_runs_give_their_mean(tmp_path):
    runs = [_make_run(seed=1), _make_run(seed=5, temperatures=(1.0, 2.0))]
    exported = bundle.export(runs, tmp_path / "e")
    image, window = _crops(5)
    answer = saved_model.SavedModel(exported.directory).ask(
        "serving_default", image=image, window=window
    )
    images = _normalized(image, window)
    expected = (runs[0].predict(images) + 2 * runs[1].predict(images)) / 3
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    assert "itself was not measured" in (exported.directory / "model_card.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"task": "binary"}, "task"),
        ({"roi_px": 24}, "roi"),
        ({"num_slices": 1}, "roi"),
        ({"levels": ["l5_s1"]}, "levels"),
        ({"conditions": ["spinal_canal_stenosis"]}, "conditions"),
    ],
)
def test_runs_that_differ_are_not_exported_together(one_run, tmp_path, other, message):
    with pytest.raises(ValueError, match=f"other has {message}.*have to share it"):
        bundle.export([one_run, _make_run(run_dir="other", **other)], tmp_path / "e")
    assert not list(tmp_path.iterdir())


def test_existing_place_is_refused(one_run, tmp_path):
    with pytest.raises(ValueError, match="exists; choose another --export_dir"):
        bundle.export([one_run], tmp_path)


@pytest.mark.slow
def test_disk_that_is_full_is_a_sentence_of_the_place_that_was_named(one_run, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as raised:
            bundle.export([one_run], tmp_path / "e")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert errors.in_words(raised.value).startswith(f"{tmp_path / 'e'} can't be written: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["e[1]", "e*", "e?", "e\\", "\udce4"])
def test_place_that_tensorflow_takes_for_a_pattern_is_refused(one_run, tmp_path, name):
    with pytest.raises(ValueError, match="which TensorFlow takes for a pattern"):
        bundle.export([one_run], tmp_path / name)
    assert not list(tmp_path.iterdir())


class _OtherAnswer(run.Run):
    """A run that answers otherwise than the model that is exported."""

    def predict(self, images, batch_size=256, *, num_augmented=1):
        answers = super().predict(images, batch_size, num_augmented=num_augmented)
        return np.roll(answers, 1, axis=1)


@pytest.mark.slow
def test_export_that_answers_otherwise_does_not_count(one_run, tmp_path):
    other = _OtherAnswer(**vars(one_run))
    with pytest.raises(ValueError, match="the SavedModel beside the run: crop_probabilities"):
        bundle.export([other], tmp_path / "e")
    assert not list(tmp_path.iterdir())


def test_format_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(ValueError, match=r"onnx needs the package tf2onnx: .*spine-tf\[formats\]"):
        formats.require("onnx")


def test_card_says_which_folds_the_members_did_not_see(one_run, tmp_path):
    provenance = {**one_run.provenance, "folds": ["fold_0", "fold_1"]}
    folded = dataclasses.replace(one_run, provenance=provenance)
    model_card.write(tmp_path, [folded], served_crops.spec_of([folded]), {})
    card = (tmp_path / "model_card.md").read_text("utf-8")
    assert "one member for each of fold_0, fold_1, which it never saw" in card
    assert "itself was not measured" in card


def test_log_is_as_before_when_a_converter_rearranged_it():
    root, spoiled = logging.getLogger(), logging.NullHandler()
    before = list(root.handlers), root.level
    with formats.quiet():
        root.handlers[:] = [spoiled]
        root.setLevel(logging.CRITICAL)
    assert (list(root.handlers), root.level) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", formats.FORMATS)
def test_a_file_that_its_runtime_does_not_take_is_named(name, tmp_path):
    path = tmp_path / formats.FORMATS[name].file
    path.parent.mkdir()
    path.write_bytes(b"no model")
    with pytest.raises(ValueError, match=f"{path.name} can't be loaded"):
        formats.load(tmp_path, name)


_CONVERTS = """
import sys, tensorflow as tf
from spine_tf.serving import formats
module = tf.Module()
module.double = tf.function(lambda image: {"twice": 2.0 * image}, autograph=False)
wanted = module.double.get_concrete_function(tf.TensorSpec([None], tf.float32, name="image"))
tf.saved_model.save(module, "saved_model/1", signatures={"serving_default": wanted})
formats.write(__import__("pathlib").Path(), "openvino")
"""


@pytest.mark.slow
def test_openvino_tells_its_makers_nothing(tmp_path, monkeypatch):
    monkeypatch.delenv("CI", raising=False)  # where it is set, it is silent by itself
    monkeypatch.setenv("HOME", str(tmp_path))
    subprocess.run(["warm-python", "-c", _CONVERTS], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "openvino/model.xml").is_file()
    # Whoever is counted gets a number there.
    assert not (tmp_path / "intel").exists()


def _write_and_load(directory, name):
    formats.write(directory, name)
    formats.load(directory, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnx", "openvino", "litert"])
def test_a_model_that_a_converter_does_not_take_says_why(name, tmp_path):
    """A hash of strings is what none of them knows."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image")])
    def hashed(image):
        return {"label": tf.strings.to_hash_bucket_strong(image, 7, [1, 2])}

    module = tf.Module()
    module.hashed = hashed
    path = tmp_path / "saved_model/1"
    tf.saved_model.save(module, str(path), signatures={"serving_default": hashed})
    # tf2onnx writes what it does not know; the runtime then refuses it.
    with pytest.raises(ValueError, match=f"{name}.* can't be (written|loaded)"):
        _write_and_load(tmp_path, name)


def test_unknown_format_is_named():
    with pytest.raises(ValueError, match="--formats names 'coreml', expected some of saved_model"):
        formats.parse_names(["onnx", "coreml"])


def test_int8_without_records_is_refused(one_run, tmp_path):
    with pytest.raises(ValueError, match="needs --records_dir"):
        bundle.export([one_run], tmp_path / "e", format_names=["litert_int8"])


def test_int8_with_records_of_another_crop_is_refused(one_run, tmp_path, records_dir):
    with pytest.raises(ValueError, match=r"has crops of \(32, 32, 1\), the model takes"):
        bundle.export(
            [one_run], tmp_path / "e", format_names=["litert_int8"], records_dir=records_dir
        )


@pytest.mark.slow
def test_check_of_a_whole_export_passes(copy):
    findings = answer_check.check(copy)
    assert findings.num_files == len([path for path in copy.rglob("*") if path.is_file()]) - 1
    assert findings.differences == {"saved_model": pytest.approx(0, abs=1e-6)}


def test_check_compares_sums_before_it_asks(copy):
    (copy / "saved_model/1/saved_model.pb").write_bytes(b"no graph")
    with pytest.raises(ValueError, match=r"saved_model\.pb was changed"):
        answer_check.check(copy)


def test_check_finds_answers_that_are_not_the_golden_ones(copy):
    _, outputs = golden.read(copy)
    outputs["crop_probabilities"] = np.roll(outputs["crop_probabilities"], 1, axis=1)
    golden.write_answers(copy, "outputs.npz", outputs)
    verification.write_checksums(copy)
    with pytest.raises(ValueError, match="saved_model: crop_probabilities differs by"):
        answer_check.check(copy)


def test_check_finds_a_model_of_another_crop(copy):
    values = json.loads((copy / "preprocess.json").read_bytes())
    values["roi"]["roi_px"] = 64
    (copy / "preprocess.json").write_text(json.dumps(values))
    verification.write_checksums(copy)
    with pytest.raises(ValueError, match=r"takes crops of \(32, 32, 3\), preprocess.json names"):
        answer_check.check(copy)


def test_what_check_finds_is_said_of_the_export_and_not_of_its_copy(copy):
    (copy / "golden/inputs.npz").write_bytes(b"no arrays")
    verification.write_checksums(copy)
    with pytest.raises(ValueError, match=f"{copy}/golden/inputs.npz can't be read"):
        answer_check.check(copy)


@pytest.mark.slow
def test_model_that_was_verified_answers_when_its_copy_has_gone(copy, served):
    with verification.verified(copy) as received:
        model = saved_model.SavedModel(received.directory)
        (copy / "saved_model/1/saved_model.pb").write_bytes(b"swapped meanwhile")
    assert not received.directory.exists()
    image, window = _crops(2)
    answers = [m.ask("serving_default", image=image, window=window) for m in (model, served)]
    np.testing.assert_array_equal(answers[0]["probabilities"], answers[1]["probabilities"])


def test_check_of_something_else_says_what_was_expected(tmp_path):
    with pytest.raises(ValueError, match="has no SHA256SUMS: expected a directory written by"):
        answer_check.check(tmp_path)
    with pytest.raises(ValueError, match="is not a directory"):
        answer_check.check(tmp_path / "nothing")


def test_list_is_what_sha256sum_writes(export_dir):
    lines = (export_dir / "SHA256SUMS").read_text("utf-8").splitlines()
    digest, name = lines[0].split("  ")
    assert hashlib.sha256((export_dir / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels.json", "{", "is not JSON"),
        ("labels.json", '{"format_version": 2}', "has format version 2, this program reads 1"),
        ("labels.json", '{"format_version": 1}', "export again"),
        ("preprocess.json", '{"format_version": 1, "roi": {"px": 3}}', "export again"),
    ],
)
def test_description_that_makes_no_sense_is_refused(copy, name, content, message):
    (copy / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        spec.read(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "ordinal"}, "task is 'ordinal'"),
        ({"conditions": ("stenosis",)}, r"condition is \['stenosis'\]"),
        ({"levels": ()}, "level is missing"),
        ({"class_prior": (0.5, 0.5)}, "expected 3 shares"),
        ({"class_prior": (0.5, 0.5, 0.5)}, "that sum to 1"),
    ],
)
def test_spec_refuses(changes, message):
    values = vars(_spec_of(np.zeros((1, 16, 16, 1))))
    with pytest.raises(ValueError, match=message):
        spec.Spec(**{**values, **changes})


def test_golden_inputs_are_the_same_each_time():
    described = _spec_of(np.zeros((1, 16, 16, 3)))
    first, second = golden.make_inputs(described), golden.make_inputs(described)
    for name, value in vars(first).items():
        np.testing.assert_array_equal(value, getattr(second, name))


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"probabilities": _float32([[0.6, 0.4]])}, "label has shape None"),
        ({"probabilities": _float32([[np.nan, 0.4]]), "label": np.array(["a"])}, "by nan"),
        ({"probabilities": _float32([[0.61, 0.39]]), "label": np.array(["a"])}, "by 0.01"),
        ({"probabilities": _float32([[0.6, 0.4]]), "label": np.array(["b"])}, "is .*'b'"),
    ],
)
def test_comparison_finds(found, message):
    expected = {"probabilities": _float32([[0.6, 0.4]]), "label": np.array(["a"])}
    with pytest.raises(ValueError, match=message):
        golden.compare(expected, found, "x")


def test_comparison_lets_a_label_differ_where_classes_are_level():
    expected = {"probabilities": _float32([[0.5, 0.5]]), "label": np.array(["a"])}
    found = {"probabilities": _float32([[0.49999, 0.50001]]), "label": np.array(["b"])}
    assert golden.compare(expected, found, "x") == pytest.approx(1e-5, rel=0.1)


def test_card_has_figures_limits_and_licence(one_run, tmp_path):
    run_dir = tmp_path / "w"
    run_dir.mkdir()
    figure = {"value": 0.71, "low": 0.62, "high": 0.79}
    undefined = {"value": None, "low": None, "high": None, "reason": "no example is Severe"}
    summary = {
        "task": "multiclass",
        "split": "fold_2",
        "classes": ["Normal/Mild", "Moderate", "Severe"],
        "class_counts": {"Normal/Mild": 100, "Moderate": 60, "Severe": 0},
        "class_prior_from": "split",
        "confidence": 0.95,
        "num_resamples": 1000,
        "seed": 0,
        "confusion_matrix": [[90, 10, 0], [20, 40, 0], [0, 0, 0]],
        "num_examples": 160,
        "num_studies": 32,
        "metrics": {"accuracy": figure, "auc": undefined},
        "per_class": {
            name: {"recall": undefined if name == "Severe" else figure}
            for name in ("Normal/Mild", "Moderate", "Severe")
        },
        "baselines": {"majority": {"accuracy": {"value": 0.45, "low": None, "high": None}}},
    }
    (run_dir / "metrics.json").write_text(json.dumps(summary))
    measured = dataclasses.replace(one_run, run_dir=run_dir, members=one_run.members[:1])
    model_card.write(tmp_path, [measured], served_crops.spec_of([measured]), {"saved_model": 1e-7})
    card = (tmp_path / "model_card.md").read_text("utf-8")
    assert "| Accuracy | 0.710 (0.620 to 0.790) | 0.450 |" in card
    assert "| Recall, Severe | undefined | - |" in card
    assert "160 examples of 32 studies" in card
    assert "training splits: fold_0; watched for early stopping: fold_1" in card
    assert "Not a medical device" in card
    assert "non-commercial use only" in card


@pytest.mark.slow
def test_every_format_answers_as_the_run_and_is_checked(one_run, tmp_path, make_records):
    records_dir = make_records(tmp_path / "r", num_slices=3)
    names = tuple(formats.FORMATS)
    exported = bundle.export([one_run], tmp_path / "e", format_names=names, records_dir=records_dir)
    assert set(exported.differences) == {"saved_model", *names}
    examples = records.load_examples(records.open_records(records_dir), ["fold_0"], (0, 1, 2))
    expected = one_run.predict(examples.normalized())
    for name in names:
        answer = formats.load(exported.directory, name)(
            {"image": examples.images, "window": examples.windows}
        )
        tolerance = 1e-5 if formats.FORMATS[name].is_exact else 0.05
        np.testing.assert_allclose(answer["probabilities"], expected, atol=tolerance)
    assert set(answer_check.check(exported.directory).differences) == {"saved_model", *names}
    for path in exported.directory.rglob("*.*"):
        assert not path.is_file() or bytes(tmp_path) not in path.read_bytes(), path


# Every family in every format takes minutes; operations that a format lacks would be a family's.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "task", "num_slices", "names"),
    [
        ({"family": "dense", "filters": [4], "units": [4]}, "multiclass", 1, "openvino"),
        ({"family": "densenet", "growth_rate": 4, "blocks": [2]}, "binary", 3, "litert"),
        ({"family": "residual", "head": "ordinal", "filters": [4, 4]}, "multiclass", 1, "onnx"),
        ({"family": "slices", "filters": [4, 4], "bias_correction": 0.1}, "multiclass", 3, "onnx"),
        ({"family": "slices", "filters": [4], "slice_pooling": "lstm"}, "binary", 3, "onnx"),
        ({"family": "slices", "filters": [4], "slice_pooling": "lstm"}, "binary", 1, "litert"),
        ({"family": "simple", "filters": [4], "bias_correction": 0.2}, "binary", 3, "litert"),
        ({"family": "simple", "filters": [4], "input_mm": 30.0}, "binary", 1, ""),
        (
            {"family": "dense", "filters": [4], "input_px": 16},
            "multiclass",
            3,
            "onnx openvino litert",
        ),
        # resnet50 is built as this is, of a larger backbone.
        (
            {"family": "transfer", "backbone": "mobilenetv3small", "weights": "none"},
            "multiclass",
            1,
            "",
        ),
    ],
    ids=lambda value: value["family"] if isinstance(value, dict) else str(value),
)
def test_every_family_is_exported(tmp_path, model, task, num_slices, names):
    one = _make_run(task, model=model, num_slices=num_slices)
    exported = bundle.export([one], tmp_path / "e", format_names=names.split())
    assert set(exported.differences) == {"saved_model", *names.split()}
    assert max(exported.differences.values()) < 1e-5
