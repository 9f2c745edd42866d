"""A server under load: studies that clients send at once, beside `predict` with one by one.

python benchmarks/serve.py --model_dir E --data_dir D [--studies 200] [--clients 8] [--workers 2]

Studies of D, in the RSNA layout, are sent as zips of files without names, in turn. A client that is
told to come again later does so. Memory is the server's resident size, once a fifth of the studies
are answered and in the end. `predict` is the reference: a process a study, as a script would do it.
"""

import collections
import contextlib
import http.client
import io
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import zipfile
from collections.abc import Iterator
from concurrent import futures

import psutil
from absl import app, flags

from spine_tf.rsna import layout

_MODEL_DIR = flags.DEFINE_string("model_dir", None, "An export.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Studies in the RSNA layout.", required=True)
_STUDIES = flags.DEFINE_integer("studies", 200, "Studies that are sent in all.")
_CLIENTS = flags.DEFINE_integer("clients", 8, "Clients at once.")
_WORKERS = flags.DEFINE_integer("workers", 2, "Studies that the server reads at once.")
_REFERENCE = flags.DEFINE_integer("reference", 3, "Studies that predict is measured with.")

_MIB = 2**20
_ZIP = {"Content-Type": "application/zip"}


class _Load:
    """Sends studies and keeps what became of them; for several threads."""

    def __init__(self, address: str, server: psutil.Process, zips: list[bytes], total: int) -> None:
        self._place = urllib.parse.urlsplit(address).netloc
        self._server, self._zips, self._total = server, zips, total
        self._lock = threading.Lock()
        self.seconds: list[float] = []
        self.statuses: collections.Counter[int] = collections.Counter()
        self.memory: list[float] = []

    def send(self, number: int) -> None:
        """Sends one study until it is answered, or refused for good."""
        start = time.monotonic()
        status = 429
        while status == 429:
            status, wait = self._post(self._zips[number % len(self._zips)])
            with self._lock:
                self.statuses[status] += 1
            time.sleep(wait)
        with self._lock:
            self.seconds.append(time.monotonic() - start)
            if len(self.seconds) in (self._total // 5, self._total):
                self.memory.append(self._server.memory_info().rss / _MIB)

    def _post(self, data: bytes) -> tuple[int, float]:
        connection = http.client.HTTPConnection(self._place, timeout=600)
        with contextlib.closing(connection):
            connection.request("POST", "/v1/studies", data, _ZIP)
            answer = connection.getresponse()
            answer.read()
            return answer.status, float(answer.headers.get("Retry-After", 0))


def main(_: list[str]) -> None:
    """Prints what the server did, and how that compares."""
    zips = list(_zips(pathlib.Path(_DATA_DIR.value)))
    with _server() as (address, process):
        load = _Load(address, psutil.Process(process.pid), zips, _STUDIES.value)
        start = time.monotonic()
        with futures.ThreadPoolExecutor(_CLIENTS.value) as clients:
            list(clients.map(load.send, range(_STUDIES.value)))
        seconds = (time.monotonic() - start) / _STUDIES.value
    percentiles = statistics.quantiles(load.seconds, n=20)
    print(
        f"{_STUDIES.value} studies by {_CLIENTS.value} clients: "
        f"{_STUDIES.value - load.statuses[200]} lost, {load.statuses[429]} told to come again; "
        f"latency median {statistics.median(load.seconds):.2f} s, p95 {percentiles[-1]:.2f} s; "
        f"{seconds:.2f} s a study"
    )
    early, late = load.memory[0], load.memory[-1]
    print(f"memory {early:.0f} MiB after a fifth, {late:.0f} MiB in the end: {late / early:.2f}x")
    reference = _predict(zips[: _REFERENCE.value])
    print(f"predict one by one: {reference:.2f} s a study: {reference / seconds:.1f}x the server's")


def _zips(data_dir: pathlib.Path) -> Iterator[bytes]:
    """Each study as a zip of files that are numbered."""
    for side in layout.SIDES:
        for study in sorted((data_dir / layout.images_dir(side)).glob("*")):
            made = io.BytesIO()
            with zipfile.ZipFile(made, "w") as archive:
                for number, path in enumerate(sorted(study.rglob("*.dcm"))):
                    archive.write(path, str(number))
            yield made.getvalue()


@contextlib.contextmanager
def _server() -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    command = [sys.executable, "-m", "spine_tf.serve", "--port=0", f"--workers={_WORKERS.value}"]
    process = subprocess.Popen(
        [*command, f"--model_dir={_MODEL_DIR.value}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        said = process.stdout.readline() if process.stdout else ""
        if not said.startswith("serving on "):
            raise SystemExit("the server did not start")
        yield said.removeprefix("serving on ").strip(), process
    finally:
        process.terminate()
        process.wait()


def _predict(zips: list[bytes]) -> float:
    """Seconds a study, of a process each."""
    taken = []
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        for number, data in enumerate(zips):
            path = directory / f"{number}.zip"
            path.write_bytes(data)
            command = [sys.executable, "-m", "spine_tf.predict", f"--model_dir={_MODEL_DIR.value}"]
            outputs = [f"--output={directory / f'{number}.csv'}", f"--data_dir={path}"]
            start = time.monotonic()
            subprocess.run([*command, *outputs], check=True, capture_output=True)
            taken.append(time.monotonic() - start)
    return statistics.mean(taken)


if __name__ == "__main__":
    app.run(main)
