"""A study that was read: points, grades with their probabilities, and what speaks against them."""

import dataclasses
import enum
from collections.abc import Sequence

from spine_tf import labels
from spine_tf.localization import gate, localization, point_figures


class AnsweredBy(enum.StrEnum):
    """What a row's probabilities are worth."""

    MODEL = "model"
    FLAGGED = "model, flagged"
    PRIOR = "prior"
    NOTHING = "nothing"


@dataclasses.dataclass(frozen=True, kw_only=True, order=True)
class Remark:
    """Why a row has the prior, should be looked at, or lost one of its points.

    Attributes:
        reason: a code.
        detail: in words.
        file: the image, relative to the data set; "" if there is none.
    """

    reason: str
    detail: str
    file: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grade:
    """A row of the answer.

    Attributes:
        row_id: the competition's name of it.
        condition, level: indices into `spine_tf.labels`; -1 where the row's name has none.
        probabilities: one a class; they sum to 1.
        answered_by: the model or the prior.
        models: names of the models that answered.
        points_by: whose points they looked at, in words.
        remarks: why it is flagged, or what could not be used.
    """

    row_id: str
    condition: int
    level: int
    probabilities: tuple[float, ...]
    answered_by: AnsweredBy
    models: tuple[str, ...] = ()
    points_by: str = ""
    remarks: tuple[Remark, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """A model that grades.

    Attributes:
        name: its directory's name.
        sha256: of the list of its files, which names them all.
    """

    name: str
    sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Readers:
    """Who grades studies.

    Attributes:
        models: none where points are all there is.
        task: what the models tell apart; None without one.
        is_competition_weighted: probabilities have the classes weighted 1, 2, 4.
    """

    models: tuple[Model, ...] = ()
    task: labels.Task | None = None
    is_competition_weighted: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """A study that was read.

    Attributes:
        result: its points.
        readers: who graded it.
        grades: in the order of the answer; none without a model.
    """

    result: localization.StudyResult
    readers: Readers = Readers()
    grades: tuple[Grade, ...] = ()

    @property
    def study_id(self) -> int:
        """Of the study."""
        return self.result.study.study_id

    @property
    def points_by(self) -> str:
        """Whose its points are, in words."""
        return localization.points_by([self.result])

    @property
    def num_prior(self) -> int:
        """Rows that no model answered."""
        return sum(one.answered_by == AnsweredBy.PRIOR for one in self.grades)

    @property
    def flags(self) -> list[gate.Doubt]:
        """What its points are flagged with, in the order of the checks."""
        found = {doubt for row in self.result.points for doubt in row.flag.split()}
        return [doubt for doubt in gate.Doubt if doubt in found]

    @property
    def routes(self) -> list[str]:
        """The levels whose routes disagree, in words."""
        if self.result.localized is None:
            return []
        return [
            f"{labels.LEVELS[level].replace('_', '/').upper()}: {way} {deviation:.1f} standard "
            "deviations off the canal"
            for level, deviations in enumerate(self.result.localized.deviations)
            for way, deviation in zip(("foramina", "recesses"), deviations, strict=True)
            if deviation is not None and deviation > gate.MAX_DEVIATION
        ]

    @property
    def places(self) -> point_figures.Places:
        """Where its points are in the patient."""
        return point_figures.Places(self.result.study)


def by_doubt(readings: Sequence[Reading]) -> list[Reading]:
    """Returns the readings, first the one that most wants to be looked at."""
    return sorted(readings, key=lambda one: (-one.result.doubt, -one.num_prior, one.study_id))
