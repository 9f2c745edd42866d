"""How every command line program starts and ends: flags, one sentence for an error, exit status."""

import logging as std_logging
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from absl import app, flags, logging


def run(main: Callable[[], None], *, usage: str, max_arguments: int = 0) -> NoReturn:
    """Parses the flags, calls `main` and exits.

    ValueError and OSError are what a user can mend: one sentence on stderr, no traceback (it is
    logged with `--verbosity=1`), and exit status 1 or the error's own `exit_status`.

    Args:
        main: does the work; reads its module's flags and, if it takes arguments, FLAGS' remainder.
        usage: the program's purpose and synopsis, shown by `--help`.
        max_arguments: positional arguments that `main` takes; more are refused.
    """

    def guarded(argv: Sequence[str]) -> int:
        if len(argv) - 1 > max_arguments:
            return _fail(f"{argv[max_arguments + 1]!r} is not a flag: write --name=value")
        try:
            if flags.FLAGS.log_dir:
                logging.get_absl_handler().use_absl_log_file(log_dir=flags.FLAGS.log_dir)
            main()
        except (ValueError, OSError) as err:
            logging.debug("%s", err, exc_info=True)
            return _fail(_sentence(err), getattr(err, "exit_status", 1))
        except KeyboardInterrupt:
            return _fail("interrupted", 130)
        return 0

    # TensorFlow writes its own errors at level 2 for graphs that are in order.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.modules["__main__"].__doc__ = usage
    logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().addFilter(_is_ours_or_serious)
    if any(argument in ("--help", "-help", "-h", "--h") for argument in sys.argv[1:]):
        app.usage(shorthelp=True, writeto_stdout=True)
        sys.exit(0)
    app.run(guarded)
    raise SystemExit(0)


def arguments() -> list[str]:
    """Returns the positional arguments that remained when the flags were parsed."""
    return list(flags.FLAGS(sys.argv)[1:])


def require(flag: flags.FlagHolder[str | None]) -> str:
    """Returns the value of a flag that has to be given; ValueError names it."""
    if not flag.value:
        raise ValueError(f"--{flag.name} is missing; see --help")
    return flag.value


def require_path(flag: flags.FlagHolder[str | None]) -> pathlib.Path:
    """Returns the file or directory that a flag has to name; ValueError names the flag."""
    return pathlib.Path(require(flag))


def path(flag: flags.FlagHolder[str | None]) -> pathlib.Path | None:
    """Returns the file or directory that a flag names, None where it is not given."""
    return pathlib.Path(flag.value) if flag.value else None


def _is_ours_or_serious(record: std_logging.LogRecord) -> bool:
    """TensorFlow tells of every file that it writes, in the log that is ours too."""
    is_tensorflow = "tensorflow" in pathlib.Path(record.pathname).parts
    return not is_tensorflow or record.levelno >= std_logging.WARNING


def _sentence(err: BaseException) -> str:
    return " ".join(str(err).split()) or type(err).__name__


def _fail(sentence: str, exit_status: int = 1) -> int:
    sys.stderr.write(f"error: {sentence}\n")
    return exit_status
