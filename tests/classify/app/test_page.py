"""The page over HTTP: examples, questions, corrections, uploads that are refused, and what is exported."""

import csv
import io
import json
import socket
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hcl.classify.answers.classify import open_session
from hcl.classify.app.clips import clean_label, clean_name, key_of
from hcl.classify.app.config import HOST
from hcl.classify.config import ClassifyConfig
from hcl.extract.system.errors import InputError


@pytest.fixture
def clips(small_videos: Path) -> Callable[[str], list[Path]]:
    """A function that lists the videos of a class."""
    return lambda name: sorted((small_videos / "novel" / name).iterdir())


@pytest.fixture(scope="module")
def taught(page: Any, small_videos: Path) -> Any:
    """A page with two classes of two examples, and one question."""
    for name in ("clap2", "jump2"):
        page.add(name, *sorted((small_videos / "novel" / name).iterdir())[:2])
    assert page.post("/upload/question", (small_videos / "novel/wave2/0.mp4").read_bytes(), name="a.mp4")[0] == 202
    page.wait()
    return page


def test_examples_answer_a_question_as_the_classifier_does(taught: Any, clips: Any) -> None:
    question = taught.workbench.state.questions[-1]
    support = taught.workbench.state.support
    assert support.sizes == {"clap2": 2, "jump2": 2} and set(support.sources) == {""}
    expected = taught.workbench.answerer.answer(taught.workbench.embedder.embed_one(clips("wave2")[0]))
    assert [each.label for each in question.answer.ranked] == [each.label for each in expected.ranked]
    assert question.answer.probability == pytest.approx(expected.probability, rel=1e-4)
    html = taught.parts()["answers"]
    assert "a.mp4" in html and f"{100 * question.answer.probability:.1f}" in html and html.count("<image") == 3 * 4


def test_pictures_are_served_and_others_are_missing(taught: Any) -> None:
    content = taught.workbench.state.support.videos.content[0]
    answer, picture = taught.ask("GET", f"/pictures/{content[:32]}/0")
    assert (answer.status, answer.getheader("content-type")) == (200, "image/jpeg") and picture[:2] == b"\xff\xd8"
    for path in (f"/pictures/{content[:32]}/99", "/pictures/00/0", "/pictures/../0", "/pictures/%2e%2e%2f/0"):
        assert taught.ask("GET", path)[0].status == 404


def test_files_are_deleted_once_they_are_read(taught: Any) -> None:
    taught.wait()
    assert list(taught.folder.iterdir()) == []


def test_the_self_test_runs_by_itself(taught: Any) -> None:
    html = taught.parts()["selftest"]
    assert taught.workbench.state.check.asked == 4 and "of 4 examples are recognised" in html


def test_the_archive_answers_as_the_page(
    taught: Any, tmp_path: Path, clips: Any, small_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small_weights.parent)  # where the support set finds its backbone
    answer, data = taught.ask("GET", "/export/support.zip")
    assert answer.status == 200 and "attachment" in str(answer.getheader("content-disposition"))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert all(name.startswith("examples.support/") and ".." not in name for name in archive.namelist())
        archive.extractall(tmp_path)
    session = open_session(tmp_path / "examples.support", None, ClassifyConfig(workers=1))
    with session.answerer.embedder:
        (said,) = session.answerer.answers([clips("wave2")[0]])
    assert said.probability == pytest.approx(taught.workbench.state.questions[-1].answer.probability, rel=1e-4)


def test_answers_are_exported(taught: Any) -> None:
    _, text = taught.ask("GET", "/export/answers.json")
    document = json.loads(text)
    assert document["classes"] == ["clap2", "jump2"] and document["queries"][0]["query"] == "a.mp4"
    _, text = taught.ask("GET", "/export/answers.csv")
    rows = list(csv.DictReader(io.StringIO(text.decode())))
    assert [row["rank"] for row in rows if row["query"] == "a.mp4"] == ["1", "2"]
    assert taught.ask("GET", "/export/segments.csv")[0].status == 409
    assert taught.ask("GET", "/export/../etc/passwd")[0].status == 404


