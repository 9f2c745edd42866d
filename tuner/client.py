"""A worker's line to the chief on another machine: Keras Tuner's client, which doesn't hang."""

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from typing import TypeVar

import grpc
import keras_tuner
from keras_tuner.engine import trial as kt_trial
from keras_tuner.src.distribute import oracle_client

_T = TypeVar("_T")

_FIRST_WAIT_SECONDS = 600.0
_WAIT_SECONDS = 60.0


class ChiefLostError(OSError):
    """The chief does not answer."""


class Client(oracle_client.OracleClient):
    """Keras Tuner's client waits an hour for a chief that is gone; this one says so soon."""

    def __init__(self, oracle: keras_tuner.Oracle):
        super().__init__(oracle)
        ip, port = os.environ["KERASTUNER_ORACLE_IP"], os.environ["KERASTUNER_ORACLE_PORT"]
        self._address = f"{ip}:{port}"
        self._channel = grpc.insecure_channel(self._address)

    def wait_for_chief(self, seconds: float = _FIRST_WAIT_SECONDS) -> None:
        """Waits until the chief answers.

        Raises:
            ChiefLostError: it doesn't.
        """
        try:
            grpc.channel_ready_future(self._channel).result(timeout=seconds)
        except grpc.FutureTimeoutError as err:
            raise ChiefLostError(
                f"the chief at {self._address} has not answered for {seconds:.0f} s: start it with "
                "KERASTUNER_TUNER_ID=chief, or check KERASTUNER_ORACLE_IP and _PORT"
            ) from err

    def create_trial(self, tuner_id: str) -> kt_trial.Trial:
        """Asks for a trial."""
        return self._call(lambda: super(Client, self).create_trial(tuner_id))

    def get_trial(self, trial_id: str) -> kt_trial.Trial:
        """Asks about a trial, which also says that this worker is alive."""
        return self._call(lambda: super(Client, self).get_trial(trial_id))

    def end_trial(self, trial: kt_trial.Trial) -> None:
        """Says that a trial is over."""
        self._call(lambda: super(Client, self).end_trial(trial))

    def _call(self, method: Callable[[], _T]) -> _T:
        self.wait_for_chief(_WAIT_SECONDS)
        try:
            with _silenced():
                return method()
        except grpc.RpcError as err:
            raise ChiefLostError(f"the chief at {self._address} has gone: {err}") from err


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Keras Tuner prints a line for every condition that it sends."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
