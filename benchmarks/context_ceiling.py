"""What the views of a level say together: the competition's score of the true probabilities.

    python benchmarks/context_ceiling.py [--num_patients 4000] [--seed 0]

Draws patients of both editions of the phantom with their readers' grades, no images, and scores,
by the competition's metric, the true probabilities of the grades given a target's own view, given
both views of the canal, given the level, and given the whole study. The last is the best score
that anything can be expected to reach. Differences are paired, with 95 % intervals over patients.
"""

import numpy as np
from absl import app, flags

from spine_tf import labels
from spine_tf.scoring import bootstrap, competition, predictions
from spine_tf.synthesis import evidence, grading

_NUM_PATIENTS = flags.DEFINE_integer("num_patients", 4000, "Of each edition.")
_SEED = flags.DEFINE_integer("seed", 0, "Of patients, views and readers.")

_TASK = labels.TASKS["multiclass"]
_NUM_RESAMPLES = 300
_TERMS = ("spinal", "foraminal", "subarticular", "any_severe_spinal", "mean")


def main(_: list[str]) -> None:
    """Prints a table an edition."""
    rng = np.random.default_rng(_SEED.value)
    latents = np.stack([grading.draw_latents(rng) for _ in range(_NUM_PATIENTS.value)])
    grades = grading.draw_grades(grading.grade_probabilities(latents), rng)
    shown = {1: evidence.show_all(latents), 2: evidence.show_in_part(latents, rng)}
    for edition, seen in shown.items():
        answers = {scope: _answers(seen, scope, grades) for scope in evidence.SCOPES}
        _print_scores(edition, answers)


def _answers(seen: evidence.Evidence, scope: str, grades: np.ndarray) -> predictions.Predictions:
    probabilities = evidence.grade_probabilities(seen, scope)
    keys = tuple(
        f"{study}/0/0/{condition}/{level}"
        for study in range(len(grades))
        for condition in labels.CONDITIONS
        for level in labels.LEVELS
    )
    calibrated = predictions.Predictions(
        keys=keys, labels=grades.ravel(), probabilities=probabilities.reshape(len(keys), -1)
    )
    return competition.reweight(calibrated, _TASK)


def _print_scores(edition: int, answers: dict[str, predictions.Predictions]) -> None:
    first = next(iter(answers.values()))
    weights = bootstrap.resample_weights(first.study_ids, num_resamples=_NUM_RESAMPLES, seed=0)
    print(f"\nedition {edition}" + "".join(f"{name:>20}" for name in _TERMS))
    for scope, answer in answers.items():
        terms = competition.score(answer, _TASK, weights).terms
        print(f"{scope:<11}" + "".join(f"{terms[name].value:>20.4f}" for name in _TERMS))
    for scope, answer in list(answers.items())[1:]:
        changes = competition.differences(answer, first, _TASK, weights)
        figures = (changes[name].change_in_words(4) for name in _TERMS)
        print(f"{scope} less {evidence.OWN_VIEW}: " + ", ".join(figures))


if __name__ == "__main__":
    app.run(main)
