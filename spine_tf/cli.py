"""The console script `spine-tf PROGRAM ...`, which runs a program as `python -m` would."""

import dataclasses
import runpy
import sys
import types
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """A program.

    Attributes:
        module: what `python -m` runs; `spine-tf` takes this name too.
        purpose: in a few words.
    """

    module: str
    purpose: str


# All programs there are, in the order in which data pass them; tests hold the tree to this table.
PROGRAMS: Mapping[str, Program] = types.MappingProxyType(
    {
        name: Program(module=module, purpose=purpose)
        for name, module, purpose in (
            ("phantom", "spine_tf.phantom", "write synthetic studies in the RSNA layout"),
            ("audit", "spine_tf.audit", "find errors in a data set"),
            ("augment", "spine_tf.augment", "draw every augmentation at three strengths"),
            ("subset", "spine_tf.subset", "a smaller data set of the same layout"),
            ("convert", "spine_tf.convert", "DICOM and CSV to sharded TFRecords"),
            ("records", "tfrecords", "verify or inspect a records directory"),
            ("train", "spine_tf.train", "train one model, or one a fold"),
            ("search", "tuner", "search hyperparameters with Keras Tuner"),
            ("clean", "spine_tf.clean", "find labels that are probably wrong"),
            ("evaluate", "spine_tf.evaluate", "figures with intervals and a report"),
            ("ablate", "spine_tf.ablate", "change one thing at a time and measure it"),
            ("reproduce", "spine_tf.reproduce", "the report's experiment and its table"),
            ("export", "spine_tf.export", "write a SavedModel and what belongs to it"),
            ("predict", "spine_tf.predict", "DICOM and coordinates to a submission"),
        )
    }
)


def main() -> None:
    """Runs the program that the first argument names."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in ("", "--help", "-h"):
        sys.stdout.write(_usage())
        return
    by_module = {program.module: program for program in PROGRAMS.values()}
    program = PROGRAMS.get(name) or by_module.get(name)
    if program is None:
        sys.stderr.write(f"error: there is no program {name!r}\n{_usage()}")
        sys.exit(1)
    # Flags of one program stay out of another: each is run as the main module of its own.
    sys.argv = [f"spine-tf {name}", *sys.argv[2:]]
    runpy.run_module(program.module, run_name="__main__", alter_sys=True)


def _usage() -> str:
    lines = [f"  {name:10} {program.purpose}" for name, program in PROGRAMS.items()]
    return "\n".join(["spine-tf PROGRAM [--flag=value ...], programs:", *lines, ""])
