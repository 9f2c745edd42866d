"""Studies in, readings out, in memory: points given or found, graded, and every row explained.

`predict` asks for a whole side, a server for one study after the other; both load once.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures

from spine_tf.crops import cutting
from spine_tf.dicom import reasons
from spine_tf.localization import finder as finder_module, localization
from spine_tf.readings import reading
from spine_tf.rsna import annotations, sources, tables
from spine_tf.serving import (
    answers as answers_module,
    asked_rows,
    grader as grader_module,
    level_rows,
    row_evidence,
)
from tfrecords import progress

Studies = Mapping[int, Mapping[int, str]]
"""Study -> series -> its description."""
Points = Mapping[int, Sequence[annotations.Annotation]]
"""Study -> what is marked in it."""

# Bytes of crops that wait in memory for their models.
_MOST_WAITING = 2**28


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answered:
    """What became of studies.

    Attributes:
        results: points by study, of those whose headers were read.
        grades: all rows that were asked for, in their order.
        unreadable: image files that were looked at and gave no header or no pixels.
        unasked: (row, why) of points of rows that nobody asked for.
        num_crops: images that a model answered.
        num_found: points among them that the localiser found.
    """

    results: Mapping[int, localization.StudyResult]
    grades: Sequence[reading.Grade]
    unreadable: Sequence[str]
    unasked: Sequence[tuple[str, reading.Remark]]
    num_crops: int
    num_found: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyReader:
    """Models and a localiser, loaded.

    Attributes:
        graders: none for points alone.
        finder: finds points where none are given; None leaves those rows to the prior.
        is_competition_weighted: probabilities are those that are best for the competition.
    """

    graders: Sequence[grader_module.Grader] = ()
    finder: finder_module.Finder | None = None
    is_competition_weighted: bool = False

    def read_study(
        self,
        source: sources.Source,
        study_id: int,
        series: Mapping[int, str],
        *,
        given: Sequence[annotations.Annotation] = (),
    ) -> reading.Reading:
        """Returns one study's points and grades, without another process.

        Args:
            source: where the images are.
            study_id: which study.
            series: description of each of its series.
            given: points that somebody marked; the others are found.
        """
        asked = asked_rows.asked_of_models(self.graders, [study_id])
        answered = self.read(
            source, {study_id: series}, {study_id: given}, asked=asked, has_headers=True
        )
        return readings_of(answered, self.readers)[0]

    def load(self) -> None:
        """Loads the models, which are else loaded when they are first asked."""
        for one in self.graders:
            one.model.require(one.served)

    def warm(self) -> None:
        """Loads all networks and asks each once, so that the first study is as quick as others."""
        for one in self.graders:
            one.warm()
        if self.finder is not None:
            self.finder.warm()

    @property
    def readers(self) -> reading.Readers:
        """Who grades, for the page."""
        return reading.Readers(
            models=tuple(one.label for one in self.graders),
            task=self.graders[0].served.task_spec if self.graders else None,
            is_competition_weighted=self.is_competition_weighted,
        )

    @property
    def points_by(self) -> str:
        """Who finds the points that nobody marked, in words."""
        return self.finder.in_words if self.finder is not None else "nobody"

    def read(
        self,
        source: sources.Source,
        studies: Studies,
        given: Points,
        *,
        asked: Sequence[asked_rows.Asked],
        has_headers: bool,
        rejects: Sequence[reasons.Reject] = (),
        faults: Sequence[tables.Fault] = (),
        num_workers: int = 0,
    ) -> Answered:
        """Returns what becomes of studies.

        Args:
            source: where their images are.
            studies: that are read.
            given: points that somebody marked.
            asked: the rows of the answer.
            has_headers: read the headers of studies also where nothing has to be found in them.
            rejects: given points that can't be used.
            faults: rows of the series CSV that can't be used.
            num_workers: processes that cut crops; 0 is this one.
        """
        evidence = row_evidence.Evidence()
        evidence.add_rejects(rejects)
        evidence.add_faults(faults)
        results, rows = self._points(source, studies, given, has_headers=has_headers)
        for result in results.values():
            evidence.add_result(result)
        grades, num_crops = self.grade(
            source, studies, rows, asked=asked, evidence=evidence, num_workers=num_workers
        )
        own = {id(row) for points in given.values() for row in points}
        return Answered(
            results={
                study: result.with_unreadable(evidence.unreadable)
                for study, result in results.items()
            },
            grades=grades,
            unreadable=tuple(sorted(evidence.unreadable)),
            unasked=evidence.unasked(asked),
            num_crops=num_crops,
            num_found=sum(id(row) not in own for row in self._answerable(rows)),
        )

    def grade(
        self,
        source: sources.Source,
        studies: Studies,
        rows: Sequence[annotations.Annotation],
        *,
        asked: Sequence[asked_rows.Asked],
        evidence: row_evidence.Evidence,
        num_workers: int = 0,
    ) -> tuple[list[reading.Grade], int]:
        """Returns the rows that are asked for, by their points, and how many of those had a crop.

        Args:
            source: where the images are.
            studies: whose points they are.
            rows: the points.
            asked: the rows of the answer.
            evidence: what is known already of why a row is answered as it is.
            num_workers: processes that cut crops; 0 is this one.
        """
        evidence.add_points(rows)
        answers = answers_module.Answers(
            self.graders, is_competition_weighted=self.is_competition_weighted
        )
        num_crops = self._answer(source, studies, rows, answers, evidence, num_workers)
        return [evidence.grade(one, answers) for one in asked], num_crops

    def _answerable(self, rows: Sequence[annotations.Annotation]) -> list[annotations.Annotation]:
        return [row for row in rows if any(one.may_answer(row) for one in self.graders)]

    def _points(
        self, source: sources.Source, studies: Studies, given: Points, *, has_headers: bool
    ) -> tuple[dict[int, localization.StudyResult], list[annotations.Annotation]]:
        """Results of the studies that are looked into, and the points of all."""
        looked_into = [
            study for study in studies if has_headers or self._lacks(given.get(study, ()))
        ]
        results: dict[int, localization.StudyResult] = {}
        if looked_into:
            total = len(looked_into)
            with progress.counting("localizing", total=total, unit="study") as count:
                for study in looked_into:
                    own = given.get(study, ())
                    results[study] = self._read_points(source, study, studies[study], own)
                    count.add()
        points = {**given, **{study: result.points for study, result in results.items()}}
        return results, [row for study in studies for row in points.get(study, ())]

    def _read_points(
        self,
        source: sources.Source,
        study: int,
        series: Mapping[int, str],
        own: Sequence[annotations.Annotation],
    ) -> localization.StudyResult:
        finder = self.finder if self._lacks(own) else None
        return localization.read_study(source, study, series, given=own, finder=finder)

    def _lacks(self, own: Sequence[annotations.Annotation]) -> bool:
        """Whether there is something to find: a row that a model grades, and nobody marked."""
        if self.finder is None:
            return False
        there = {(row.condition, row.level) for row in own}
        return not self.graders or any(set(one.rows) - there for one in self.graders)

    def _answer(
        self,
        source: sources.Source,
        studies: Studies,
        rows: Sequence[annotations.Annotation],
        answers: answers_module.Answers,
        evidence: row_evidence.Evidence,
        num_workers: int,
    ) -> int:
        of_model = [[row for row in rows if one.may_answer(row)] for one in self.graders]
        described = {(study, s): text for study, of in studies.items() for s, text in of.items()}
        gatherings = [
            level_rows.Gathering(one.served, of_one, described) if one.served.views else None
            for one, of_one in zip(self.graders, of_model, strict=True)
        ]
        num_crops = 0
        with progress.counting("predicting", total=sum(map(len, of_model)), unit="row") as count:
            batches = self._batches(source, of_model, num_workers)
            for model, batch in _beside(self.load, batches) if any(of_model) else ():
                evidence.add_rejects(batch.rejects)
                evidence.unreadable.update(batch.failed)
                count.add(len(batch.rows) + len(batch.rejects))
                num_crops += len(batch.rows)
                gathering = gatherings[model]
                if gathering is not None:
                    levels = [*gathering.add(batch)]
                    self._answer_levels(model, levels, answers, evidence)
                elif batch.rows:
                    found = self.graders[model].answer(batch)
                    for row, probabilities in zip(batch.rows, found, strict=True):
                        answers.add(model, row, probabilities)
        return num_crops

    def _answer_levels(
        self,
        model: int,
        levels: Sequence[level_rows.Level],
        answers: answers_module.Answers,
        evidence: row_evidence.Evidence,
    ) -> None:
        """Adds what a model of levels says of those whose crops have all come."""
        if not levels:
            return
        one = self.graders[model]
        found = one.answer_levels(levels)
        for level, said in zip(levels, found, strict=True):
            for place, row, is_own in level_rows.graded(level, one.served.conditions):
                answers.add(model, row, said[place])
                if not is_own:
                    evidence.add_other_views(row)

    def _batches(
        self,
        source: sources.Source,
        of_model: Sequence[Sequence[annotations.Annotation]],
        num_workers: int,
    ) -> Iterator[tuple[int, cutting.Batch]]:
        for model, (one, rows) in enumerate(zip(self.graders, of_model, strict=True)):
            batches = cutting.cut_batches(source, rows, one.served.roi, num_workers=num_workers)
            for batch in batches:
                yield model, batch


def _beside(
    load: Callable[[], None], batches: Iterator[tuple[int, cutting.Batch]]
) -> Iterator[tuple[int, cutting.Batch]]:
    """Yields the batches after a call that takes seconds, and cuts the first ones meanwhile.

    It imports TensorFlow, after which no worker can be forked: so they are there before.
    """
    waiting = list(itertools.islice(batches, 1))
    with futures.ThreadPoolExecutor(1) as executor:
        loading = executor.submit(load)
        while not loading.done() and sum(b.images.nbytes for _, b in waiting) < _MOST_WAITING:
            found = next(batches, None)
            if found is None:
                break
            waiting.append(found)
        loading.result()
    yield from waiting
    yield from batches


def readings_of(answered: Answered, readers: reading.Readers) -> list[reading.Reading]:
    """Returns the studies whose headers were read, each with its grades."""
    by_study: dict[str, list[reading.Grade]] = {}
    for grade in answered.grades:
        if grade.condition < 0:  # no study's own
            continue
        by_study.setdefault(grade.row_id.partition("_")[0], []).append(grade)
    return [
        reading.Reading(result=result, readers=readers, grades=tuple(by_study.get(str(study), ())))
        for study, result in answered.results.items()
    ]
