"""A server over real HTTP: a zip in, study.json out; a page's own requests; what is refused."""

import concurrent.futures
import contextlib
import http.client
import json
import logging
import socket
import tempfile
import time
import urllib.parse
from typing import Any

import pytest

from spine_tf.web import application, bounds, connection, desk, front_page, guard, openapi, server

_ZIP = {"Content-Type": "application/zip"}
_TOKEN = "a token of this test"


@pytest.fixture(scope="module")
def address(start):
    return start(num_readings=2)


def _ask(address, method, path, body=None, **headers):
    """Returns status, headers and body."""
    place = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def _post(address, data, path="/v1/studies", **headers):
    status, _, body = _ask(address, "POST", path, data, **{**_ZIP, **headers})
    return status, json.loads(body)


@pytest.fixture(scope="module")
def answer(address, study_zip):
    status, body = _post(address, study_zip)
    assert status == 200
    return body


@pytest.fixture(scope="module")
def opened(address, study_zip):
    """The path of an open study."""
    status, body = _post(address, study_zip, "/studies")
    assert status == 202
    path = f"/studies/{body['id']}"
    while _state(address, path) != "read":
        time.sleep(0.02)
    yield path
    assert _ask(address, "DELETE", path)[0] == 204


def _state(address, path):
    return json.loads(_ask(address, "GET", path)[2])["state"]


def test_study_is_answered_with_25_rows_at_found_points(answer):
    assert answer["points_by"] == "the localiser 'squares'"
    assert len(answer["rows"]) == len(answer["points"]) == 25
    assert {row["answered_by"] for row in answer["rows"]} <= {"model", "model, flagged"}


def test_answers_are_what_the_document_of_the_interface_says(address, answer):
    document = json.loads(_ask(address, "GET", "/openapi.json")[2])
    assert document == openapi.document("spine-tf 0")
    schemas = document["components"]["schemas"]
    _require(answer, schemas["Study"])
    about = json.loads(_ask(address, "GET", "/v1/model")[2])
    _require(about, schemas["About"])
    assert [one["name"] for one in about["models"]] == ["export"]
    _require(json.loads(_ask(address, "GET", "/healthz")[2]), schemas["Health"])
    status, refused = _post(address, b"no zip")
    assert str(status) in document["paths"]["/v1/studies"]["post"]["responses"]
    _require(refused, schemas["Refusal"])
    assert set(document["paths"]["/v1/studies"]["post"]["responses"]) >= {
        "200",
        "400",
        "413",
        "429",
    }


def _require(value, schema):
    """Asserts that a value is of a schema, and has no field that the schema lacks."""
    if "anyOf" in schema:
        if value is not None:
            _require(value, schema["anyOf"][0])
    elif "properties" in schema:
        assert value.keys() == schema["properties"].keys()
        for name, of_name in schema["properties"].items():
            _require(value[name], of_name)
    elif schema["type"] == "object":
        for each in value.values():
            _require(each, schema["additionalProperties"])
    elif schema["type"] == "array":
        for each in value:
            _require(each, schema["items"])
    else:
        types: dict[str, Any] = {
            "string": str,
            "boolean": bool,
            "integer": int,
            "number": (int, float),
        }
        assert isinstance(value, types[schema["type"]])
        assert value in schema.get("enum", [value])


