"""How a program is told to stop: SIGTERM and SIGHUP are what Ctrl-C is.

A scheduler sends SIGTERM before it kills, a closed terminal SIGHUP. Python's own answer is to end
at once, with temporary files left and no line said.
"""

import signal
import types

# Windows, where no program goes further than a sentence, has no SIGHUP.
SIGNALS = tuple(number for number in signal.Signals if number.name in ("SIGTERM", "SIGHUP"))


class Stopped(KeyboardInterrupt):
    """Raised in the main thread by one of the signals, past every `except Exception`."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return f"stopped by {self.number.name}"


def listen() -> None:
    """Has the signals raise `Stopped`, but for one that is ignored, as nohup has it.

    Once, so that a second signal doesn't break off what ends the work.
    """
    for number in SIGNALS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)


def _stop(number: int, frame: types.FrameType | None) -> None:
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise Stopped(signal.Signals(number))


def exit_status(interrupt: KeyboardInterrupt) -> int:
    """Returns what a shell says of a program that the signal ended: 128 and its number."""
    number = interrupt.number if isinstance(interrupt, Stopped) else signal.SIGINT
    return 128 + int(number)
