"""Keras Tuner's private names, which this file alone knows.

Keras Tuner promises nothing about them and may change them in any release; so setup.cfg pins the
release that they are of, keras-tuner==1.4.8. What the rest of the search needs of them has a public
name here.
"""

import abc
import contextlib
import io
import os
import pathlib
from collections.abc import Iterable, Iterator
from concurrent import futures
from typing import Any, TypeAlias

import grpc
import keras_tuner
from keras_tuner.src import protos
from keras_tuner.src.distribute import oracle_chief, oracle_client, utils
from keras_tuner.src.engine import hyperparameters, trial as trial_module

from tfrecords import atomic, json_object

TRIAL_FILE = "trial.json"

HyperParameter: TypeAlias = hyperparameters.HyperParameter
Choice: TypeAlias = hyperparameters.Choice
Fixed: TypeAlias = hyperparameters.Fixed
Float: TypeAlias = hyperparameters.Float
Int: TypeAlias = hyperparameters.Int
Trial: TypeAlias = trial_module.Trial
TrialStatus: TypeAlias = trial_module.TrialStatus


def is_chief() -> bool:
    """Returns whether this process is the chief of a search on several machines.

    Raises:
        ValueError: some of Keras Tuner's variables are set, and not all.
    """
    return _is_on_several_machines() and utils.is_chief_oracle()


def is_worker() -> bool:
    """Returns whether this process works for a chief elsewhere."""
    return _is_on_several_machines() and not utils.is_chief_oracle()


def _is_on_several_machines() -> bool:
    try:
        return utils.has_chief_oracle()
    except RuntimeError as err:
        raise ValueError(" ".join(str(err).split())) from err


def chief_address() -> str:
    """Returns where the chief listens, from Keras Tuner's variables."""
    return f"{os.environ['KERASTUNER_ORACLE_IP']}:{os.environ['KERASTUNER_ORACLE_PORT']}"


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Keras Tuner prints a line for every condition that it sends; within, it doesn't."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


# What Keras Tuner raises of a state of other keys or types.
_NOT_WHAT_IS_WRITTEN = (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError)
_MEND = "begin the search anew with --overwrite"


class DurableOracle(keras_tuner.Oracle):
    """An oracle whose state is written whole or not at all, and that goes on where it was."""

    def open(self, directory: pathlib.Path) -> None:
        """Keeps the state in a directory from now on; goes on from the state that is there."""
        self.verbose = 0
        self._set_project_dir(str(directory.parent), directory.name)
        path = pathlib.Path(self._get_oracle_fname())
        if not path.exists():
            return
        # Read twice, so that what is damaged is named.
        for each in (path, *sorted(directory.glob(f"trial_*/{TRIAL_FILE}"))):
            json_object.read(each, expected="a state of the search", mend=_MEND)
        try:
            self.reload()
        except _NOT_WHAT_IS_WRITTEN as err:
            raise ValueError(
                f"{path}, or a trial beside it, can't be used ({err!r}): {_MEND}"
            ) from err

    def save(self) -> None:
        """Writes the state."""
        atomic.write_json(pathlib.Path(self._get_oracle_fname()), self.get_state(), indent=None)

    def _save_trial(self, trial: Trial) -> None:
        path = pathlib.Path(self._get_trial_dir(trial.trial_id)) / TRIAL_FILE
        atomic.write_json(path, trial.get_state(), indent=None)

    def reload(self) -> None:
        """Reads the state, and forgets a trial that was written but not yet started.

        A trial that was broken off is run anew; one that had ended is not.
        """
        # Keras Tuner looks for them by a pattern of the whole path, which [ or * in a name breaks.
        for path in pathlib.Path(self._project_dir).glob(f"trial_*/{TRIAL_FILE}"):
            trial = Trial.load(str(path))
            self.trials[trial.trial_id] = trial
        super().reload()
        for trial_id in set(self.trials) - set(self.start_order):
            del self.trials[trial_id]
        # Keras Tuner writes that a trial has ended while it still counts it as running.
        for trial_id in self.end_order:
            self.forget_retry(trial_id)
        for trial_id in self._retry_queue:
            self._forget_figures(trial_id)

    def first_values(self) -> Iterable[dict[str, Any]]:
        """Returns what is proposed before anything by chance."""
        return ()

    def _random_values(self) -> dict[str, Any] | None:
        untried = (values for values in self.first_values() if not self.is_tried(values))
        return next(untried, None) or super()._random_values()

    def is_tried(self, values: dict[str, Any]) -> bool:
        """Returns whether a trial has these active values."""
        return self._duplicate(values)

    def retry(self, trial_id: str) -> None:
        """Hands a started trial out again, before any new one."""
        self._retry_queue.append(trial_id)

    def begin_again(self, trial_id: str) -> None:
        """Hands a trial out again that had ended, as if it had not."""
        self.end_order.remove(trial_id)
        self._run_times[trial_id] -= 1
        self._forget_figures(trial_id)
        self.retry(trial_id)

    def _forget_figures(self, trial_id: str) -> None:
        """Keras Tuner would add what the trial tells next to what it has told."""
        trial = self.trials[trial_id]
        trial.metrics = type(trial.metrics)()

    def forget_retry(self, trial_id: str) -> None:
        """Does not hand a trial out again after all."""
        if trial_id in self._retry_queue:
            self._retry_queue.remove(trial_id)


