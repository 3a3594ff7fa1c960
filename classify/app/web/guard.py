"""Who may ask: browsers that were given the token, for this host, from this page; everyone else is refused.

Any page that a person opens can send requests to 127.0.0.1, and a name that it owns can be made to lead there (DNS
rebinding): so Host and Origin are checked on every request, beside the token, which only the terminal shows.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hcl.classify.app.config import HOST

SAFE_METHODS = ("GET", "HEAD")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
AGAIN = "open the address that hcl app printed, with its token"


class Guard:
    """Lets through what comes from the page itself, and adds what a browser must know to every answer.

    Args:
        app: what is guarded
        port: that it is served on
        token: that the printed address holds
    """

    def __init__(self, app: ASGIApp, port: int, token: str) -> None:
        self._app, self._token = app, token.encode()
        self._hosts = {f"{name}:{port}" for name in (HOST, "localhost")}
        self._cookie = f"hcl_app_{port}"  # cookies are not told apart by ports
        self._session = secrets.token_urlsafe(32).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise ValueError(f"{scope['type']}: the page speaks HTTP alone")

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        request = Request(scope)
        answer = self._refused(request) or self._admitted(request)
        if answer is None:
            await self._app(scope, receive, send_guarded)
        else:
            await answer(scope, receive, send_guarded)

    def _refused(self, request: Request) -> Response | None:
        """Whether a request is for another host, or from another page."""
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return _refusal(f"this page is served for {HOST} alone")
        origins = request.headers.getlist("origin")
        own = {f"http://{hosts[0].lower()}"}
        if any(origin not in own for origin in origins) or (not origins and request.method not in SAFE_METHODS):
            return _refusal("this comes from another page")
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return _refusal(f"this comes from another page; {AGAIN}")
        return None

    def _admitted(self, request: Request) -> Response | None:
        """Ask for the token: in the address once, in a cookie from then on."""
        given = parse_qs(request.url.query).get("token", [])
        if request.url.path == "/" and request.method == "GET" and given:
            if not hmac.compare_digest(given[-1].encode(), self._token):
                return _refusal(f"another token; {AGAIN}")
            answer = RedirectResponse("/", status_code=303)
            answer.set_cookie(self._cookie, self._session.decode(), httponly=True, samesite="strict", path="/")
            return answer
        if not hmac.compare_digest(self._cookie_of(request.headers).encode(), self._session):
            return _refusal(f"no token; {AGAIN}")
        return None

    def _cookie_of(self, headers: Mapping[str, str]) -> str:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return ""
        return "" if found is None else found.value


def _refusal(reason: str) -> Response:
    return PlainTextResponse(f"refused: {reason}\n", status_code=403)
