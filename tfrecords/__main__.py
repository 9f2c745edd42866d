"""Checks or shows a records directory."""

import pathlib

from absl import flags, logging

from tfrecords import program, words

_PNG = flags.DEFINE_string("png", None, "inspect: write a picture of crops here.")

_USAGE = """Checks a records directory, or says what it holds.

%s verify R
%s inspect R [--png out.png]
"""


def main() -> None:
    """Runs the command that the arguments name."""
    arguments = program.arguments()
    if len(arguments) != 2 or arguments[0] not in ("verify", "inspect"):
        raise ValueError(
            f"the arguments are {' '.join(arguments)!r}, expected verify or inspect, then a "
            "directory; see --help"
        )
    command, directory = arguments[0], pathlib.Path(arguments[1])
    if command == "inspect":
        _inspect(directory)
    elif _PNG.value is not None:
        raise ValueError("--png has no effect beside verify: write inspect, or leave it out")
    else:
        _verify(directory)


def _verify(directory: pathlib.Path) -> None:
    from tfrecords import verify

    found = verify.verify(directory)
    print(
        f"{directory}: {words.counted(found.num_examples, 'record')} in "
        f"{words.counted(found.num_shards, 'shard')}, {found.num_bytes} bytes, "
        "all as manifest.json says"
    )
    print(program.next_line(program.own_command(), "inspect", directory))


def _inspect(directory: pathlib.Path) -> None:
    path = None if _PNG.value is None else program.require_output_file(_PNG, begins=b"\x89PNG")
    from tfrecords import atomic, inspection, manifest, records, tfds_files

    # Not opened as for reading: a damaged directory is worth a look too.
    source = records.Records(
        directory=directory,
        manifest=manifest.read_manifest(directory),
        schema=tfds_files.read_schema(directory),
    )
    print(inspection.describe(source))
    if path is not None:
        atomic.write_bytes(path, inspection.draw_crops(source))
        logging.info("wrote %s", path)
    print(program.next_line(program.own_command(), "verify", directory))


if __name__ == "__main__":
    program.run(main, usage=_USAGE, max_arguments=2)