def test_corrected_point_changes_its_row_and_is_taken_back(address, opened):
    before = json.loads(_ask(address, "GET", f"{opened}/files/study.json")[2])
    point = next(one for one in before["points"] if one["condition"].startswith("left_sub"))
    names = ("condition", "level", "series_id", "instance_number", "x", "y")
    moved = {name: point[name] for name in names} | {"x": point["x"] + 25, "y": point["y"] - 60}
    status, _, page = _ask(
        address, "PUT", f"{opened}/points", json.dumps({"points": [moved]}).encode()
    )
    assert (status, b"Take back left subarticular L1/L2" in page) == (200, True)
    after = json.loads(_ask(address, "GET", f"{opened}/files/study.json")[2])
    assert after["points_by"] == "the localiser 'squares' and given points"
    changed = [
        now["row_id"]
        for then, now in zip(before["rows"], after["rows"], strict=True)
        if then["probabilities"] != now["probabilities"]
    ]
    assert changed
    assert all("left_subarticular_stenosis" in row for row in changed)
    table = _ask(address, "GET", f"{opened}/files/points.csv")[2].decode()
    assert f"{moved['x']!r},{moved['y']!r},1.0000" in table
    assert _ask(address, "PUT", f"{opened}/points", b'{"points": []}')[0] == 200
    again = json.loads(_ask(address, "GET", f"{opened}/files/study.json")[2])
    assert again == before
    for name in ("study.mrk.json", "study.html"):
        status, headers, _ = _ask(address, "GET", f"{opened}/files/{name}")
        assert (status, f'filename="{name}"' in headers["Content-Disposition"]) == (200, True)


def test_row_is_marked_on_a_slice_that_fits_or_that_is_turned_to(address, opened):
    status, _, first = _ask(address, "GET", f"{opened}/slice?condition=0&level=2")
    assert status == 200
    assert b'data-condition="0" data-level="2"' in first
    turn = first.decode().rpartition('data-turn-series="')[2]
    series, instance = turn.split('"')[0], turn.split('data-turn-instance="')[1].split('"')[0]
    path = f"{opened}/slice?condition=0&level=2&series={series}&instance={instance}"
    status, _, beside = _ask(address, "GET", path)
    assert (status, f'data-instance="{instance}"' in beside.decode()) == (200, True)
    assert _ask(address, "GET", f"{opened}/slice?condition=0&level=2&series=1&instance=1")[0] == 404
    for query in ("", "?condition=5&level=0", "?condition=0&level=-1", "?condition=x&level=0"):
        assert _ask(address, "GET", f"{opened}/slice{query}")[0] == 400


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{", "no JSON"),
        (b"[]", "expected {"),
        (b'{"points": [1]}', "no object"),
        (b'{"points": [{"x": 1}]}', "condition is missing"),
        (
            b'{"points": [{"condition": "x", "level": "l4_l5", "series_id": "1", '
            b'"instance_number": 1, "x": 1, "y": 1}]}',
            "'x' at 'l4_l5' is no row",
        ),
        (
            b'{"points": [{"condition": "spinal_canal_stenosis", "level": "l4_l5", '
            b'"series_id": "1", "instance_number": 1, "x": 1, "y": 1}]}',
            "has no image 1 here",
        ),
    ],
)
def test_points_that_make_no_sense_are_refused(address, opened, body, sentence):
    status, _, answered = _ask(address, "PUT", f"{opened}/points", body)
    assert (status, sentence in json.loads(answered)["detail"]) == (400, True)


def test_study_that_can_not_be_read_is_said_to_its_page(address):
    _, body = _post(address, b"no zip", "/studies")
    path = f"/studies/{body['id']}"
    while (found := json.loads(_ask(address, "GET", path)[2]))["state"] != "refused":
        time.sleep(0.02)
    assert "no zip file" in found["detail"]
    for method, part in (("GET", ""), ("GET", "/report"), ("PUT", "/points")):
        assert _ask(address, method, path + part)[0] == 404
    assert _ask(address, "DELETE", path)[0] == 204


@pytest.mark.parametrize(
    ("status", "method", "path", "headers", "sentence"),
    [
        (403, "GET", "/", {"Host": "evil.example"}, "a name that is none of its own"),
        (403, "POST", "/v1/studies", {"Origin": "http://evil.example"}, "a page of another origin"),
        (403, "POST", "/studies", {"Origin": "null"}, "a page of another origin"),
        (415, "POST", "/v1/studies", {"Content-Type": "text/plain"}, "expected a zip"),
        (404, "GET", "/studies/x/report", {}, "not in memory any more"),
        (404, "GET", "/etc/passwd", {}, "/openapi.json"),
        (405, "GET", "/v1/studies", {}, "/openapi.json"),
    ],
)
def test_request_that_is_not_answered_gets_its_sentence(
    address, status, method, path, headers, sentence
):
    answered, _, body = _ask(address, method, path, b"x" if method == "POST" else None, **headers)
    assert (answered, sentence in json.loads(body)["detail"]) == (status, True)


