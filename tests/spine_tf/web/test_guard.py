"""Who may ask: names, origins and tokens, as browsers and others send them."""

import pytest
from starlette import datastructures

from spine_tf.web import guard, refusal

_LOCAL = guard.Door(names=frozenset({"localhost"}), is_local=True)
_OPEN = guard.Door(
    names=frozenset({"localhost", "spine.example"}), is_local=False, token="a long token of ours"
)
_BEARER = {"authorization": "Bearer a long token of ours"}


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "[::1]:8080", "127.9.9.9", "localhost."]
)
def test_own_names_are_let_in(host):
    _LOCAL.require("/v1/studies", datastructures.Headers({"host": host}))
    origin = {"host": host, "origin": f"http://{host}"}
    _LOCAL.require("/v1/studies", datastructures.Headers(origin))


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "evil.example@localhost",
        "127.0.0.1.evil.example",
        "192.168.0.9",  # of a network, while only this machine may ask
        "0.0.0.0:8080",
        "[::1",
        "localhost:8080/x",
        "localhost, evil.example",
    ],
)
def test_other_names_are_refused(host):
    with pytest.raises(refusal.Refusal, match="a name that is none of its own"):
        _LOCAL.require("/", datastructures.Headers({"host": host} if host else {}))


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "",
        "http://localhost",
        "http://localhost:8081",
        "localhost:80",
    ],
)
def test_pages_of_other_origins_are_refused(origin):
    headers = datastructures.Headers({"host": "localhost:8080", "origin": origin})
    with pytest.raises(refusal.Refusal, match="a page of another origin"):
        _LOCAL.require("/", headers)


def test_machine_that_others_reach_wants_its_token_under_any_address():
    for host in ("spine.example", "192.168.0.9:8080", "localhost"):
        headers = datastructures.Headers({"host": host, **_BEARER})
        _OPEN.require("/v1/studies", headers)
        _OPEN.require("/", datastructures.Headers({"host": host}))
    for wrong in ("", "Bearer", "Bearer a long token", "Basic a long token of ours", "Bearer \xe9"):
        headers = datastructures.Headers({"host": "localhost", "authorization": wrong})
        with pytest.raises(refusal.Refusal, match="the token is missing or wrong"):
            _OPEN.require("/v1/studies", headers)
    with pytest.raises(refusal.Refusal, match="a name that is none"):
        _OPEN.require("/", datastructures.Headers({"host": "evil.example", **_BEARER}))
