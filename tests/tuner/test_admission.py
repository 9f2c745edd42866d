"""Who may speak with a chief, over gRPC's own channels on this machine."""

import pathlib
import socket
import stat
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from keras_tuner.src import protos

from tuner import (
    adapter,
    admission,
    chief,
    ledger,
    oracles,
    search_directory,
    search_settings,
    space,
)

_IDENTITY = {"seed": 3}


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> str:
    """A free port of this machine, as Keras Tuner's variables say it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(port))
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "w0")
    return f"127.0.0.1:{port}"


@pytest.fixture
def settings(tmp_path: pathlib.Path) -> search_settings.Settings:
    bases, fixed = search_settings.make_bases("binary", ["simple"], max_epochs=1)
    return search_settings.Settings(
        search_dir=tmp_path / "s",
        records_dir=tmp_path,
        task="binary",
        bases=bases,
        fixed=fixed,
        oracle="random",
        max_trials=2,
    )


def _oracle(settings: search_settings.Settings) -> adapter.DurableOracle:
    return oracles.make_oracle(
        "random",
        hyperparameters=space.make_space(settings.declare, settings.bases),
        objective=settings.objective,
        max_trials=settings.max_trials,
        max_epochs=1,
        seed=0,
    )


@pytest.fixture
def served(address: str, settings: search_settings.Settings) -> Iterator[chief.Chief]:
    """A chief that answers."""
    with search_directory.hold(settings.search_dir):
        search_directory.prepare(settings.search_dir, _IDENTITY, resume=False, overwrite=False)
    oracle = _oracle(settings)
    oracle.open(settings.search_dir / search_directory.TRIALS_DIR)
    book = ledger.LocalLedger(settings, oracle)
    clock = search_settings.Clock(max_minutes=None)
    made = chief.Chief(settings, oracle, book, clock)
    gate = admission.Gate(
        admission.make_secret(settings.search_dir), search_directory.digest(_IDENTITY)
    )
    with made.listening(address, gate):
        yield made


def _client(settings: search_settings.Settings, identity: Any = None) -> chief.Client:
    own = _IDENTITY if identity is None else identity
    return chief.Client(_oracle(settings), settings.search_dir, own)


def _error(call: Any, *arguments: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, timeout=10)
    return caught.value.code(), caught.value.details()


def test_secret_is_its_owners_alone_and_stays(tmp_path: pathlib.Path) -> None:
    secret = admission.make_secret(tmp_path)
    path = tmp_path / admission.SECRET_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(secret) == 64
    assert admission.make_secret(tmp_path) == admission.read_secret(tmp_path) == secret
    assert [each.name for each in tmp_path.iterdir()] == [admission.SECRET_FILE]


@pytest.mark.parametrize("spoil", ["readable", "empty", "link"])
def test_secret_that_others_may_know_is_made_anew(tmp_path: pathlib.Path, spoil: str) -> None:
    path = tmp_path / admission.SECRET_FILE
    other = tmp_path / "other"
    other.write_text("known")
    other.chmod(0o600)
    if spoil == "link":
        path.symlink_to(other)
    else:
        path.write_text("known" if spoil == "readable" else "")
        path.chmod(0o644 if spoil == "readable" else 0o600)
    assert admission.make_secret(tmp_path) not in ("known", "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert other.read_text() == "known"


def test_worker_of_the_search_gets_a_trial(
    served: chief.Chief, settings: search_settings.Settings
) -> None:
    client = _client(settings)
    client.wait_for_chief(10.0)
    trial = client.create_trial("w0")
    assert client.get_trial(trial.trial_id).trial_id == trial.trial_id
    assert list(served.oracle.ongoing_trials) == ["w0"]


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("spine-tf-search", "x"),),
        (("spine-tf-search", search_directory.digest(_IDENTITY)), ("spine-tf-token", "0" * 64)),
    ],
    ids=["nothing", "no token", "wrong token"],
)
def test_stranger_is_refused_whatever_it_asks(
    served: chief.Chief, address: str, metadata: tuple
) -> None:
    service, messages = protos.get_service_grpc(), protos.get_service()
    with grpc.insecure_channel(address) as channel:
        stub = service.OracleStub(channel)
        for call, request in (
            (stub.GetSpace, messages.GetSpaceRequest()),
            (stub.CreateTrial, messages.CreateTrialRequest(tuner_id="evil")),
            (stub.EndTrial, messages.EndTrialRequest()),
        ):
            with pytest.raises(grpc.RpcError, match="does not know the secret"):
                call(request, metadata=metadata, timeout=10)
    assert not served.oracle.ongoing_trials
    assert not served.oracle.tuner_ids


def test_noise_on_the_port_ends_no_search(
    served: chief.Chief, address: str, settings: search_settings.Settings
) -> None:
    host, port = address.split(":")
    for noise in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0" * 500,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff",
    ):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(noise)
    client = _client(settings)
    client.wait_for_chief(10.0)
    assert client.create_trial("w0").trial_id in served.oracle.trials


@pytest.mark.parametrize("trial_id", ["../../../outside", "99", "", "0/../../x", "0\0"])
def test_unknown_trial_ends_one_call_and_writes_nothing(
    served: chief.Chief, settings: search_settings.Settings, trial_id: str
) -> None:
    client = _client(settings)
    client.wait_for_chief(10.0)
    trial = client.create_trial("w0")
    before = sorted(settings.search_dir.parent.rglob("*"))
    messages = protos.get_service()
    request = messages.EndTrialRequest(trial=trial.to_proto())
    request.trial.trial_id = trial_id
    code, details = _error(client.stub.EndTrial, request)
    assert code == grpc.StatusCode.NOT_FOUND
    assert "there is no trial" in details
    code, _ = _error(client.stub.GetTrial, messages.GetTrialRequest(trial_id=trial_id))
    assert code == grpc.StatusCode.NOT_FOUND
    assert sorted(settings.search_dir.parent.rglob("*")) == before
    assert client.get_trial(trial.trial_id).status == "RUNNING"
    assert served._error is None


def test_calls_that_are_no_part_of_a_search_are_refused(
    served: chief.Chief, settings: search_settings.Settings
) -> None:
    client, messages = _client(settings), protos.get_service()
    client.wait_for_chief(10.0)
    for call, request in (
        (client.stub.UpdateSpace, messages.UpdateSpaceRequest()),
        (client.stub.UpdateTrial, messages.UpdateTrialRequest(trial_id="0")),
        (client.stub.GetBestTrials, messages.GetBestTrialsRequest(num_trials=3)),
    ):
        assert _error(call, request)[0] == grpc.StatusCode.UNIMPLEMENTED
    code, details = _error(client.stub.CreateTrial, messages.CreateTrialRequest())
    assert (code, details) == (grpc.StatusCode.INVALID_ARGUMENT, "a worker has no name")
    assert served._error is None


def test_outcome_that_is_none_fails_its_trial_alone(
    served: chief.Chief, settings: search_settings.Settings
) -> None:
    client = _client(settings)
    client.wait_for_chief(10.0)
    trial = client.create_trial("w0")
    path = search_directory.trial_dir(settings.search_dir, trial.trial_id) / "result.json"
    path.write_text('{"fold_scores": "high"}')
    client.end_trial(trial)
    assert served.oracle.trials[trial.trial_id].status == "FAILED"
    assert "expected the outcome of a trial" in served.oracle.trials[trial.trial_id].message
    assert client.create_trial("w0").trial_id != trial.trial_id


def test_worker_of_another_search_is_told_what_differs(
    served: chief.Chief, settings: search_settings.Settings
) -> None:
    with pytest.raises(ValueError, match=r"holds another search: .*seed"):
        _client(settings, {"seed": 4}).wait_for_chief(10.0)


def test_worker_with_another_directory_is_refused(
    served: chief.Chief,
    settings: search_settings.Settings,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chief, "_REFUSED_SECONDS", 1.0)
    (tmp_path / "elsewhere").mkdir()
    admission.make_secret(tmp_path / "elsewhere")
    client = chief.Client(_oracle(settings), tmp_path / "elsewhere", _IDENTITY)
    with pytest.raises(chief.ChiefLostError, match=r"has another secret than .*elsewhere"):
        client.wait_for_chief(30.0)


def test_what_does_not_know_the_secret_is_no_chief(
    address: str, settings: search_settings.Settings
) -> None:
    class Careless(grpc.ServerInterceptor):
        def intercept_service(self, continuation: Any, details: Any) -> Any:
            return continuation(details)

    settings.search_dir.mkdir()
    admission.make_secret(settings.search_dir)
    oracle = _oracle(settings)
    clock = search_settings.Clock(max_minutes=None)
    oracle.open(settings.search_dir / search_directory.TRIALS_DIR)
    false = chief.Chief(settings, oracle, ledger.LocalLedger(settings, oracle), clock)
    with (
        false.listening(address, Careless()),
        pytest.raises(ValueError, match="is not the chief of the search in"),
    ):
        _client(settings).wait_for_chief(10.0)


def test_second_chief_does_not_get_the_port(served: chief.Chief, address: str) -> None:
    gate = admission.Gate("other", "search")
    with (
        pytest.raises(OSError, match=f"can't listen at {address}"),
        served.listening(address, gate),
    ):
        pass


@pytest.mark.slow
def test_worker_that_is_earlier_waits_and_writes_nothing(
    address: str, settings: search_settings.Settings
) -> None:
    found: list[str] = []

    def wait() -> None:
        client = _client(settings)
        client.wait_for_chief(60.0)
        found.append(client.create_trial("w0").trial_id)

    waiting = threading.Thread(target=wait)
    waiting.start()
    waiting.join(2.0)
    assert waiting.is_alive()
    assert not settings.search_dir.exists()
    with search_directory.hold(settings.search_dir):
        search_directory.prepare(settings.search_dir, _IDENTITY, resume=False, overwrite=False)
    oracle = _oracle(settings)
    oracle.open(settings.search_dir / search_directory.TRIALS_DIR)
    clock = search_settings.Clock(max_minutes=None)
    late = chief.Chief(settings, oracle, ledger.LocalLedger(settings, oracle), clock)
    gate = admission.Gate(
        admission.make_secret(settings.search_dir), search_directory.digest(_IDENTITY)
    )
    with late.listening(address, gate):
        waiting.join(60.0)
    assert found == ["0"]
