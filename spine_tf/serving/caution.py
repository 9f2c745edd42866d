"""What makes answers look better than they are, or worse: said before they are given."""

import collections
from collections.abc import Collection

from absl import logging

from spine_tf import labels
from spine_tf.auditing import point_checks
from spine_tf.rsna import annotations
from spine_tf.serving import grader as grader_module, training_studies
from tfrecords import words


def warn_of_studies(one: grader_module.Grader, studies: Collection[int]) -> None:
    """Warns where a model was trained on some of the studies that it is asked about."""
    known = training_studies.known_of(one.directory, studies)
    if known:
        logging.warning(
            "the model's training data held %d of %s, such as %d: its answers to them say nothing "
            "of new studies",
            *(len(known), words.counted(len(studies), "study"), known[0]),
        )


def warn_of_images(found: annotations.Annotations) -> None:
    """Warns where points lie on another kind of series than their condition is graded on."""
    for (condition, expected, given), number in sorted(_unexpected(found).items()):
        logging.warning(
            "%d of %d rows of %s are on %s series, while it is graded on %s: images of another "
            "kind, unless the model was trained on such",
            *(number, sum(labels.CONDITIONS[row.condition] == condition for row in found.rows)),
            *(condition, given, expected),
        )


def _unexpected(found: annotations.Annotations) -> dict[tuple[str, str, str], int]:
    """Rows on another kind of series: (condition, expected, given) -> how many."""
    counts: dict[tuple[str, str, str], int] = collections.Counter()
    for row in found.rows:
        given = found.series[row.study_id, row.series_id]
        expected = point_checks.expected_description(row.condition)
        if given != expected and given in point_checks.DESCRIPTIONS.values():
            counts[labels.CONDITIONS[row.condition], expected, given] += 1
    return counts
