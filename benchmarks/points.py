"""What the decoding of points is worth apart from any network: phantoms, an oracle, planted faults.

    python benchmarks/points.py --num_studies 240 --seed 1 [--randomize] [--localizer_dir L]

Half of the studies are sound, the others have a planted fault; with --randomize all are varied, as
`spine_tf.phantom --randomize` varies them, and those in which nothing tells the lowest disc stand
apart. The oracle draws heatmaps from the truth as a network would that sees it blurred, displaced,
with false peaks, and at times not at all. Studies are geometry alone, so one takes about a second.
Prints the figures of sound studies with intervals, beside controls, and what the least sure tenth
of the points holds of all level errors.

With --localizer_dir the networks of L stand in the oracle's place, or the package's own if L is
`default`: studies are then drawn, sound ones alone, and one takes about ten seconds. Millimetres
are the networks' with --randomize alone: points of usual phantoms lie off as those of graders do.
"""

import collections
import pathlib
import tempfile
import time
from collections.abc import Iterator

import oracle
import planted
from absl import app, flags

from spine_tf.localization import localization, point_controls, point_figures, study_points
from spine_tf.rsna import sources
from spine_tf.synthesis import phantom, phantom_config

_FAULTS = oracle.Faults(
    blur=1.15, displacement_mm=0.7, missed=0.01, false_peaks=0.3, noise=0.01, leak=0.2
)


_SOUND = (planted.SOUND, planted.VARIED)

_NUM_STUDIES = flags.DEFINE_integer("num_studies", 240, "Half sound, half with a fault.")
_RANDOMIZE = flags.DEFINE_bool("randomize", False, "Varied studies, none with a planted fault.")
_SEED = flags.DEFINE_integer("seed", 0, "Of studies and oracle.")
_LOCALIZER_DIR = flags.DEFINE_string("localizer_dir", None, "Networks instead of the oracle.")


def main(_: list[str]) -> None:
    """Prints the figures."""
    if _LOCALIZER_DIR.value:
        _print_networks(_LOCALIZER_DIR.value)
        return
    start = time.monotonic()
    cases = list(_cases(_NUM_STUDIES.value, _SEED.value))
    results = [_localize(case, _SEED.value) for case in cases]
    seconds = time.monotonic() - start
    print(f"{len(cases)} studies in {seconds:.0f} s, {seconds / len(cases):.2f} s each")
    sound = [one for one, case in zip(results, cases, strict=True) if case.fault in _SOUND]
    print(point_controls.compare(_as_result(sound, cases)).in_words())
    _print_errors(results, cases)


def _print_networks(localizer_dir: str) -> None:
    """The same figures of drawn studies, by networks that look at pixels."""
    config = phantom_config.PhantomConfig(
        num_studies=_NUM_STUDIES.value,
        seed=_SEED.value,
        varied=phantom_config.PARTS if _RANDOMIZE.value else (),
    )
    directory = None if localizer_dir == "default" else pathlib.Path(localizer_dir)
    with tempfile.TemporaryDirectory() as made:
        data_dir = pathlib.Path(made, "phantom")
        phantom.write_studies(config, data_dir, num_workers=1)
        start = time.monotonic()
        result = localization.localize(sources.open_source(data_dir), localizer_dir=directory)
    print(f"{(time.monotonic() - start) / config.num_studies:.2f} s a study, by {localizer_dir}")
    print(localization.summarize(result))
    print(point_controls.compare(result).in_words())


def _cases(num_studies: int, seed: int) -> Iterator[planted.Case]:
    if _RANDOMIZE.value:
        yield from (planted.make_varied(index, seed) for index in range(num_studies))
        return
    kinds, half = tuple(planted.FAULTS), num_studies // 2
    faults = [planted.SOUND] * half + [kinds[index % len(kinds)] for index in range(half)]
    for index, fault in enumerate(faults):
        yield planted.make(index, fault, seed)


def _localize(case: planted.Case, seed: int) -> study_points.Localized:
    return study_points.localize(case.known.study, oracle.Oracle([case.known], _FAULTS, seed))


def _as_result(
    found: list[study_points.Localized], cases: list[planted.Case]
) -> localization.Result:
    return localization.Result(
        side="train",
        studies=[
            localization.StudyResult(
                study=one.study, points=one.points, gaps=one.gaps, localized=one
            )
            for one in found
        ],
        rejects=(),
        truth={case.known.study.study_id: case.truth for case in cases},
    )


def _print_errors(results: list[study_points.Localized], cases: list[planted.Case]) -> None:
    by_fault: dict[str, list[point_figures.Match]] = collections.defaultdict(list)
    for one, case in zip(results, cases, strict=True):
        by_fault[case.fault] += point_figures.match(one.study, one.points, case.truth)
    print(f"\n{'fault':24}{'rows':>8}{'points':>8}{'wrong level':>13}")
    for fault, matches in by_fault.items():
        wrong = sum(match.is_level_right is False for match in matches)
        found = sum(match.found for match in matches)
        print(f"{fault:24}{len(matches):8}{found:8}{wrong:13}")
    everything = [match for matches in by_fault.values() for match in matches]
    curve = point_figures.risk_coverage(everything)
    for share in (0.5, 0.8, 0.9, 0.95, 1.0):
        at = curve[max(round(share * len(curve)) - 1, 0)]
        print(f"surest {share:4.0%} of the points: {at.risk:.4f} at a wrong level")
    print(f"level errors in the least sure 10 %: {point_figures.errors_in_tail(everything)}")


if __name__ == "__main__":
    app.run(main)
