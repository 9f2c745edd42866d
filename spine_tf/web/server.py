"""A server on one address, from the start, once all is loaded, to a signal that ends it."""

import contextlib
import ipaddress
import logging as std_logging
import socket
import threading
import time
import traceback
from collections.abc import Iterator

import uvicorn
from starlette import types

from spine_tf.web import connection

_BACKLOG = 128
_STOP_SECONDS = 5
_POLL_SECONDS = 0.01
_MOST_CONNECTIONS = 256
_LOGGERS = ("uvicorn.error", "asyncio", "concurrent.futures")


def bind(host: str, port: int) -> socket.socket:
    """Returns a socket that listens there.

    Args:
        host: a name or an address of this machine.
        port: 0 for any that is free.

    Raises:
        ValueError: it can't listen there.
    """
    made = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(_BACKLOG)
    except OSError as err:
        if made is not None:
            made.close()
        raise ValueError(
            f"--host {host} and --port {port} can't be listened on ({err.strerror}): choose "
            "another port, or --port 0 for any that is free"
        ) from err
    return made


def address_of(listening: socket.socket) -> str:
    """Returns the address of what listens, such as http://127.0.0.1:8080.

    What listens on all addresses of this machine is asked by its name.
    """
    host, port = listening.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = socket.gethostname()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@contextlib.contextmanager
def running(app: types.ASGIApp, listening: socket.socket) -> Iterator[threading.Event]:
    """Serves in a thread while the block lasts; gives what is set at its end, once it answers.

    So a signal reaches the main thread as it does in every program: what it raises there ends the
    block, and that ends the server. Nobody joins the thread until then: a join that a signal breaks
    off takes it for ended (cpython 90882).
    """
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        log_level="warning",
        ws="none",
        lifespan="on",
        http=connection.Connection,
        loop="asyncio",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    server = uvicorn.Server(config)
    for name in _LOGGERS:
        std_logging.getLogger(name).addFilter(without_values)
    ended = threading.Event()

    def run() -> None:
        try:
            server.run([listening])
        finally:
            ended.set()

    thread = threading.Thread(target=run, name="server")
    thread.start()
    try:
        while not (ended.is_set() or server.started):
            time.sleep(_POLL_SECONDS)
        yield ended
    finally:
        server.should_exit = True
        thread.join()
        for name in _LOGGERS:
            std_logging.getLogger(name).removeFilter(without_values)


def without_values(record: std_logging.LogRecord) -> bool:
    """Keeps of an error in the log its type and where it was raised: its words may name a patient.

    A filter of `logging`; lets every record pass.
    """
    if not record.exc_info or not isinstance(record.exc_info, tuple):
        return True
    kind, _, trace = record.exc_info
    frames = traceback.extract_tb(trace)
    places = ", ".join(f"{frame.filename}:{frame.lineno}" for frame in frames)
    record.msg, record.args = f"{kind.__name__ if kind else 'an error'} at {places}", ()
    record.exc_info = record.exc_text = None
    return True
