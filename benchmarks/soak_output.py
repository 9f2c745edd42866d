"""What undisturbed programs of benchmarks/soak.py write, and how other outputs differ."""

import csv
import dataclasses
import hashlib
import io
import json
import pathlib
import re
import time
import zipfile
from typing import Any

import soak_programs

# What is another in every run.
_OF_A_RUN = {"seconds", "fit_seconds", "data_wait", "reason", "date_saved", "shared_object_id"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reference:
    """What undisturbed runs of a program wrote.

    Attributes:
        name: of the program.
        seconds: that one took.
        num_bytes: of the output.
        names: every file.
        steady: file -> digest, of those that two runs wrote alike.
    """

    name: str
    seconds: float
    num_bytes: int
    names: frozenset[str]
    steady: dict[str, str]

    @classmethod
    def of(cls, name: str, work_dir: pathlib.Path) -> "Reference":
        outputs = [work_dir / "undisturbed" / f"{name}_{index}" for index in range(2)]
        for output in outputs:
            output.parent.mkdir(parents=True, exist_ok=True)
            started = time.monotonic()
            if name == "serve":
                output.mkdir()
                with soak_programs.served(work_dir, {}) as address:
                    (output / "answer.json").write_bytes(soak_programs.ask(address, work_dir))
            else:
                soak_programs.require(
                    soak_programs.run(soak_programs.PROGRAMS[name].command(output), work_dir, {})
                )
            seconds = time.monotonic() - started
        first, second = map(digests, outputs)
        steady = {key: value for key, value in first.items() if second.get(key) == value}
        unsteady = sorted(set(first) - set(steady))
        print(f"{name}: {seconds:.1f} s, {len(steady)} files are compared", end="")
        print(f", not {', '.join(unsteady)}" if unsteady else "", flush=True)
        files = [path for path in outputs[0].rglob("*") if path.is_file()]
        return cls(
            name=name,
            seconds=seconds,
            num_bytes=sum(path.stat().st_size for path in files),
            names=frozenset(first),
            steady=steady,
        )

    def differences(self, output: pathlib.Path) -> list[str]:
        """Says how an output differs."""
        found = digests(output)
        other = [
            name for name, value in self.steady.items() if found.get(name) not in (None, value)
        ]
        parts = (
            ("missing", sorted(self.names - set(found))),
            ("too much", sorted(set(found) - self.names)),
            ("other bytes", sorted(other)),
        )
        return [f"{said}: {', '.join(names[:3])}" for said, names in parts if names]


def digests(directory: pathlib.Path) -> dict[str, str]:
    """Returns the sha256 of what has each name, without what is of one run.

    Long numbers, such as the ids that organize draws, are stars: files of one name then stand
    together. TensorBoard's files and a search's log have times in their names or in every line.
    """
    found: dict[str, list[str]] = {}
    for path in directory.rglob("*"):
        if path.is_file() and not {"tensorboard", "logs"} & set(path.parts):
            name = _without_ids(str(path.relative_to(directory)))
            found.setdefault(name, []).append(hashlib.sha256(_steady(path)).hexdigest())
    return {name: " ".join(sorted(found[name])) for name in sorted(found)}


def _without_ids(text: str) -> str:
    return re.sub(r"(?<![0-9.])[0-9]{15}(?![0-9])", "*", text)


def _steady(path: pathlib.Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return b"".join(_of(name, archive.read(name)) for name in sorted(archive.namelist()))
    return _of(path.name, data)


def _of(name: str, data: bytes) -> bytes:
    if name.endswith(".json"):
        return json.dumps(_without_own(json.loads(data)), sort_keys=True).encode()
    if name.endswith(".csv"):
        rows = csv.DictReader(io.StringIO(data.decode()))
        return json.dumps(sorted(json.dumps(_without_own(row)) for row in rows)).encode()
    return data


def _without_own(value: Any) -> Any:
    if isinstance(value, str):
        return _without_ids(value)
    if isinstance(value, dict):
        return {key: _without_own(one) for key, one in value.items() if key not in _OF_A_RUN}
    return [_without_own(one) for one in value] if isinstance(value, list) else value
