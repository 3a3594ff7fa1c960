"""hcl app from its start to Ctrl-C, and what it says where it cannot start."""

import builtins
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
from click.testing import CliRunner

from hcl.classify.app.config import HOST, AppConfig
from hcl.classify.app.web.server import listening, stopped_by_signals
from hcl.cli import main
from hcl.extract.system.errors import InputError


@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN], ids=["terminal", "background"])
def test_it_serves_until_ctrl_c_and_leaves_nothing(
    trained_run: Path, small_weights: Path, tmp_path: Path, handler: Any
) -> None:
    words = ["app", "--run", str(trained_run), "--text-model", "none", "--port", "0", "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-m", "hcl.cli", *words, "--support", str(tmp_path / "my.support")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=small_weights.parent,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, handler),
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith(f"http://{HOST}:") and len(address.partition("token=")[2]) >= 32
        with build_opener(HTTPCookieProcessor()).open(address) as answer:
            assert b"Your own classes" in answer.read() and "token" not in answer.url
        assert [path.name.startswith("hcl-app-") for path in tmp_path.iterdir()] == [True]
        assert (next(tmp_path.iterdir()).stat().st_mode & 0o077) == 0  # nobody else reads it
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0 and "the page has ended" in out and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_sigterm_ends_it_as_ctrl_c_does() -> None:
    with pytest.raises(KeyboardInterrupt), stopped_by_signals():
        os.kill(os.getpid(), signal.SIGTERM)


def test_nobody_else_reaches_the_port() -> None:
    with listening(0) as sock:
        assert sock.getsockname()[0] == "127.0.0.1"


def said_by(words: list[str]) -> str:
    result = CliRunner().invoke(main, ["app", *words])
    assert result.exit_code == 2, result.output
    return result.output.strip().splitlines()[-1]


def test_a_port_in_use_is_told_with_the_cure() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = said_by(["--port", str(port)])
    assert f"--port {port}: Address already in use" in line and "0 for any that is free" in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "99999"], "--port must be from 0 to 65535"),
        (["--max-upload", "0"], "--max-upload must be"),
        (["--port", "0", "--run", "no/run"], "no/run"),
        (["--port", "0", "--support", "no/folder/x.support"], "name another place with --support"),
        (["--reject", "2", "--port", "0"], "--reject must be a share"),
    ],
)
def test_mistakes_are_one_line(words: list[str], said: str) -> None:
    assert said in said_by(words)


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_a_missing_extra_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *given: Any, **further: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return real(name, *given, **further)

    for name in [name for name in sys.modules if name.startswith("hcl.classify.app.web")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    assert f'hcl app needs {package}: pip install "hcl[app]"' in said_by(["--port", "0"])


def test_settings_are_checked() -> None:
    with pytest.raises(InputError, match="--upload-timeout"):
        AppConfig(upload_timeout=0)
    assert AppConfig(max_upload=2).most_bytes == 2_000_000
