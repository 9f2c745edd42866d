"""The whole service: models loaded and warmed, a socket, a page, until the block ends."""

import contextlib
import dataclasses
import ipaddress
import pathlib
import resource
import secrets
import socket
import threading
from collections.abc import Iterator, Sequence

from spine_tf.localization import finder as finder_module
from spine_tf.serving import grader as grader_module, study_reader
from spine_tf.studies import pile_image
from spine_tf.web import application, bounds as bounds_module, desk, front_page, guard, server

_LEAST_TOKEN = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What is served, where and to whom.

    Attributes:
        version: of the package, in words.
        model_dirs: exports that grade; none for points alone.
        localizer_dir: finds points; None is an export's own, or else the package's.
        host, port: where it listens; port 0 is any that is free.
        allowed_hosts: names under which it is asked, beside localhost and addresses.
        token: that requests bring; None is none where only this machine can ask, else a new one.
        bounds: how much is taken.
    """

    version: str
    model_dirs: Sequence[pathlib.Path] = ()
    localizer_dir: pathlib.Path | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    allowed_hosts: Sequence[str] = ()
    token: str | None = None
    bounds: bounds_module.Bounds = dataclasses.field(default_factory=bounds_module.Bounds)

    def __post_init__(self) -> None:
        if self.token is not None and len(self.token) < _LEAST_TOKEN:
            raise ValueError(
                f"the token has {len(self.token)} characters, expected {_LEAST_TOKEN} or more"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Running:
    """A service that answers.

    Attributes:
        address: of its page.
        is_local: only this machine can ask.
        token: that requests bring; "" for none.
        ended: is set when the server ends.
    """

    address: str
    is_local: bool
    token: str = dataclasses.field(repr=False)
    ended: threading.Event


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[Running]:
    """Loads and warms the models, then serves while the block lasts.

    Raises:
        ValueError: a model or localiser can't be used, or nothing can listen there.
    """
    # A crash must not leave the images of a patient on disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(server.bind(settings.host, settings.port))
        stack.enter_context(pile_image.quiet())
        reader = _reader(settings, stack)
        reader.warm()
        door = _door(settings, listening)
        page = front_page.render(reader, settings.bounds)
        made = desk.Desk(reader, settings.bounds)
        app = application.make(made, door, settings.version, page)
        ended = stack.enter_context(server.running(app, listening))
        # First of all, or the server waits for what it will not answer.
        stack.callback(made.stop)
        yield Running(
            address=server.address_of(listening),
            is_local=door.is_local,
            token=door.token,
            ended=ended,
        )


def _reader(settings: Settings, stack: contextlib.ExitStack) -> study_reader.StudyReader:
    graders: tuple[grader_module.Grader, ...] = ()
    if settings.model_dirs:
        graders = stack.enter_context(grader_module.opened(settings.model_dirs))
    copies = [one.directory for one in graders]
    finder = finder_module.choose(settings.localizer_dir, copies)
    return study_reader.StudyReader(graders=graders, finder=finder)


def _door(settings: Settings, listening: socket.socket) -> guard.Door:
    is_local = ipaddress.ip_address(listening.getsockname()[0]).is_loopback
    names = {"localhost", settings.host, *settings.allowed_hosts}
    if not is_local:
        names.add(socket.gethostname())
    new = "" if is_local else secrets.token_urlsafe(24)
    return guard.Door(
        names=frozenset(name.lower() for name in names),
        is_local=is_local,
        token=new if settings.token is None else settings.token,
    )
