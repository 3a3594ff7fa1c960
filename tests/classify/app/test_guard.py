"""Who is let in: the token once, then the cookie; no other host, no other page."""

import json
import socket
from typing import Any

import pytest

from hcl.classify.app.config import HOST
from hcl.classify.app.web.guard import HEADERS


@pytest.mark.parametrize("token", ["wrong", "", "the token of the test", "\N{SNOWMAN}"])
def test_a_wrong_token_is_refused(page: Any, token: str) -> None:
    query = "" if not token else "?token=" + "".join(f"%{byte:02x}" for byte in token.encode())
    answer, text = page.ask("GET", f"/{query}", headers={"Cookie": "", "Origin": ""})
    assert answer.status == 403 and b"open the address that hcl app printed" in text
    assert answer.getheader("set-cookie") is None


@pytest.mark.parametrize("path", ["/", "/parts", "/static/app.js", "/pictures/00/0", "/export/support.zip", "/nothing"])
@pytest.mark.parametrize("cookie", ["", "hcl_app=x", "{name}=x", '{name}="', "{name}={value}x"])
def test_every_address_needs_the_cookie(page: Any, path: str, cookie: str) -> None:
    name, _, value = page.cookie.partition("=")
    answer, _ = page.ask("GET", path, headers={"Cookie": cookie.format(name=name, value=value)})
    assert answer.status == 403


@pytest.mark.parametrize(
    "host", ["evil.example:{port}", "evil.example", HOST, "{host}:1", "{host}:{port}.evil.example"]
)
def test_another_host_is_refused(page: Any, host: str) -> None:
    given = host.format(port=page.port, host=HOST)
    answer, text = page.ask("GET", "/", headers={"Host": given, "Origin": f"http://{given}"})
    assert answer.status == 403 and b"127.0.0.1 alone" in text


def test_localhost_is_this_host(page: Any) -> None:
    host = f"localhost:{page.port}"
    assert page.ask("GET", "/", headers={"Host": host, "Origin": f"http://{host}"})[0].status == 200


def test_two_hosts_are_refused(page: Any) -> None:
    with socket.create_connection((HOST, page.port)) as raw:
        own = f"{HOST}:{page.port}"
        raw.sendall(f"GET / HTTP/1.1\r\nHost: {own}\r\nHost: evil\r\nCookie: {page.cookie}\r\n\r\n".encode())
        assert raw.recv(100).split()[1] in (b"400", b"403")


@pytest.mark.parametrize(
    "origin", ["null", "http://evil.example", "https://{host}:{port}", "http://{host}:1", "http://{host}"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_origin_is_refused(page: Any, origin: str, method: str) -> None:
    given = origin.format(port=page.port, host=HOST)
    answer, text = page.ask(method, "/do/add-class", b'{"name": "evil"}', headers={"Origin": given})
    assert answer.status == 403 and b"another page" in text
    assert "evil" not in page.workbench.state.classes
    assert answer.getheader("access-control-allow-origin") is None


def test_a_change_without_origin_is_refused(page: Any) -> None:
    assert page.ask("POST", "/do/add-class", b"{}", headers={"Origin": ""})[0].status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_browser_says_comes_from_another_site_is_refused(page: Any, site: str) -> None:
    assert page.ask("GET", "/", headers={"Origin": "", "Sec-Fetch-Site": site})[0].status == 403


def test_the_cookie_is_for_this_page_alone(page: Any) -> None:
    answer, _ = page.ask("GET", "/?token=the+token+of+the+tests", headers={"Cookie": "", "Origin": ""})
    cookie = str(answer.getheader("set-cookie")).lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie
    assert f"hcl_app_{page.port}=" in cookie and "token" not in cookie.partition("=")[2].partition(";")[0]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/nothing"), ("GET", "/static/app.js"), ("POST", "/do/x")]
)
def test_every_answer_says_what_the_browser_may_do(page: Any, method: str, path: str) -> None:
    for headers in ({}, {"Cookie": ""}):
        answer, _ = page.ask(method, path, b"{}" if method == "POST" else None, headers)
        assert {name: answer.getheader(name) for name in HEADERS} == HEADERS
        assert answer.getheader("server") is None


def test_the_policy_allows_no_other_place_and_no_inline_script() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy and "*" not in policy


def test_other_methods_are_refused(page: Any) -> None:
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE"):
        assert page.ask(method, "/do/add-class", b"")[0].status in (403, 404, 405)
    assert page.ask("OPTIONS", "/do/add-class", headers={"Origin": "http://evil.example"})[0].status == 403


def test_what_is_no_json_is_refused(page: Any) -> None:
    for body in (b"[1]", b"{", b"\xff", b"[" * 50_000, b" " * 70_000):
        status, said = page.post("/do/add-class", body)
        assert status in (400, 413) and said["error"]
    assert json.dumps(page.workbench.state.classes) == "[]"
