"""Who may ask: by name of the host, by origin, by token; and what every answer says to browsers.

A page of another origin may send requests to this machine, and by DNS rebinding under a name of its
own; the names that are asked for, and the origin that a browser adds, tell.
"""

import dataclasses
import hmac
import ipaddress
import re

from starlette import datastructures, responses, types

from spine_tf.web import refusal

_OPEN = frozenset({"/", "/healthz", "/openapi.json"})
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Door:
    """Under which names a server is asked, and by whom.

    Attributes:
        names: of hosts, in lower case, beside addresses.
        is_local: only this machine reaches it, so that other addresses are none of its own.
        token: that a request has to bring; "" for none.
    """

    names: frozenset[str]
    is_local: bool
    token: str = dataclasses.field(default="", repr=False)

    def require(self, path: str, headers: datastructures.Headers) -> None:
        """Raises Refusal where a request is none of ours."""
        asked = headers.get("host", "")
        if not self._is_own(asked):
            raise refusal.Refusal(
                403,
                "it was asked under a name that is none of its own: use the address that the "
                "server printed, or name it by --allowed_hosts",
            )
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != asked.lower():
            raise refusal.Refusal(403, "a page of another origin asked; only its own page may")
        if self.token and path not in _OPEN and not self._has_token(headers):
            raise refusal.Refusal(
                401, "the token is missing or wrong: expected 'Authorization: Bearer TOKEN'"
            )

    def _is_own(self, asked: str) -> bool:
        found = _HOST.fullmatch(asked)
        name = found[1].strip("[]") if found else ""
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name.rstrip(".").lower() in self.names
        # No name leads to an address that is written out, so nobody can rebind it.
        return address.is_loopback or not self.is_local

    def _has_token(self, headers: datastructures.Headers) -> bool:
        kind, _, token = headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(
            token.strip().encode(), self.token.encode()
        )


class Guard:
    """Stands before an application."""

    def __init__(self, app: types.ASGIApp, door: Door) -> None:
        """Takes what it guards, and how."""
        self._app, self._door = app, door

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        """Lets a request in, or answers it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: types.Message) -> None:
            if message["type"] == "http.response.start":
                headers = datastructures.MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("Content-Security-Policy", _POLICY)
            await send(message)

        try:
            self._door.require(scope["path"], datastructures.Headers(scope=scope))
        except refusal.Refusal as refused:
            await answer(refused)(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)


def answer(refused: refusal.Refusal) -> responses.Response:
    """Returns a refusal as it is sent."""
    headers = {"WWW-Authenticate": "Bearer"} if refused.status == 401 else {}
    if refused.retry_after is not None:
        headers["Retry-After"] = str(refused.retry_after)
    return responses.JSONResponse({"detail": refused.sentence}, refused.status, headers)
