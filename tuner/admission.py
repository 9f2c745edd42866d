"""Who may speak with the chief of a search: whoever can read the secret in the search directory.

Chief and workers share that directory, so the chief puts a secret there that its owner alone can
read, and each side proves that it knows it: the worker with every call, the chief with its answer.
Both name the search, so that a worker of other settings is told so.

The channel is insecure, as Keras Tuner has it: nothing is encrypted, and who sits between two
machines can read and change what they say, repeat a worker's calls, and so command the search. The
secret keeps out strangers, port scanners and mistakes, no more. A search on several machines is
for a network in which every machine is trusted, such as a cluster's own; anywhere else, tunnel it.
"""

import hashlib
import hmac
import pathlib
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import grpc

from tfrecords import atomic, file_system, regular_file

SECRET_FILE = "secret"

_MOST_BYTES = 1000
_SEARCH, _TOKEN = "spine-tf-search", "spine-tf-token"
_WORKER, _CHIEF = b"worker", b"chief"


def make_secret(directory: pathlib.Path) -> str:
    """Returns the secret of a search directory, made anew unless its owner alone can read it.

    On a file system without permissions others can, and a warning says so.
    """
    path = directory / SECRET_FILE
    if path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o077 == 0:
        found = read_secret(directory)
        if found:
            return found
    path.unlink(missing_ok=True)
    secret = secrets.token_hex(32)
    # Its mode is right from the first moment on, and its name appears with all of it.
    with atomic.open_binary(path, mode=0o600) as file:
        file.write(secret.encode("ascii"))
    file_system.restrict(path, 0o600)
    return secret


def read_secret(directory: pathlib.Path) -> str:
    """Reads the secret; FileNotFoundError while no chief has made it."""
    found = regular_file.read_beginning(directory / SECRET_FILE, _MOST_BYTES)
    return found.decode("ascii", errors="replace").strip()


class Gate(grpc.ServerInterceptor):
    """Lets in calls of this search, and says in the answer that this is its chief."""

    def __init__(self, secret: str, search: str) -> None:
        """Takes what is shared.

        Args:
            secret: the search directory's secret.
            search: digest of what is searched.
        """
        self._secret = secret
        self._search = search

    def intercept_service(self, continuation: Callable, details: Any) -> Any:
        """GRPC's name."""
        said = dict(details.invocation_metadata)
        if not _is_token(said.get(_TOKEN), self._secret, _WORKER, said.get(_SEARCH)):
            return _refusing(
                grpc.StatusCode.UNAUTHENTICATED,
                "the call does not know the secret in the chief's search directory",
            )
        if said.get(_SEARCH) != self._search:
            return _refusing(grpc.StatusCode.FAILED_PRECONDITION, "the chief runs another search")
        handler = continuation(details)
        return handler and self._signing(handler)

    def _signing(self, handler: Any) -> Any:
        answer = {
            _SEARCH: self._search,
            _TOKEN: _token(self._secret, _CHIEF, self._search),
        }

        def behave(request: Any, context: grpc.ServicerContext) -> Any:
            context.send_initial_metadata(tuple(answer.items()))
            return handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(
            behave, handler.request_deserializer, handler.response_serializer
        )


class Bearer(grpc.UnaryUnaryClientInterceptor):
    """Adds to each call of a worker what the chief's gate asks for."""

    def __init__(self, directory: pathlib.Path, search: str) -> None:
        """Takes the search directory, and the digest of what is searched."""
        self._directory = directory
        self._search = search

    def intercept_unary_unary(self, continuation: Callable, details: Any, request: Any) -> Any:
        """GRPC's name."""
        # Read for each call: a chief that begins anew has made another.
        secret = read_secret(self._directory)
        said = ((_SEARCH, self._search), (_TOKEN, _token(secret, _WORKER, self._search)))
        return continuation(_Call(details, said), request)

    def is_chief(self, metadata: Mapping[str, Any]) -> bool:
        """Says whether an answer with this initial metadata is of the search's chief."""
        token = metadata.get(_TOKEN)
        secret = read_secret(self._directory)
        return metadata.get(_SEARCH) == self._search and _is_token(
            token, secret, _CHIEF, self._search
        )


class _Call(grpc.ClientCallDetails):
    """A call with more metadata; its fields are gRPC's."""

    def __init__(self, details: Any, more: tuple[tuple[str, str], ...]) -> None:
        self.method = details.method
        self.timeout = details.timeout
        self.metadata = (*(details.metadata or ()), *more)
        self.credentials = details.credentials
        self.wait_for_ready = details.wait_for_ready
        self.compression = details.compression


def _token(secret: str, role: bytes, search: str) -> str:
    return hmac.new(secret.encode(), role + search.encode(), hashlib.sha256).hexdigest()


def _is_token(token: Any, secret: str, role: bytes, search: Any) -> bool:
    """Compares in a time that says nothing of where the two differ."""
    if not isinstance(token, str) or not isinstance(search, str):
        return False
    return hmac.compare_digest(token.encode(), _token(secret, role, search).encode())


def _refusing(code: grpc.StatusCode, sentence: str) -> Any:
    def refuse(request: Any, context: grpc.ServicerContext) -> None:
        del request
        context.abort(code, sentence)

    return grpc.unary_unary_rpc_method_handler(refuse)
