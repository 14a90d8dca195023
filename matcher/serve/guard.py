"""Who may ask: this machine's address, this page's own origin, and the holder of the token."""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE = ("GET", "HEAD")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
WITHOUT_TOKEN = (
    "This page needs its token: open the address that match serve has printed in the terminal, with ?token= in it.\n"
)


class Guard:
    """ASGI middleware. hosts: what the Host header may say (`127.0.0.1:8437`); the token goes from URL to cookie."""

    def __init__(self, app: ASGIApp, *, token: str, hosts: Iterable[str]) -> None:
        self.app, self.token = app, token
        self.hosts = frozenset(host.lower() for host in hosts)
        # Cookies know no ports: a second server on this machine must not overwrite this one's.
        self.cookie = "match-" + next(iter(sorted(self.hosts))).rpartition(":")[2]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # there is no web socket here
            return
        refused = self._refusal(scope)
        app = refused if refused is not None else self.app
        await app(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        """What to answer instead; None where all is in order."""
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if host not in self.hosts:  # a foreign name that was made to point here (DNS rebinding)
            return PlainTextResponse("Host: is not this page's own\n", 421)
        origin = headers.get("origin")
        if origin is not None and origin.lower() != f"http://{host}":
            return PlainTextResponse("Origin: is not this page's own\n", 403)
        site = headers.get("sec-fetch-site", "same-origin")
        if scope["method"] not in SAFE and site != "same-origin":
            return PlainTextResponse("the request comes from another site\n", 403)
        if scope["method"] in SAFE and scope["path"] == "/":
            given = QueryParams(scope.get("query_string", b"").decode("latin-1")).get("token")
            if given is not None and self._is_token(given):
                answer = RedirectResponse("/", 303)
                answer.set_cookie(self.cookie, self.token, httponly=True, samesite="strict", path="/")
                return answer
        if not self._is_token(cookie_parser(headers.get("cookie", "")).get(self.cookie, "")):
            return PlainTextResponse(WITHOUT_TOKEN, 403)
        return None

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in ALWAYS.items():
                headers.setdefault(name, value)
            headers.setdefault("Content-Security-Policy", POLICY)
        await send(message)

    return sending
