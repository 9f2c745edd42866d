"""Learns to see T1 or T2 in pixels, on the phantom, and measures it where nothing was learned.

python benchmarks/series_weighting.py [--write] [--num_patients 40] [--data_dir spider_t2]

Prints accuracy on patients that were not learned from beside that of the baseline, the canal bright
or dark against what lies beside it, and how often a probability was right. --write replaces the
coefficients in spine_tf/studies/; --data_dir adds the series of a data set in the RSNA layout whose
kind its CSV tells.
"""

import csv
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pydicom
from absl import app, flags
from sklearn import linear_model, pipeline, preprocessing

from spine_tf.studies import canal_contrast, stack as stack_module, weighting_coefficients
from spine_tf.synthesis import imaging, patient, phantom_config, protocol, sequence

NUM_PATIENTS = 40
_LEARNED_SEED, _MEASURED_SEED = 0, 1
_CONFIG = phantom_config.PhantomConfig(
    axial_px=(96, 112),
    axial_fov_mm=(130.0, 200.0),
    sagittal_px=(96, 112),
    sagittal_fov_mm=(220.0, 330.0),
    sagittal_slices=11,
)
# Real tissues differ more than the phantom's do, and fields of view are shifted. What is sure is
# that fluid is darker than marrow in T1, and brighter in T2.
_SPREADS, _SHIFT_MM = (0.25, 0.5), 11.0
_MOST_T1, _LEAST_T2 = 0.7, 1.4
_NUM_SLICES = 3
_DIGITS = 5
# Of the penalty on large coefficients, scikit-learn's inverse strength.
_C = 0.03
_WEIGHTINGS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "sagittal": (("t1",), ("t1", "t1_contrast"), ("t2",), ("t2", "stir")),
    "axial": (("t1",), ("t1", "t1_contrast"), ("axial",), ("axial", "axial_suppressed")),
}
_MODULE = pathlib.Path(weighting_coefficients.__file__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """Middle slices of a series of known weighting."""

    plane: str
    is_t2: bool
    stack: stack_module.Stack
    slices: tuple[np.ndarray, ...]


def draw_examples(num_patients: int, seed: int) -> Iterator[Example]:
    """Yields four sagittal and four axial series a patient."""
    for index in range(num_patients):
        rng = np.random.default_rng([seed, index])
        person = patient.make_patient(rng)
        scanner = imaging.Scanner(person, rng)
        for plane, choices in _WEIGHTINGS.items():
            for names in choices:
                name = names[index % len(names)]
                spread = _SPREADS[index // 2 % len(_SPREADS)]
                yield _draw_example(person, scanner, plane, name, spread, rng)


def _draw_example(
    person: patient.Patient,
    scanner: imaging.Scanner,
    plane: str,
    name: str,
    spread: float,
    rng: np.random.Generator,
) -> Example:
    is_sagittal = plane == "sagittal"
    description = sequence.SAGITTAL_T2 if is_sagittal else sequence.AXIAL_T2
    is_t2 = not name.startswith("t1")
    contrast = _draw_contrast(description, name, is_t2, spread, rng)
    if is_sagittal:
        planes = protocol.sagittal_stack(person, _CONFIG, rng)
    else:
        is_straight = rng.random() < 0.5
        draw = protocol.straight_stack if is_straight else protocol.angled_stacks
        planes = draw(person, _CONFIG, rng)
    shift = rng.normal(0, _SHIFT_MM, 3) * ((0, 1, 1) if is_sagittal else (1, 1, 0))
    middle = len(planes) // 2 + (0 if is_sagittal else int(rng.integers(-3, 4)))
    shown = [_moved(each, shift) for each in planes[middle - 1 : middle - 1 + _NUM_SLICES]]
    return Example(
        plane=plane,
        is_t2=is_t2,
        stack=_stack(shown),
        slices=tuple(scanner.image(each, contrast, rng).astype(np.float32) for each in shown),
    )


def _draw_contrast(
    description: str, name: str, is_t2: bool, spread: float, rng: np.random.Generator
) -> sequence.Sequence:
    while True:
        contrast = sequence.draw_weighting(description, name, rng, spread=spread)
        ratio = contrast.signals["fluid"] / contrast.signals["marrow"]
        if ratio >= _LEAST_T2 if is_t2 else ratio <= _MOST_T1:
            return contrast


def _moved(plane: protocol.Slice, shift: np.ndarray) -> protocol.Slice:
    x, y, z = (float(a + b) for a, b in zip(plane.position, shift, strict=True))
    return dataclasses.replace(plane, position=(x, y, z))


def _stack(planes: Sequence[protocol.Slice]) -> stack_module.Stack:
    first = planes[0]
    return stack_module.Stack(
        files=tuple(map(str, range(len(planes)))),
        positions=tuple(plane.position for plane in planes),
        orientation=(*first.row_direction, *first.column_direction),
        pixel_spacing=first.spacing,
        rows=first.shape[0],
        columns=first.shape[1],
    )


def learn(examples: Sequence[Example]) -> dict[str, tuple[tuple[float, ...], float]]:
    """Returns weights and bias of a logistic regression, by plane."""
    return {plane: _learn([e for e in examples if e.plane == plane]) for plane in _WEIGHTINGS}


def _learn(examples: Sequence[Example]) -> tuple[tuple[float, ...], float]:
    values = np.array([_features(example) for example in examples])
    truth = [example.is_t2 for example in examples]
    scaler = preprocessing.StandardScaler()
    regression = linear_model.LogisticRegression(C=_C, max_iter=10_000, tol=1e-8)
    pipeline.make_pipeline(scaler, regression).fit(values, truth)
    weights = regression.coef_[0] / scaler.scale_
    bias = float(regression.intercept_[0] - weights @ scaler.mean_)
    return tuple(round(float(weight), _DIGITS) for weight in weights), round(bias, _DIGITS)


def _features(example: Example) -> np.ndarray:
    return np.mean(
        [canal_contrast.features(each, example.stack, example.plane) for each in example.slices],
        axis=0,
    )


def write_coefficients(learned: Mapping[str, tuple[tuple[float, ...], float]]) -> None:
    """Replaces the module of coefficients."""
    lines = [
        '"""What benchmarks/series_weighting.py --write learned: weights and bias by plane."""',
        "",
        "import types",
        "from collections.abc import Mapping",
        "",
        "COEFFICIENTS: Mapping[str, tuple[tuple[float, ...], float]] = types.MappingProxyType(",
        "    {",
    ]
    for plane, (weights, bias) in learned.items():
        lines += [f'        "{plane}": (', "            ("]
        rows = [weights[start : start + 8] for start in range(0, len(weights), 8)]
        lines += [f"                *({', '.join(map(str, row))},)," for row in rows]
        lines += ["            ),", f"            {bias},", "        ),"]
    _MODULE.write_text("\n".join([*lines, "    }", ")", ""]), encoding="utf-8")


def print_figures(examples: Sequence[Example]) -> None:
    """Prints a table by plane, and how often what probability was right."""
    print("plane      series  right  baseline")
    shares, hits = [], []
    for plane in _WEIGHTINGS:
        mine = [example for example in examples if example.plane == plane]
        found = [canal_contrast.classify(e.slices, e.stack, plane)["T2"] for e in mine]
        truth = np.array([example.is_t2 for example in mine])
        right = (np.array(found) > 0.5) == truth
        simple = [is_canal_bright(e) == e.is_t2 for e in mine]
        print(f"{plane:10} {len(mine):6} {right.mean():6.3f}  {np.mean(simple):8.3f}")
        shares += [max(share, 1 - share) for share in found]
        hits += right.tolist()
    print("probability of the answer: series, mean, right")
    for low, high in ((0.5, 0.6), (0.6, 0.8), (0.8, 0.95), (0.95, 0.99), (0.99, 1.01)):
        chosen = [(s, h) for s, h in zip(shares, hits, strict=True) if low <= s < high]
        if chosen:
            mean, right = np.mean(chosen, axis=0)
            print(f"  {low:.2f} to {min(high, 1):.2f}: {len(chosen):5} {mean:.3f} {right:.3f}")


def is_canal_bright(example: Example) -> bool:
    """Returns the baseline's answer: most slices have a canal brighter than what lies beside it."""
    seen = [canal_contrast.is_canal_bright(e, example.stack, example.plane) for e in example.slices]
    return 2 * sum(seen) > len(seen)


def print_data_set(data_dir: pathlib.Path) -> None:
    """Prints how many series of a data set's CSV are told right, and by the baseline."""
    with (data_dir / "train_series_descriptions.csv").open(encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["study_id"]))
    for row in rows:
        directory = data_dir / "train_images" / row["study_id"] / row["series_id"]
        example = _read_example(directory, row["series_description"])
        share = canal_contrast.classify(example.slices, example.stack, example.plane)["T2"]
        print(
            f"{row['study_id']} {row['series_description']}: T2 {share:.3f} "
            f"{'right' if (share > 0.5) == example.is_t2 else 'WRONG'}, "
            f"baseline {'right' if is_canal_bright(example) == example.is_t2 else 'WRONG'}"
        )


def _read_example(directory: pathlib.Path, description: str) -> Example:
    paths = sorted(directory.glob("*.dcm"), key=lambda path: int(path.stem))
    images = [pydicom.dcmread(path) for path in paths]
    middle = max(0, len(images) // 2 - 2)
    first = images[middle]
    row_spacing, column_spacing = map(float, first.PixelSpacing)
    a, b, c, d, e, f = map(float, first.ImageOrientationPatient)
    return Example(
        plane="axial" if description.startswith("Axial") else "sagittal",
        is_t2="T2" in description,
        stack=stack_module.Stack(
            files=tuple(path.name for path in paths),
            positions=((0.0, 0.0, 0.0),) * len(paths),
            orientation=(a, b, c, d, e, f),
            pixel_spacing=(row_spacing, column_spacing),
            rows=first.Rows,
            columns=first.Columns,
        ),
        slices=tuple(i.pixel_array.astype(np.float32) for i in images[middle : middle + 5]),
    )


def main(_: list[str]) -> None:
    """Learns, measures, and writes what is asked for."""
    given = flags.FLAGS
    if given.write:
        write_coefficients(learn(list(draw_examples(given.num_patients, _LEARNED_SEED))))
        print(f"written: {_MODULE}; run without --write to measure it")
        return
    print_figures(list(draw_examples(given.num_patients, _MEASURED_SEED)))
    if given.data_dir:
        print_data_set(pathlib.Path(given.data_dir))


if __name__ == "__main__":
    # Here, since a test imports this module beside programs that have a flag of the same name.
    flags.DEFINE_integer("num_patients", NUM_PATIENTS, "Of the phantom.")
    flags.DEFINE_bool("write", False, "Replaces the coefficients instead of measuring them.")
    flags.DEFINE_string("data_dir", None, "A data set in the RSNA layout, measured too.")
    app.run(main)
