"""The plan: rows dealt to shards, whatever their order in the CSV."""

import collections
import hashlib
import json
import random

import pytest
from hypothesis import given, settings, strategies as st

from spine_tf.configuration import roi_config
from spine_tf.conversion import plan, roi_kind
from spine_tf.rsna import annotations, folds

_KIND = roi_kind.RoiKind(region=roi_config.RoiConfig())


def _rows(num_studies, rows_per_study, seed=0):
    generator = random.Random(seed)
    return [
        annotations.Annotation(
            study_id=1000 + study,
            series_id=study,
            instance_number=generator.randrange(1, 4),
            condition=index % 5,
            level=index // 5,
            x=1.0,
            y=1.0,
            label=generator.randrange(3),
        )
        for study in range(num_studies)
        for index in range(rows_per_study)
    ]


def _plan(rows, **options):
    groups = {row.study_id: str(row.study_id) for row in rows}
    splits = folds.assign_folds(
        groups, **{"num_folds": 3, "test_fraction": 0.15, "seed": 0, **options}
    )
    checked = annotations.Annotations(rows=rows, rejects=[], groups=groups, series={}, counts={})
    return plan.deal(checked, splits, record_kind=_KIND, config={"a": 1}, source={})


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 120), st.integers(1, 25), st.integers(0, 9))
def test_every_row_is_in_one_shard_and_every_study_in_one_split(studies, rows_per_study, seed):
    rows = _rows(studies, rows_per_study, seed)
    made = _plan(rows)
    assert sorted(row.key for part in made.shards for row in part.rows) == sorted(
        row.key for row in rows
    )
    splits, images = collections.defaultdict(set), collections.defaultdict(set)
    for part in made.shards:
        for row in part.rows:
            splits[row.study_id].add(part.split)
            images[row.image].add(part.file)
    assert all(len(found) == 1 for found in splits.values())
    assert all(len(found) == 1 for found in images.values())


def test_order_of_the_csv_changes_nothing():
    rows = _rows(100, 10)
    shuffled = random.Random(1).sample(rows, len(rows))
    assert _plan(rows) == _plan(shuffled)


def test_shards_are_of_about_equal_size():
    parts = [part for part in _plan(_rows(300, 9)).shards if part.split == "fold_0"]
    assert len(parts) == -(-sum(len(part.rows) for part in parts) // 256)
    assert all(len(part.rows) <= 256 + 25 for part in parts)
    assert parts[0].file == "lumbar_spine-fold_0.tfrecord-00000-of-00003"


def test_shards_are_in_the_order_of_their_splits():
    made = _plan(_rows(400, 4), num_folds=11)
    names = list(dict.fromkeys(part.split for part in made.shards))
    assert names == [*(f"fold_{index}" for index in range(11)), "test"]


def test_empty_split_has_no_shard():
    assert {part.split for part in _plan(_rows(1, 4), test_fraction=0).shards} == {"fold_0"}


def test_plan_is_the_golden_one():
    made = _plan(_rows(100, 5), num_folds=2)
    digest = hashlib.sha256(json.dumps(made.to_json()).encode()).hexdigest()
    assert digest == "5b6253c858958410efe266b1d0f1088bc188407d00ae7cd8b1a7f67e6ca3ff41"


def test_plan_is_json():
    made = _plan(_rows(6, 2))
    assert json.loads(json.dumps(made.to_json())) == made.to_json()
    assert made.num_rows == 12
    assert made.to_json()["shards"][0]["keys"] == [row.key for row in made.shards[0].rows]


@pytest.mark.parametrize("num_rows", [255, 256, 257, 513])
def test_number_of_shards(num_rows):
    rows = _rows(num_rows, 1)
    splits = dict.fromkeys((row.study_id for row in rows), "test")
    checked = annotations.Annotations(rows=rows, rejects=[], groups={}, series={}, counts={})
    parts = plan.deal(checked, splits, record_kind=_KIND, config={}, source={}).shards
    assert len(parts) == -(-num_rows // 256)
    assert max(len(part.rows) for part in parts) - min(len(part.rows) for part in parts) <= 1