def test_a_correction_becomes_an_example_and_can_be_changed(serve: Any, clips: Any) -> None:
    page = serve()
    page.add("one", clips("clap2")[0])
    page.add("two", clips("jump2")[0])
    page.post("/upload/question", clips("wave2")[0].read_bytes(), name="a.mp4")
    page.wait()
    (question,) = page.workbench.state.questions
    for label in ("one", "two"):
        assert page.do("correct", number=question.number, **{"class": key_of(label)})[0] == 200
        page.wait()
        support = page.workbench.state.support
        assert support.videos.label[support.videos.content.index(question.embedded.content)] == label
        (shown,) = page.workbench.state.questions
        assert shown.label == label and shown.answer.same_as == (f"{label}/a.mp4",)
    assert page.workbench.state.support.sizes == {"one": 1, "two": 2}
    assert page.do("remove-class", **{"class": key_of("two")})[0] == 200
    assert "two" not in page.parts()["classes"] and page.workbench.state.classes == ("one",)
    assert page.workbench.state.questions[0].label == ""


def test_a_question_waits_for_the_first_example(serve: Any, clips: Any) -> None:
    page = serve()
    page.post("/upload/question", clips("wave2")[0].read_bytes(), name="a.mp4")
    assert "no answer yet" in page.parts()["answers"]
    page.add("one", clips("clap2")[0])
    assert "no answer yet" not in page.parts()["answers"]
    assert page.ask("GET", "/export/support.zip")[0].status == 200


def test_none_of_these_waits_until_it_can_be_known(serve: Any, clips: Any) -> None:
    page = serve(reject=0.05)
    page.add("one", clips("clap2")[0])
    page.add("two", clips("jump2")[0])
    page.post("/upload/question", clips("wave2")[0].read_bytes(), name="a.mp4")
    html = page.parts()["answers"]
    assert "the support set has 2; add classes" in html and page.workbench.state.questions[0].answer.accepted


def test_a_long_video_is_searched(taught: Any, tmp_path: Path, write_video: Any) -> None:
    long = write_video(tmp_path / "long.mp4", frames=150)
    assert taught.post("/upload/search", long.read_bytes(), name="long.mp4")[0] == 202
    html = taught.parts()["searched"]
    found = taught.workbench.state.searched[0].spotted
    assert found.video == "long.mp4" and found.seconds == pytest.approx(6.0) and "6.0 s" in html
    assert html.count('class="segment') == html.count('id="play-') == len(found.segments)
    taught.workbench._change(searched=())


@pytest.mark.parametrize(
    "name", ["../../../../etc/cron.d/x", "C:\\temp\\x", "/etc/passwd", "a\x00b", "\u202egpm.a", "", "é" * 300]
)
def test_a_name_is_never_a_path(taught: Any, name: str, tmp_path: Path) -> None:
    before = set(taught.folder.parent.rglob("*"))
    status, _ = taught.post("/upload/question", b"no video", name=name)
    taught.wait()
    assert status == 202 and set(taught.folder.parent.rglob("*")) == before
    _, problems = taught.workbench.worker.shown()
    assert problems[-1].text.startswith(f"{clean_name(name)}: cannot be read") and "/" not in clean_name(name)
    taught.do("dismiss", number=problems[-1].number)


def bomb() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("frames.mp4", bytes(200_000_000))
    return data.getvalue()


@pytest.mark.parametrize("kind", ["text", "zip bomb", "playlist", "cut off", "picture"])
def test_a_file_that_is_no_video_is_told_and_deleted(taught: Any, clips: Any, kind: str) -> None:
    files: dict[str, Callable[[], bytes]] = {
        "text": lambda: b"hello",
        "zip bomb": bomb,
        "playlist": lambda: b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "cut off": lambda: clips("clap2")[0].read_bytes()[:2000],
        "picture": lambda: b"\x89PNG\r\n\x1a\n" + bytes(100),
    }
    before = taught.workbench.state.support
    query = {"class": key_of("clap2"), "name": "bad.mp4"}
    assert taught.post("/upload/example", files[kind](), **query)[0] == 202
    html = taught.parts()["jobs"]
    assert "bad.mp4: cannot be read" in html and "passwd" not in html
    assert taught.workbench.state.support is before and list(taught.folder.iterdir()) == []
    _, problems = taught.workbench.worker.shown()
    assert taught.do("dismiss", number=problems[-1].number)[0] == 200
    assert "bad.mp4" not in taught.parts()["jobs"]


@pytest.mark.parametrize("named", [True, False])
def test_a_file_too_large_is_refused_while_it_comes(taught: Any, named: bool) -> None:
    """By its named length before a byte of it, else as soon as it has passed the bound."""
    length = "Content-Length: 5000000000000" if named else "Transfer-Encoding: chunked"
    head = f"POST /upload/question HTTP/1.1\r\nHost: {HOST}:{taught.port}\r\nOrigin: {taught.address}\r\n"
    sent = 0
    with socket.create_connection((HOST, taught.port), timeout=30) as raw:
        raw.sendall(f"{head}Cookie: {taught.cookie}\r\n{length}\r\n\r\n".encode())
        try:
            while not named and sent < 50_000_000:
                raw.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")
                sent += 65536
        except OSError:
            pass  # refused: the server has closed
        try:
            answer = raw.recv(65536)
        except ConnectionResetError:
            answer = b""  # lost behind what was still being sent
    assert b"413" in answer[:20] or (not named and not answer)
    assert sent < 50_000_000
    assert list(taught.folder.iterdir()) == []


