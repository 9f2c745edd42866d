"""Exports of what grades whole levels: runs of levels, whose mean is served, or a stack."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from spine_tf import labels
from spine_tf.auditing import point_checks
from spine_tf.configuration import roi_config
from spine_tf.runs import run
from spine_tf.scoring import predictions
from spine_tf.serving import formats, level_golden, level_graph, saved_model, served_crops, spec
from spine_tf.stacking import level_table, members as members_module, stack_directory
from spine_tf.training import level_examples
from tfrecords import stored_images

_NUM_CONDITIONS = len(labels.CONDITIONS)


class ServedLevels:
    """Runs of task levels that are served as one, the mean of their members."""

    def __init__(self, runs: Sequence[run.Run]) -> None:
        """Takes the runs; ValueError where they don't fit together."""
        self.runs = list(runs)
        self.spec = served_crops.spec_of(self.runs)
        self.members = [member for one in self.runs for member in one.members]

    def save(self, path: pathlib.Path) -> None:
        """Writes the SavedModel."""
        members = [(member.model, member.temperature) for member in self.members]
        level_graph.LevelGraph(level_graph.LevelMembers(members), self.spec).save(path)

    def golden_inputs(self) -> level_golden.Inputs:
        """Returns what every format is asked."""
        return level_golden.make_inputs(self.spec)

    def ask_all(self, model: saved_model.SavedModel, inputs: level_golden.Inputs) -> spec.Answer:
        """Returns the SavedModel's answers."""
        return level_golden.ask_all(model, inputs)

    def own_answers(self, inputs: level_golden.Inputs) -> spec.Answer:
        """Returns the answers of the runs themselves."""
        asked = {
            "image": level_examples.normalize(inputs.image, inputs.window),
            "present": inputs.present.astype(np.float32),
            "level": inputs.level,
        }
        said = [
            member.calibrated(member.model(asked, training=False)["probabilities"].numpy())
            for member in self.members
        ]
        return level_golden.as_answers(np.mean(said, axis=0), self.spec)

    def representative(self, records_dir: pathlib.Path | None) -> formats.Crops:
        """Returns nothing: ranges of int8 are set by crops alone so far."""
        raise _no_int8()

    def more_of_card(self) -> str:
        """Returns what the card says besides."""
        return ""