def test_token_opens_what_is_behind_it(start, study_zip):
    address = start(token=_TOKEN)
    assert _ask(address, "GET", "/")[0] == _ask(address, "GET", "/healthz")[0] == 200
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {_TOKEN}"}):
        status, answered, _ = _ask(address, "GET", "/v1/model", **headers)
        assert (status, answered["WWW-Authenticate"]) == (401, "Bearer")
        assert _post(address, study_zip, **headers)[0] == 401
    assert _ask(address, "GET", "/v1/model", Authorization=f"Bearer {_TOKEN}")[0] == 200


def test_bounds_are_kept_and_said(start, study_zip):
    address = start(num_upload_bytes=1000, num_waiting=0, num_studies=1, silent_seconds=0.3)
    status, body = _post(address, study_zip)
    assert (status, "the zip file is larger" in body["detail"]) == (413, True)
    chunks = iter([study_zip[:900], study_zip[900:2000]])
    place = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname, place.port)
    connection.request("POST", "/v1/studies", chunks, _ZIP)
    assert connection.getresponse().status == 413  # no length was declared
    connection.close()
    slow = socket.create_connection((place.hostname, place.port))
    slow.sendall(
        f"POST /v1/studies HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/zip\r\n"
        "Content-Length: 9\r\n\r\nx".encode()
    )
    time.sleep(0.1)
    status, headers, body = _ask(address, "POST", "/v1/studies", b"x", **_ZIP)
    assert (status, headers["Retry-After"]) == (429, "1")
    assert "the most at once" in json.loads(body)["detail"]
    assert b" 408 " in slow.recv(100)
    slow.close()
    assert _post(address, b"x", "/studies")[0] == 202
    status, headers, _ = _ask(address, "POST", "/studies", b"x", **_ZIP)
    assert (status, 0 < int(headers["Retry-After"]) <= 901) == (429, True)


def test_client_that_stands_still_takes_no_place(start, monkeypatch):
    monkeypatch.setattr(connection.Connection, "seconds", 0.2)
    address = start(silent_seconds=0.1)
    place = urllib.parse.urlsplit(address)
    head = f" HTTP/1.1\r\nHost: {place.netloc}\r\n"
    begun = [
        "",
        "GET /healthz",
        f"GET /healthz{head}\r\nGET /healthz HTTP",
        f"POST /v1/studies{head}Content-Type: text/plain\r\nContent-Length: 9\r\n\r\nx",
    ]
    for sent in begun:
        with socket.create_connection((place.hostname, place.port), timeout=10) as slow:
            slow.sendall(sent.encode())
            answered = b"".join(iter(lambda: slow.recv(4096), b""))
        assert answered.startswith(b"HTTP/1.1 " if sent.endswith(("P", "x")) else b""), sent
    status, headers, _ = _ask(address, "GET", "/v1/studies")
    assert (status, headers["Allow"]) == (405, "POST")


def test_client_that_reads_no_answer_is_left(start, monkeypatch):
    monkeypatch.setattr(connection.Connection, "seconds", 0.2)
    place = urllib.parse.urlsplit(start())
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(0.2)
        deaf.connect((place.hostname, place.port))
        asked = f"GET / HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode()
        end = time.monotonic() + 30
        with pytest.raises(ConnectionError):
            while time.monotonic() < end:
                with contextlib.suppress(TimeoutError):
                    deaf.sendall(asked)


def test_too_long_reading_and_full_memory_are_said(start, study_zip):
    status, body = _post(start(reading_seconds=0.001), study_zip)
    assert (status, "more than 0.001 s" in body["detail"]) == (413, True)
    status, body = _post(start(num_held_bytes=len(study_zip) + 1), study_zip)
    assert (status, "take all of the" in body["detail"]) == (429, True)


