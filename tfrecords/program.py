"""How every command line program starts and ends: flags, one sentence for an error, exit status."""

import contextlib
import csv
import difflib
import importlib.metadata
import io
import logging as std_logging
import pathlib
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from absl import app, flags, logging

from tfrecords import environment, errors, home, output_place, stop, terminal

STARTED_AS = "__started_as__"
"""A global of the main module: the words of the command that a script ran it for."""

_DISTRIBUTION = "spine-tf"
# A value or field=value; what a runner of Apache Beam is told begins with a flag.
_REMOTE = re.compile(r"(?:[\w.:]+=)?([A-Za-z][A-Za-z0-9+.-]*://\S*)")


def run(main: Callable[[], None], *, usage: str, max_arguments: int = 0) -> NoReturn:
    """Parses the flags, calls `main` and exits.

    Places that are not on this machine, such as gs://bucket/x, are refused, and so is Windows; ~ is
    the home directory in every flag and argument. A reader of stdout or stderr who goes is no
    error. SIGTERM and SIGHUP end the program as Ctrl-C does: one line, 143, 129 or 130.
    What a user can meet (`errors.mendable`) is one sentence on stderr, no traceback (it is logged
    with `--verbosity=1`), and exit status 1 or the error's own `exit_status`. Settings of other
    packages, such as another backend of Keras, are not used; a line says which.

    Args:
        main: does the work; reads its module's flags and, if it takes arguments, FLAGS' remainder.
        usage: the program's purpose and synopsis, shown by `--help`; each "%s" is the command that
            started it, such as `python -m spine_tf.train`.
        max_arguments: positional arguments that `main` takes; more are refused.
    """

    def guarded(argv: Sequence[str]) -> int:
        if len(argv) - 1 > max_arguments:
            return _fail(f"{argv[max_arguments + 1]!r} is not a flag: write --name=value")
        try:
            _refuse_remote_places(argv[1:])
            _expand_home()
            _set_up_log()
            if unused:
                logging.info("not used here: %s", ", ".join(unused))
            main()
            sys.stdout.flush()
        except errors.mendable() as err:
            logging.debug("%s", err, exc_info=True)
            return _fail(errors.in_words(err), getattr(err, "exit_status", 1))
        except KeyboardInterrupt as err:
            return _fail(str(err) or "interrupted", stop.exit_status(err))
        return 0

    if sys.platform == "win32":
        sys.exit(_fail("this program runs on Linux and macOS; on Windows, run it inside WSL2"))
    stop.listen()
    terminal.outlive_readers()
    terminal.silence_tensorflow()
    unused = environment.settle()
    logging.set_verbosity(logging.INFO)
    sys.modules["__main__"].__doc__ = usage.replace("%s", shlex.join(own_command()))
    sys.argv[1:] = _with_underscores(sys.argv[1:])
    if any(argument in ("--help", "-help", "-h", "--h") for argument in sys.argv[1:]):
        app.usage(shorthelp=True, writeto_stdout=True)
        sys.exit(0)
    if "--version" in sys.argv[1:]:
        sys.stdout.write(f"{version()}\n")
        sys.exit(0)
    app.run(guarded, flags_parser=_parse)
    raise SystemExit(0)


def own_command() -> list[str]:
    """Returns what started this program: `python -m MODULE`, or what a script that ran it says."""
    main = sys.modules["__main__"]
    if hasattr(main, STARTED_AS):
        return list(getattr(main, STARTED_AS))
    spec = main.__spec__
    return ["python", "-m", spec.name.removesuffix(".__main__")] if spec else [sys.argv[0]]


def version() -> str:
    """Returns the distribution and its version, such as "spine-tf 0.1.0"."""
    try:
        return f"{_DISTRIBUTION} {importlib.metadata.version(_DISTRIBUTION)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{_DISTRIBUTION}, not installed"


def next_line(command: Sequence[str], *arguments: object, **values: object) -> str:
    """Returns the line that ends a program: the command that usually comes next, for a shell.

    Args:
        command: what starts the program.
        arguments: that follow it.
        values: flags' values; those that are None are left out, True and False set a switch, and a
            list's are joined by commas.
    """
    given = {name: value for name, value in values.items() if value is not None}
    words = [*command, *map(str, arguments), *(_flag(*each) for each in given.items())]
    return f"next: {shlex.join(words)}"


def _flag(name: str, value: object) -> str:
    if isinstance(value, bool):
        return f"--{'' if value else 'no'}{name}"
    text = _joined(value) if isinstance(value, list | tuple) else str(value)
    return f"--{name}={text}"


def _joined(values: Iterable[object]) -> str:
    """As the parser of lists takes them: what has a comma is in quotes."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(map(str, values))
    return line.getvalue()


def _with_underscores(arguments: Sequence[str]) -> list[str]:
    """Returns the arguments with --a-b as --a_b wherever there is such a flag."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return [*map(_with_underscore, options), *arguments[len(options) :]]


def _with_underscore(argument: str) -> str:
    name, equals, value = argument.partition("=")
    if not name.startswith("--") or "-" not in name[2:]:
        return argument
    plain = name[2:].replace("-", "_")
    is_known = plain in flags.FLAGS or plain.removeprefix("no") in flags.FLAGS
    return f"--{plain}{equals}{value}" if is_known else argument


