import dataclasses
import shutil

import numpy as np
import pytest

from spine_tf import labels
from spine_tf.configuration import config, overrides
from spine_tf.evaluation import analysis, controls, label_baseline, report
from spine_tf.scoring import predictions
from tfrecords import example, manifest, records, shard, tfds_files

MULTICLASS = labels.TASKS["multiclass"]
SPLITS = {0: "fold_0", 1: "fold_1", 2: "fold_2"}


def test_studies_of_different_splits_are_counted(records_dir):
    found = controls.count_studies(records.open_records(records_dir))

    assert found == {"fold_0": 24, "fold_1": 24, "fold_2": 24, "test": 24}


def test_study_in_two_splits_ends_the_program(records_dir, tmp_path):
    directory = shutil.copytree(records_dir, tmp_path / "r")
    source = records.open_records(directory)
    name = shard.file_name("lumbar_spine", "test", 0, 1)
    with shard.Writer(directory / name, "test") as writer:
        for serialized in shard.read_records(records_dir / source.shards_of(["fold_1"])[0].file):
            values = example.parse(source.schema, serialized)
            key = values["key"].replace(b"/7/", b"/8/")
            writer.write(example.serialize(source.schema, {**values, "key": key}))
    kept = tuple(part for part in source.manifest.shards if part.split != "test")
    leaking = manifest.Manifest(
        name="lumbar_spine",
        config={},
        shards=(*kept, writer.shard),
        class_counts=source.manifest.class_counts,
    )
    (directory / "manifest.json").unlink()
    manifest.write_manifest(directory, leaking)

    tfds_files.write_info(directory, leaking, "x")

    said = r"test.*record 0 is of study 1024 in test, which has .*fold_1.*: record 0 in fold_1"
    with pytest.raises(ValueError, match=said):
        controls.count_studies(records.open_records(directory))


def test_copy_of_a_crop_in_another_split_is_found():
    images = np.random.default_rng(0).random((9, 64, 64, 1)).astype(np.float32)
    # Another brightness and contrast, a little noise: still the same picture.
    images[7] = 0.2 + 0.5 * images[1] + 0.01 * images[8]
    keys = [f"crop{index}" for index in range(9)]
    splits = [SPLITS[index % 3] for index in range(9)]
    splits[7] = "fold_2"

    found = controls.nearest_across_splits(images, keys, splits)

    assert found.num_alike == 2
    assert {found.pairs[0].first, found.pairs[0].second} == {"crop1", "crop7"}
    assert found.pairs[0].correlation > 0.99
    assert all(pair.correlation < 0.9 for pair in found.pairs[1:])


def test_copy_in_the_same_split_is_not_a_leak():
    images = np.random.default_rng(0).random((4, 64, 64, 1)).astype(np.float32)
    images[1] = images[0]

    found = controls.nearest_across_splits(images, list("abcd"), ["x", "x", "y", "y"])
    alone = controls.nearest_across_splits(images, list("abcd"), ["x"] * 4)

    assert found.num_alike == 0
    assert (alone.num_alike, alone.pairs) == (0, ())


def _data_dir(directory, grades):
    """A data set's folder with nothing but train.csv: study -> severity of every target, or ""."""
    (directory / "train_images").mkdir(parents=True)
    names = [f"{condition}_{level}" for condition, level in label_baseline.TARGETS]
    lines = [",".join(["study_id", *names])]
    lines += [",".join([str(study), *values]) for study, values in grades.items()]
    (directory / "train.csv").write_text("\n".join(lines) + "\n")
    return directory