class ServedStack:
    """A stack with the runs that it weighs."""

    def __init__(self, directory: pathlib.Path) -> None:
        """Loads a stack and its runs; ValueError where it can't be served."""
        self.directory = directory
        self.stack = stack_directory.read(directory)
        self.runs = [run.load_run(path) for path in self.stack.run_dirs]
        for one in self.runs:
            if one.config.task not in labels.TASKS:
                raise ValueError(
                    f"{one.run_dir} grades whole levels: a stack with it can be evaluated, not "
                    "exported"
                )
        self._views_of = views_of_runs(members_module.read(self.stack.run_dirs))
        self.spec = self._make_spec()

    def _make_spec(self) -> spec.Spec:
        converted = [one.provenance["records"]["config"] for one in self.runs]
        rois = [roi_config.from_dict(each) for each in converted]
        for one, roi in zip(self.runs[1:], rois[1:], strict=True):
            if roi != rois[0]:
                raise ValueError(
                    f"{one.run_dir} was trained on other crops than {self.runs[0].run_dir} "
                    f"({roi} and {rois[0]}): runs of a stack that is exported share them"
                )
        answered = {c for name in self.stack.regressions for c in level_table.GROUPS[name]}
        views = sorted({view for of_run in self._views_of for view in of_run.values()})
        views.sort(key=lambda view: labels.CONDITIONS.index(view[0]))
        levels = {level for each in converted for level in each["levels"]}
        return spec.Spec(
            task=self.stack.task.name,
            conditions=tuple(labels.CONDITIONS[each] for each in sorted(answered)),
            levels=tuple(level for level in labels.LEVELS if level in levels),
            class_prior=self.stack.class_prior,
            roi=rois[0],
            views=tuple(views),
        )

    def save(self, path: pathlib.Path) -> None:
        """Writes the SavedModel."""
        runs = [
            level_graph.StackedRun(
                [(member.model, member.temperature) for member in one.members],
                one.config.task_spec,
                {c: self.spec.views.index(view) for c, view in of_run.items()},
            )
            for one, of_run in zip(self.runs, self._views_of, strict=True)
        ]
        conditions = [labels.CONDITIONS.index(name) for name in self.spec.conditions]
        answerer = level_graph.StackAnswerer(runs, self.stack.regressions, conditions)
        level_graph.LevelGraph(answerer, self.spec).save(path)

    def golden_inputs(self) -> level_golden.Inputs:
        """Returns what every format is asked."""
        return level_golden.make_inputs(self.spec)

    def ask_all(self, model: saved_model.SavedModel, inputs: level_golden.Inputs) -> spec.Answer:
        """Returns the SavedModel's answers."""
        return level_golden.ask_all(model, inputs)

    def own_answers(self, inputs: level_golden.Inputs) -> spec.Answer:
        """Returns the answers that the runs and the regressions give without the graph."""
        images = level_examples.normalize(inputs.image, inputs.window)
        num_classes = len(self.stack.task.classes)
        shape = (len(images), len(self.runs), _NUM_CONDITIONS, num_classes - 1)
        odds = np.full(shape, np.nan)
        for number, (one, of_run) in enumerate(zip(self.runs, self._views_of, strict=True)):
            for condition, view in of_run.items():
                place = self.spec.views.index(view)
                columns = {
                    "condition": np.full(len(images), condition),
                    "level": inputs.level,
                }
                said = one.predict(stored_images.as_windowed(images[:, place], columns))
                said = predictions.collapse_probabilities(said, one.config.task_spec)
                is_there = inputs.present[:, place] > 0
                odds[is_there, number, condition] = level_table.log_odds(said)[is_there]
        answers = [self._weigh(odds, inputs.level, name) for name in self.spec.conditions]
        return level_golden.as_answers(np.stack(answers, axis=1), self.spec)

    def _weigh(self, odds: np.ndarray, levels: np.ndarray, name: str) -> np.ndarray:
        condition = labels.CONDITIONS.index(name)
        group = next(each for each, of in level_table.GROUPS.items() if condition in of)
        columns = level_table.columns_of(odds, levels, condition)
        return self.stack.regressions[group].predict(columns)

    def representative(self, records_dir: pathlib.Path | None) -> formats.Crops:
        """Returns nothing: ranges of int8 are set by crops alone so far."""
        raise _no_int8()

    def more_of_card(self) -> str:
        """Returns what the card says of the stack."""
        names = ", ".join(f"`{one.run_dir.name}`" for one in self.runs)
        return (
            f"What {names} say of a level is weighed by multinomial logistic regressions, fitted "
            "on what each said out of fold; "
            + ", ".join(
                f"{name} with strength {found.strength:g}"
                for name, found in self.stack.regressions.items()
            )
            + ".\n"
        )


def _no_int8() -> ValueError:
    return ValueError(
        f"format {formats.INT8} is of models of single crops: leave it out of --formats"
    )


def views_of_runs(
    members: Sequence[members_module.Member],
) -> list[dict[int, tuple[str, str]]]:
    """Returns the view by which each run of a stack grades each condition.

    The recess and the foramen are graded where they usually are. The canal may be read elsewhere:
    where most of a run's canal rows lie on series on which some run has recesses or foramina, it is
    on their kind of series.
    """
    series_of: dict[int, set[tuple[int, int]]] = {}
    for member in members:
        for condition, found in member.series.items():
            series_of.setdefault(condition, set()).update(found)
    return [
        {
            condition: (
                labels.CONDITIONS[condition],
                point_checks.expected_description(_whose_series(condition, found, series_of)),
            )
            for condition, found in member.series.items()
        }
        for member in members
    ]


def _whose_series(
    condition: int, found: set[tuple[int, int]], series_of: Mapping[int, set[tuple[int, int]]]
) -> int:
    """The condition that a run's series are of by their kind."""
    if labels.side_of(labels.CONDITIONS[condition]) is not None:
        return condition
    others = {other: series for other, series in series_of.items() if other != condition}
    on_others = (other for other, series in others.items() if 2 * len(found & series) > len(found))
    return next(on_others, condition)