def _parse(argv: Sequence[str]) -> list[str]:
    try:
        return flags.FLAGS(argv)
    except flags.UnrecognizedFlagError as err:
        own = [flag.name for flag in flags.FLAGS.get_key_flags_for_module(sys.argv[0])]
        nearest = _nearest(err.flagname.replace("-", "_"), own)
        sys.exit(_fail(f"there is no flag --{err.flagname}{nearest or '; see --help'}"))
    except flags.Error as err:
        sys.exit(_fail(errors.in_words(err)))


def _nearest(name: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean --{nearest[0]}?" if nearest else ""


def _set_up_log() -> None:
    """On a terminal a line is what it says; in a file it has its time and place before it."""
    handler = logging.get_absl_handler()
    handler.addFilter(_is_ours_or_serious)
    if flags.FLAGS.log_dir:
        output_place.require_directory(pathlib.Path(flags.FLAGS.log_dir), "--log_dir")
        pathlib.Path(flags.FLAGS.log_dir).mkdir(parents=True, exist_ok=True)
        handler.use_absl_log_file(log_dir=flags.FLAGS.log_dir)
    else:
        handler.setFormatter(terminal.PlainFormatter())


def arguments() -> list[str]:
    """Returns the positional arguments that remained when the flags were parsed."""
    found = flags.FLAGS(sys.argv)[1:]
    _expand_home()  # parsed anew, the flags are as they were given
    return [home.expand(argument, "the argument") for argument in found]


def given(*but: flags.FlagHolder[Any]) -> list[str]:
    """Returns the flags that this program was given, such as "--roi_mm=40.0", but for some."""
    left_out = {flag.name for flag in but}
    return [
        text
        for flag in flags.FLAGS.get_key_flags_for_module(sys.argv[0])
        if flag.present and flag.name not in left_out
        for text in flag.serialize().splitlines()
    ]


def require(flag: flags.FlagHolder[str | None]) -> str:
    """Returns the value of a flag that has to be given; ValueError names it, and its choices."""
    if not flag.value:
        parser = flags.FLAGS[flag.name].parser
        choices = parser.enum_values if isinstance(parser, flags.EnumParser) else []
        takes = f", one of {', '.join(choices)}" if choices else ""
        raise ValueError(f"--{flag.name} is missing{takes}; see --help")
    return flag.value


def require_path(flag: flags.FlagHolder[str | None]) -> pathlib.Path:
    """Returns the file or directory that a flag has to name; ValueError names the flag."""
    return pathlib.Path(require(flag))


def require_output_file(flag: flags.FlagHolder[str | None], *, begins: bytes = b"") -> pathlib.Path:
    """Returns the file to write that a flag has to name; ValueError where it can't be written.

    Args:
        flag: names the file.
        begins: as `output_place.require_file` has it.
    """
    found = require_path(flag)
    for name, value in flags.FLAGS.flag_values_dict().items():
        if name != flag.name and isinstance(value, str) and value and _is_same(found, value):
            raise ValueError(f"--{flag.name} and --{name} both name {found}: choose another")
    output_place.require_file(found, f"--{flag.name}", begins=begins)
    return found


def _is_same(path: pathlib.Path, other: str) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return path.samefile(other)
    return False


def require_output_dir(flag: flags.FlagHolder[str | None]) -> pathlib.Path:
    """Returns the directory to write into that a flag has to name; ValueError where none can be."""
    found = require_path(flag)
    output_place.require_directory(found, f"--{flag.name}")
    return found


def path(flag: flags.FlagHolder[str | None]) -> pathlib.Path | None:
    """Returns the file or directory that a flag names, None where it is not given."""
    return pathlib.Path(flag.value) if flag.value else None


def _refuse_remote_places(arguments: Sequence[str]) -> None:
    """`pathlib` would make a local folder of `gs://bucket/x`, named `gs:`."""
    values: dict[str, object] = {
        f"--{name}": v for name, v in flags.FLAGS.flag_values_dict().items()
    }
    for name, value in {**values, "the argument": list(arguments)}.items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and (found := _REMOTE.match(text)):
                raise ValueError(
                    f"{name} names {found[1]}, expected a path of this machine: copy it here, or "
                    "mount it"
                )


def _expand_home() -> None:
    """A shell expands ~ at the beginning of a word alone: not in --output_dir=~/records."""
    for name in flags.FLAGS:
        flag = flags.FLAGS[name]
        if isinstance(flag.value, str):
            flag.value = home.expand(flag.value, f"--{name}")
        elif isinstance(flag.value, list):
            flag.value = [
                home.expand(each, f"--{name}") if isinstance(each, str) else each
                for each in flag.value
            ]


def _is_ours_or_serious(record: std_logging.LogRecord) -> bool:
    """TensorFlow tells of every file that it writes, in the log that is ours too."""
    is_tensorflow = "tensorflow" in pathlib.Path(record.pathname).parts
    return not is_tensorflow or record.levelno >= std_logging.WARNING


def _fail(sentence: str, exit_status: int = 1) -> int:
    sys.stderr.write(f"error: {sentence}\n")
    return exit_status
