"""What is graded, where, and how the grades become the classes of a task."""

import dataclasses
from collections.abc import Sequence

CONDITIONS = (
    "spinal_canal_stenosis",
    "left_neural_foraminal_narrowing",
    "right_neural_foraminal_narrowing",
    "left_subarticular_stenosis",
    "right_subarticular_stenosis",
)
LEVELS = ("l1_l2", "l2_l3", "l3_l4", "l4_l5", "l5_s1")
SEVERITIES = ("Normal/Mild", "Moderate", "Severe")

# The columns of a submission, one a severity.
SEVERITY_COLUMNS = ("normal_mild", "moderate", "severe")

# The competition's weight of a row, one a severity.
COMPETITION_WEIGHTS = (1.0, 2.0, 4.0)

# The halves of Moderate, the report's Mild, that a task may tell apart, and their columns.
HALVES = ("Mild-Normal", "Mild-Severe")
HALF_COLUMNS = ("mild_normal", "mild_severe")
_MODERATE = SEVERITIES.index("Moderate")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """A classification task: which severities take part, and as which classes.

    Attributes:
        name: as given to `--task`.
        classes: what each class is called; a whole severity as spelled in train.csv.
        columns: the column that holds each class's probability in CSV files.
        class_severities: the severity that each class belongs to, as index into SEVERITIES.
    """

    name: str
    classes: tuple[str, ...]
    columns: tuple[str, ...]
    class_severities: tuple[int, ...]

    @property
    def severities(self) -> tuple[int, ...]:
        """The severities that take part, as indices into SEVERITIES, in order."""
        return tuple(dict.fromkeys(self.class_severities))

    @property
    def has_halves(self) -> bool:
        """Whether a severity is told apart in halves, which the records don't know."""
        return len(self.severities) < len(self.classes)

    @property
    def class_weights(self) -> tuple[float, ...]:
        """The competition's weight of each class."""
        return tuple(COMPETITION_WEIGHTS[severity] for severity in self.class_severities)

    @property
    def collapsed(self) -> "Task":
        """The task of whole severities that this one is read as; itself where it has no halves."""
        return TASKS["multiclass"] if self.has_halves else self

    @property
    def collapsed_classes(self) -> tuple[int, ...]:
        """The class of `collapsed` that each class is read as."""
        return tuple(self.severities.index(severity) for severity in self.class_severities)


def _of_severities(name: str, severities: tuple[int, ...]) -> Task:
    return Task(
        name=name,
        classes=tuple(SEVERITIES[severity] for severity in severities),
        columns=tuple(SEVERITY_COLUMNS[severity] for severity in severities),
        class_severities=severities,
    )


TASKS = {
    "binary": _of_severities("binary", (0, 2)),
    "multiclass": _of_severities("multiclass", (0, 1, 2)),
    "multiclass_split": Task(
        name="multiclass_split",
        classes=(SEVERITIES[0], *HALVES, SEVERITIES[2]),
        columns=(SEVERITY_COLUMNS[0], *HALF_COLUMNS, SEVERITY_COLUMNS[2]),
        class_severities=(0, _MODERATE, _MODERATE, 2),
    ),
}

# The tasks that need nothing but the records.
WHOLE_TASKS = tuple(name for name, task in TASKS.items() if not task.has_halves)


def get_task(name: str) -> Task:
    """Returns the task of that name; ValueError names those there are."""
    if name not in TASKS:
        raise ValueError(f"task is {name!r}, expected one of {', '.join(TASKS)}")
    return TASKS[name]


def side_of(condition: str) -> str | None:
    """Returns "left" or "right" for a sided condition, None for the spinal canal."""
    for side in ("left", "right"):
        if condition.startswith(f"{side}_"):
            return side
    return None


def in_words(name: str) -> str:
    """Returns left_subarticular_stenosis as left subarticular, l4_l5 as L4/L5."""
    if name in LEVELS:
        return name.upper().replace("_", "/")
    for ending in ("_stenosis", "_narrowing"):
        name = name.removesuffix(ending)
    return name.replace("_", " ")


def graded_in_words(conditions: Sequence[str], levels: Sequence[str]) -> str:
    """Returns such as "left and right subarticular at L4/L5"."""
    what = ", ".join(_with_sides(conditions))
    if len(conditions) == len(CONDITIONS):
        what = "all conditions"
    at = "all levels" if len(levels) == len(LEVELS) else ", ".join(map(in_words, levels))
    return f"{what} at {at}"


def _with_sides(conditions: Sequence[str]) -> list[str]:
    """The conditions in words, left and right of one as one."""
    names = list(map(in_words, conditions))
    both = {
        f"left {name}": f"left and right {name}"
        for name in (each.removeprefix("right ") for each in names)
        if {f"left {name}", f"right {name}"} <= set(names)
    }
    later = {f"right {name.removeprefix('left ')}" for name in both}
    return [both.get(name, name) for name in names if name not in later]
