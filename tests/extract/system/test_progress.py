"""In a log, progress is a plain line now and then; on a terminal it is redrawn."""

import logging

import pytest

from hcl.extract.system import progress
from hcl.extract.system.progress import LogBar, progress_bar


@pytest.fixture
def listening(caplog: pytest.LogCaptureFixture) -> None:
    """The logger lets bars through."""
    caplog.set_level(logging.INFO, "hcl")


@pytest.mark.usefixtures("listening")
def test_a_log_gets_whole_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_IN_A_LOG", 1e-9)
    with progress_bar(4, "video", "extract") as bar:
        for _ in range(4):
            bar.update()
            with LogBar.external_write_mode():
                pass
    text = capsys.readouterr().err
    assert "\r" not in text and "\x1b" not in text and "  " not in text and text.endswith("\n")
    lines = text.splitlines()
    assert all(line.startswith("extract: ") and " of 4 [" in line for line in lines)
    assert lines[-1].startswith("extract: 100 %, 4 of 4 [")


@pytest.mark.usefixtures("listening")
def test_short_work_writes_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(1000, "video", "extract") as bar:
        for _ in range(1000):
            bar.update()
            with LogBar.external_write_mode():
                pass
    assert capsys.readouterr().err == ""


def test_a_bar_says_nothing_where_nobody_listens(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "SECONDS_IN_A_LOG", 1e-9)
    caplog.set_level(logging.WARNING, "hcl")
    with progress_bar(2, "video", "extract") as bar:
        bar.update(2)
    assert capsys.readouterr().err == ""