class GridOracle(DurableOracle, keras_tuner.oracles.GridSearchOracle):
    """Keras Tuner's grid, asked for one combination after another."""

    def combination_after(self, values: dict[str, Any]) -> dict[str, Any] | None:
        """Returns the next combination of the grid; None after the last."""
        return self._get_next_combination(values)


class HyperbandOracle(DurableOracle, keras_tuner.oracles.HyperbandOracle):
    """Keras Tuner's Hyperband, told which bracket comes first."""

    def begin_with_bracket_of(self, max_trials: int) -> None:
        """Begins with the largest bracket that so many trials run to its end."""
        while self._current_bracket and self._bracket_size(self._current_bracket) > max_trials:
            self._current_bracket -= 1
        self._brackets: list[dict[str, Any]] = []
        self._start_new_bracket()

    def _bracket_size(self, bracket: int) -> int:
        rounds = range(self._get_num_rounds(bracket))
        return sum(self._get_size(bracket, round_num) for round_num in rounds)

    def open_trials(self) -> list[str]:
        """Returns the trials of brackets that are not through: a later one may continue them."""
        return [
            entry["id"]
            for bracket in self._brackets
            for entries in bracket["rounds"]
            for entry in entries
        ]


class BayesianOracle(DurableOracle, keras_tuner.oracles.BayesianOptimizationOracle):
    """Keras Tuner's Bayesian oracle, without its regression."""

    def propose_at_random(self) -> dict[str, Any]:
        """Returns `populate_space`'s answer with random values, or that there are none left."""
        return self._random_populate_space()

    def dimensions(self) -> list[HyperParameter]:
        """Returns the hyperparameters that vary: the axes of the unit cube."""
        return self._nonfixed_space()


class OracleClient(oracle_client.OracleClient):
    """Keras Tuner's client of an oracle elsewhere, over a channel that is given to it."""

    def __init__(self, oracle: keras_tuner.Oracle, channel: grpc.Channel) -> None:
        super().__init__(oracle)
        self.stub = protos.get_service_grpc().OracleStub(channel)

    def greet(self, seconds: float) -> dict[str, Any]:
        """Asks for nothing but an answer, and returns the metadata that begins it.

        Raises:
            grpc.RpcError: there is none within the time, or the call is refused.
        """
        request = protos.get_service().GetSpaceRequest()
        _, call = self.stub.GetSpace.with_call(request, wait_for_ready=True, timeout=seconds)
        return dict(call.initial_metadata())


class Service(oracle_chief.OracleServicer, abc.ABC):
    """Keras Tuner's service over gRPC, whose messages become calls."""

    @abc.abstractmethod
    def guard(self) -> contextlib.AbstractContextManager[None]:
        """What holds while a message is answered."""

    @abc.abstractmethod
    def create_trial(self, tuner_id: str) -> Trial:
        """Returns the trial that a worker is to run, or one that says that there is none."""

    @abc.abstractmethod
    def see_trial(self, trial_id: str) -> None:
        """The worker of a trial has asked for it."""

    @abc.abstractmethod
    def end_trial(self, trial_id: str) -> None:
        """The worker of a trial is done with it."""

    @contextlib.contextmanager
    def listening(self, address: str, gate: grpc.ServerInterceptor) -> Iterator[None]:
        """Answers those whom the gate lets in.

        Raises:
            OSError: the address can't be had.
        """
        server = grpc.server(
            futures.ThreadPoolExecutor(max_workers=4),
            interceptors=(gate,),
            # By default two chiefs could listen at one port, and workers would come to either.
            options=(("grpc.so_reuseport", 0),),
        )
        protos.get_service_grpc().add_OracleServicer_to_server(self, server)
        try:
            server.add_insecure_port(address)
        except RuntimeError as err:
            raise OSError(f"the chief can't listen at {address}: {err}") from err
        server.start()
        try:
            with silenced():
                yield
        finally:
            server.stop(grace=2.0).wait()

    def CreateTrial(self, request: Any, context: Any) -> Any:
        """Keras Tuner's name."""
        if not request.tuner_id:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a worker has no name")
        with self.guard():
            trial = self.create_trial(request.tuner_id)
            return protos.get_service().CreateTrialResponse(trial=trial.to_proto())

    def GetTrial(self, request: Any, context: Any) -> Any:
        """Keras Tuner's name."""
        self._require_trial(request.trial_id, context)
        with self.guard():
            self.see_trial(request.trial_id)
            return super().GetTrial(request, context)

    def EndTrial(self, request: Any, context: Any) -> Any:
        """Keras Tuner's name."""
        self._require_trial(request.trial.trial_id, context)
        with self.guard():
            self.end_trial(request.trial.trial_id)
            return protos.get_service().EndTrialResponse()

    def _require_trial(self, trial_id: str, context: Any) -> None:
        """Ends the call, not the search, where the oracle has no such trial."""
        if trial_id not in self.oracle.trials:
            context.abort(grpc.StatusCode.NOT_FOUND, f"there is no trial {trial_id!r}")

    def UpdateSpace(self, request: Any, context: Any) -> Any:
        """Keras Tuner's name; here the space is the chief's own."""
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "the search space is the chief's")

    def UpdateTrial(self, request: Any, context: Any) -> Any:
        """Keras Tuner's name; here an outcome comes as a file."""
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "an outcome is written beside its trial")

    def GetBestTrials(self, request: Any, context: Any) -> Any:
        """Keras Tuner's name; here the leaderboard says so."""
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "leaderboard.csv has the best trials")