def test_study_is_forgotten_when_its_time_is_over(start, study_zip):
    address = start(kept_seconds=0.3)
    _, body = _post(address, study_zip, "/studies")
    assert _ask(address, "GET", f"/studies/{body['id']}/report")[0] == 409
    time.sleep(0.4)
    assert _ask(address, "GET", f"/studies/{body['id']}")[0] == 404
    assert json.loads(_ask(address, "GET", "/healthz")[2])["open"] == 0


def test_reading_ends_where_its_client_goes(start, study_zip):
    address = start()
    place = urllib.parse.urlsplit(address)
    for _ in range(4):
        connection = http.client.HTTPConnection(place.hostname, place.port)
        connection.request("POST", "/v1/studies", study_zip, _ZIP)
        connection.close()
    end = time.monotonic() + 30
    while json.loads(_ask(address, "GET", "/healthz")[2])["reading"]:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_server_that_ends_says_so_to_those_who_wait(reader, study_zip):
    made = bounds.Bounds()
    page = front_page.render(reader, made)
    at_work = desk.Desk(reader, made)
    door = guard.Door(names=frozenset(), is_local=True)
    app = application.make(at_work, door, "spine-tf 0", page)
    with (
        concurrent.futures.ThreadPoolExecutor(6) as clients,
        server.bind("127.0.0.1", 0) as listening,
        server.running(app, listening) as ended,
    ):
        address = server.address_of(listening)
        answers = [clients.submit(_post, address, study_zip) for _ in range(6)]
        while at_work.num_read_or_waiting < 6:
            time.sleep(0.01)
        at_work.stop()
    assert ended.is_set()
    refused = [
        body["detail"] for status, body in (each.result() for each in answers) if status == 503
    ]
    assert len(refused) >= 5
    assert set(refused) == {"the server has ended: send it again later"}


def test_clients_at_once_get_the_same_answers(address, answer, study_zip):
    with concurrent.futures.ThreadPoolExecutor(2) as clients:
        answers = list(clients.map(lambda _: _post(address, study_zip), range(2)))
    expected = [row["probabilities"]["severe"] for row in answer["rows"]]
    for status, body in answers:
        assert status == 200
        found = [row["probabilities"]["severe"] for row in body["rows"]]
        assert found == pytest.approx(expected, abs=1e-5)


def test_nothing_of_a_study_is_logged_or_on_disk(
    address, study_files, make_zip, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    spoilt = {name: data[: len(data) // 2] for name, data in study_files.items()}
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, logger="absl"):
        assert _post(address, make_zip(study_files))[0] == 200
        status, body = _post(address, make_zip(spoilt | {"x": b"no image"}))
    assert body["left_out"] == {"not_dicom": 1}
    assert (status, {row["answered_by"] for row in body["rows"]}) == (200, {"prior"})
    assert {remark["reason"] for row in body["rows"] for remark in row["remarks"]} == {"unreadable"}
    assert len(body["unreadable_files"]) > 1
    assert not list(tmp_path.iterdir())
    said = caplog.text.lower()
    assert "read a study of" in said
    for secret in ("secret", "1.2.3.4"):
        assert secret not in said


def test_error_in_the_log_has_no_words_that_may_name_a_patient(caplog):
    logger = logging.getLogger("uvicorn.error")
    logger.addFilter(server.without_values)
    try:
        raise ValueError("Secret^Name")
    except ValueError:
        logger.exception("failed on %s", "Secret^Name")
    finally:
        logger.removeFilter(server.without_values)
    assert "ValueError at " in caplog.text
    assert "Secret" not in caplog.text


def test_port_that_is_taken_is_said_and_a_free_one_is_told():
    with server.bind("127.0.0.1", 0) as listening:
        port = int(server.address_of(listening).rpartition(":")[2])
        with pytest.raises(ValueError, match=f"--port {port} can't be listened on .*--port 0"):
            server.bind("127.0.0.1", port)
    with pytest.raises(ValueError, match=r"--host nowhere\.invalid and --port 0 can't"):
        server.bind("nowhere.invalid", 0)
