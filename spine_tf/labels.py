"""What is graded, where, and how the grades become the classes of a task."""

import dataclasses

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """A classification task: which severities take part, and as which classes.

    Attributes:
        name: as given to `--task`.
        severities: indices into SEVERITIES; the position of one is its class.
    """

    name: str
    severities: tuple[int, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The severity that each class stands for, as spelled in train.csv."""
        return tuple(SEVERITIES[severity] for severity in self.severities)

    @property
    def columns(self) -> tuple[str, ...]:
        """The column that holds each class's probability in CSV files."""
        return tuple(SEVERITY_COLUMNS[severity] for severity in self.severities)

    @property
    def class_weights(self) -> tuple[float, ...]:
        """The competition's weight of each class."""
        return tuple(COMPETITION_WEIGHTS[severity] for severity in self.severities)


TASKS = {
    "binary": Task(name="binary", severities=(0, 2)),
    "multiclass": Task(name="multiclass", severities=(0, 1, 2)),
}


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