def _evaluated(num_studies):
    """One example a study, the answer no better than the class frequencies."""
    truth = np.arange(num_studies) % 3
    return analysis.Evaluated(
        task=MULTICLASS,
        split="oof",
        predictions=predictions.Predictions(
            keys=tuple(
                f"{study}/1/1/left_subarticular_stenosis/l4_l5" for study in range(num_studies)
            ),
            labels=truth,
            probabilities=np.full((num_studies, 3), 1 / 3),
        ),
        uncalibrated=None,
        splits=[SPLITS[study // 3 % 3] for study in range(num_studies)],
        class_prior=(1 / 3, 1 / 3, 1 / 3),
    )


@pytest.mark.slow
def test_label_baseline_reads_the_other_grades_and_not_its_own(tmp_path):
    own = label_baseline.TARGETS.index(("left_subarticular_stenosis", "l4_l5"))
    generator = np.random.default_rng(0)
    informative, silent = {}, {}
    for study in range(90):
        values = [labels.SEVERITIES[grade] for grade in generator.integers(0, 3, 25)]
        values[own] = labels.SEVERITIES[study % 3]
        silent[study] = list(values)
        values[own - 1] = labels.SEVERITIES[study % 3]
        informative[study] = values
    evaluated = _evaluated(90)

    answers = {}
    for name, grades in (("informative", informative), ("silent", silent)):
        read = label_baseline.read_grades(_data_dir(tmp_path / name, grades))
        found = label_baseline.predict(evaluated, read, range(90))
        answers[name] = (found.predicted == found.labels).mean()

    assert answers["informative"] > 0.95
    assert answers["silent"] < 0.55


def test_label_baseline_stands_in_the_analysis_and_in_a_sentence(tmp_path):
    grades = {study: [labels.SEVERITIES[study % 3]] * 25 for study in range(30)}
    evaluated = _evaluated(30)
    read = label_baseline.read_grades(_data_dir(tmp_path / "d", grades))
    answers = label_baseline.predict(evaluated, read, range(30))

    found = analysis.add_label_baseline(
        analysis.analyse(evaluated, num_resamples=50), evaluated, answers, label_baseline.NOTE
    )

    assert found.summary.baselines["labels"].metrics["accuracy"].value == 1.0
    assert found.lead_over_labels["accuracy"].value == pytest.approx(1 / 3 - 1)
    assert any("without a pixel" in sentence for sentence in report.sentences(found))


def test_missing_grades_and_columns_count_as_ungraded(tmp_path):
    (tmp_path / "train_images").mkdir()
    (tmp_path / "train.csv").write_text("study_id,spinal_canal_stenosis_l1_l2\n5,Severe\n6,\nx,\n")

    found = label_baseline.read_grades(tmp_path)

    assert sorted(found) == [5, 6]
    assert found[5].tolist() == [2, *[3] * 24]
    assert found[6].tolist() == [3] * 25


def test_label_baseline_knows_no_halves():
    evaluated = dataclasses.replace(_evaluated(30), task=labels.TASKS["multiclass_split"])
    with pytest.raises(ValueError, match=r"knows no halves, .*: leave out --data_dir"):
        label_baseline.predict(evaluated, {}, range(30))


def test_label_baseline_refuses_another_data_set(tmp_path):
    grades = {study: [""] * 25 for study in range(10)}
    read = label_baseline.read_grades(_data_dir(tmp_path / "d", grades))

    with pytest.raises(ValueError, match="no row for 20 studies of the run, such as 10"):
        label_baseline.predict(_evaluated(30), read, range(30))


@pytest.mark.slow
def test_shuffled_labels_give_chance(records_dir):
    from spine_tf.evaluation import shuffled_labels

    run_config = overrides.apply(
        config.default_config("multiclass", "simple"),
        ["model.filters=[4,8]", "model.units=8", "training.epochs=4"],
    )

    found = shuffled_labels.run_control(
        run_config, records.open_records(records_dir), num_resamples=200
    )

    assert found.is_passed
    assert (found.split, found.num_examples, found.epochs) == ("fold_0", 24, 4)
    assert found.chance == pytest.approx(1 / 3)


def test_shuffled_records_keep_crops_and_class_counts(records_dir, tmp_path):
    from spine_tf.evaluation import shuffled_labels

    source = records.open_records(records_dir)

    shuffled = shuffled_labels.write_shuffled(source, tmp_path / "s", seed=3)

    splits = ("fold_0", "fold_1", "fold_2")
    before = records.load_examples(source, splits, (0, 1, 2))
    after = records.load_examples(shuffled, splits, (0, 1, 2))
    assert shuffled.splits == splits
    np.testing.assert_array_equal(before.images, after.images)
    assert np.bincount(before.labels).tolist() == np.bincount(after.labels).tolist()
    assert (before.labels != after.labels).mean() > 0.5
    totals = [sum(counts.values()) for counts in shuffled.manifest.class_counts.values()]
    assert totals == [24, 24, 24]
