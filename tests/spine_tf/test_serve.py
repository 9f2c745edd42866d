"""The program: it says where it listens, answers there, and ends by a signal with nothing left."""

import functools
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import urllib.parse

import pytest

_NAMED = "serving on (http://[^/]+)(?:/#token=(.+))?"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "arguments"), [(signal.SIGTERM, []), (signal.SIGINT, ["--host=0.0.0.0"])]
)
def test_server_says_its_address_and_ends_by_a_signal(
    tmp_path, squares_localizer_dir, number, arguments
):
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "spine_tf.serve", "--port=0"),
            *(f"--localizer_dir={squares_localizer_dir}", *arguments),
        ],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What a shell starts in the background ignores the first signal, and hands that on.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    said = process.stdout.readline()
    address, token = re.fullmatch(_NAMED, said.strip()).groups()
    port = urllib.parse.urlsplit(address).port
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection.request("GET", "/v1/model", headers=headers)
    about = json.loads(connection.getresponse().read())
    connection.close()
    assert (about["models"], about["points_by"]) == ([], "the localiser 'squares'")
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert ("other machines can ask here" in errors) == bool(arguments) == bool(token)
    assert "Traceback" not in errors
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--model_dir={}"], "--model_dir .* expected an export that export wrote"),
        (["--token_file={}/token"], "the token has 5 characters, expected 16 or more"),
        (["--host=nowhere.invalid"], "--host nowhere.invalid and --port 8080 can't be listened on"),
    ],
)
def test_what_can_not_be_served_is_one_sentence(tmp_path, arguments, sentence):
    (tmp_path / "token").write_text("short")
    command = ["warm-python", "-m", "spine_tf.serve"]
    done = subprocess.run(
        [*command, *(each.format(tmp_path) for each in arguments)], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert re.fullmatch(f"error: .*{sentence}.*\n", done.stderr)
