"""Prints every field of a configuration, or its JSON: `python -m spine_tf.config`."""

import json
import textwrap

from absl import flags

from spine_tf import cli, flags as flags_module
from spine_tf.configuration import config, fields, overrides
from tfrecords import program

_CONFIGURATION = flags_module.Configuration(seeded="everything random in a run")
_JSON = flags.DEFINE_bool("json", False, "Print the JSON that --config takes, and nothing else.")

_WIDTH = 100


def main() -> None:
    """Prints the configuration that the flags describe."""
    made = overrides.apply(_CONFIGURATION.base(), _CONFIGURATION.changes())
    if _JSON.value:
        print(json.dumps(config.to_dict(made), indent=2))
        return
    for described in config.describe(made):
        print(_entry(described))
    cli.print_next(
        "train",
        records_dir="RECORDS",
        task=made.task,
        model=made.model.family,
        run_dir="RUN",
    )


def _entry(described: fields.Description) -> str:
    value = json.dumps(described.value)
    text = f"{described.meaning} ({described.kind})"
    return f"{described.name}={value}\n" + textwrap.fill(
        text, _WIDTH, initial_indent="    ", subsequent_indent="    "
    )


if __name__ == "__main__":
    program.run(
        main,
        usage="Every field of a configuration: value, meaning, range. A line is what --set takes.\n"
        "\n%s --task multiclass --model residual [--set model.dropout=0.2] [--json]\n",
    )