def test_a_slow_upload_is_given_up(serve: Any) -> None:
    page = serve(upload_timeout=1)
    head = f"POST /upload/question HTTP/1.1\r\nHost: {HOST}:{page.port}\r\nOrigin: {page.address}\r\n"
    with socket.create_connection((HOST, page.port), timeout=30) as raw:
        raw.sendall(f"{head}Cookie: {page.cookie}\r\nContent-Length: 1000\r\n\r\nabc".encode())
        assert b"408" in raw.recv(65536)[:20]
    assert list(page.folder.iterdir()) == []


def test_an_empty_file_and_an_unknown_class_are_refused(taught: Any) -> None:
    assert taught.post("/upload/question", b"")[1]["error"] == "the file is empty (0 bytes)"
    assert "not there any more" in taught.post("/upload/example", b"x", **{"class": "nothing"})[1]["error"]
    assert taught.post("/upload/elsewhere", b"x")[0] == 404


@pytest.mark.parametrize(
    ("action", "given", "said"),
    [
        ("add-class", {"name": "  "}, "a class needs a name"),
        ("add-class", {"name": "none"}, "choose another name"),
        ("add-class", {"name": "x" * 81}, "at most 80"),
        ("add-class", {"name": "a\u202eb"}, "letters that are not seen"),
        ("add-class", {"name": "clap2"}, "is there already; add clips to it"),
        ("remove-class", {"class": "x"}, "not there any more"),
        ("remove-clip", {"clip": ""}, "not there any more"),
        ("correct", {"number": 10**30, "class": 3}, "not there any more"),
        ("correct", {"number": "1; drop"}, "not there any more"),
        ("remove-question", {"number": None}, "not there any more"),
        ("fly", {}, "no such thing"),
    ],
)
def test_mistakes_are_told_in_one_line(taught: Any, action: str, given: dict[str, Any], said: str) -> None:
    before = taught.workbench.state
    status, answer = taught.do(action, **given)
    assert status in (400, 404) and said in answer["error"] and "\n" not in answer["error"]
    assert taught.workbench.state.classes == before.classes and taught.workbench.state.support is before.support


def test_the_same_clip_is_one_example(taught: Any, clips: Any) -> None:
    taught.add("clap2", clips("jump2")[0])
    assert "is an example of jump2 already" in taught.parts()["jobs"]
    assert taught.workbench.state.support.sizes == {"clap2": 2, "jump2": 2}


def test_requests_side_by_side_lose_nothing(serve: Any, clips: Any) -> None:
    page = serve()
    page.add("one", clips("clap2")[0])
    videos = [*clips("jump2"), *clips("wave2")]
    statuses = []

    def send(video: Path) -> None:
        for _ in range(200):  # refused where three are being received
            status, _ = page.post("/upload/question", video.read_bytes(), name=f"{video.parent.name}-{video.name}")
            page.ask("GET", "/parts")
            if status != 429:
                statuses.append(status)
                return

    threads = [threading.Thread(target=send, args=(video,)) for video in videos]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    page.wait()
    names = {f"{video.parent.name}-{video.name}" for video in videos}
    assert statuses == [202] * len(videos) and {each.name for each in page.workbench.state.questions} == names


@pytest.mark.parametrize(
    "label", ["<script>alert(1)</script>", "\" onload='x", "\u05e9\u05dc\u05d5\u05dd", "\U0001f938\u200d\u2640\ufe0f"]
)
def test_a_hostile_name_is_text(taught: Any, label: str) -> None:
    assert taught.do("add-class", name=label)[0] == 200
    html = taught.parts()["classes"]
    assert "<script" not in html and '" onload' not in html
    _, whole = taught.ask("GET", "/")
    assert whole.count(b"<script") == 1  # that of the page itself
    taught.do("remove-class", **{"class": key_of(label)})
    taught.wait()


def test_names_are_cleaned() -> None:
    assert clean_label("  wave  hand ") == "wave  hand"
    assert clean_name("a/b\\c d.webm") == "c d.webm"
    with pytest.raises(InputError, match="write one"):
        clean_label("\u0020")
