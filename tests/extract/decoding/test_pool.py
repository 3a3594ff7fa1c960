"""Workers that decode ahead: same frames, same order, and no harm from one that crashes, hangs or swells."""

import errno
import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import count
from multiprocessing.context import SpawnProcess
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from hcl.extract.config import ExtractConfig
from hcl.extract.decoding.pool import decode_ahead
from hcl.extract.decoding.source import Source
from hcl.extract.decoding.worker import (
    MEMORY_EXIT_CODE,
    TIME_EXIT_CODE,
    Decoded,
    DecodeTask,
    Failed,
    decode_video,
)
from hcl.extract.system.errors import InputError
from hcl.extract.video.reading import read_frames

TASK = DecodeTask(frames=4, size=64, decoder="auto")


def write_video(path: Path, *, frames: int = 20, width: int = 96, height: int = 64) -> Path:
    noise = np.random.default_rng(len(path.name)).integers(0, 256, (height + frames, width, 3), dtype=np.uint8)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(noise[number : number + height], format="rgb24")))
        output.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video that takes a good part of a second, so that a signal meets its worker at work."""
    return write_video(tmp_path_factory.mktemp("slow") / "slow.mp4", frames=160, width=480, height=352)


def test_results_come_in_order_with_the_state_of_the_file(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number in (10, 9):
        Image.new("RGB", (40, 30), (number, 0, 0)).save(images / f"{number}.png")
    paths = [
        (7, write_video(tmp_path / "long name ü.mp4", frames=90)),
        (3, tmp_path / "missing.mp4"),
        (5, images),
        (4, write_video(tmp_path / "b.mkv", frames=2)),
    ]
    results = list(decode_ahead(paths, TASK, workers=2))
    assert [result.row for result in results] == [7, 3, 5, 4]
    assert results[1] == Failed(3, "the file does not exist", Source())
    for (_, path), result in zip(paths, results, strict=True):
        if isinstance(result, Failed):
            continue
        files = [images / "9.png", images / "10.png"] if path == images else [path]
        video = read_frames(path, 4)
        expected = [Image.fromarray(image).resize((64, 64), Image.Resampling.BILINEAR) for image in video.images]
        np.testing.assert_array_equal(result.images, [[[np.asarray(image)] for image in expected]])
        assert (result.frame_count, result.decoder) == (video.frame_count, video.decoder)
        assert result.source.content == hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
        assert result.source.bytes == sum(file.stat().st_size for file in files)
        assert result.source.modified_ns == max(file.stat().st_mtime_ns for file in files)


def test_no_videos_take_no_workers() -> None:
    assert list(decode_ahead([], TASK)) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize(
    ("blow", "reason"),
    [
        ("SIGSEGV", "the decoder crashed on it (SIGSEGV)"),
        ("SIGSTOP", "decoding it took longer than 4 seconds by the clock; raise --video-timeout"),
    ],
)
def test_a_worker_that_ends_or_hangs_costs_one_video(
    slow: Path, blow: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hcl.extract.decoding.pool._CLOCK", 1)
    task = replace(TASK, seconds_per_video=4, seconds_per_mb=0)
    results = []
    for result in decode_ahead([(row, slow) for row in range(5)], task, workers=1):
        if not results:
            (worker,) = multiprocessing.active_children()
            os.kill(worker.pid or 0, getattr(signal, blow))
        results.append(result)
    assert [result.row for result in results] == list(range(5))
    (failed,) = [result for result in results if isinstance(result, Failed)]
    assert failed.reason == reason
    assert failed.source.content in ("", hashlib.sha256(slow.read_bytes()).hexdigest())
    assert multiprocessing.active_children() == []


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_a_busy_machine_does_not_use_up_a_videos_time(slow: Path) -> None:
    """A worker that gets no processor for longer than its limit loses nothing."""
    limit = 3.0
    task = replace(TASK, seconds_per_video=limit, seconds_per_mb=0)
    results = decode_ahead([(row, slow) for row in range(2)], task, workers=1)
    first = next(results)
    (worker,) = multiprocessing.active_children()
    os.kill(worker.pid or 0, signal.SIGSTOP)
    time.sleep(limit + 1)
    os.kill(worker.pid or 0, signal.SIGCONT)
    assert [type(result) for result in (first, *results)] == [Decoded, Decoded]


def test_a_video_that_takes_too_much_processor_time_is_ended(slow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hcl.extract.decoding.pool._CLOCK", 10_000)  # the clock must not be first on a busy machine
    (result,) = decode_ahead([(1, slow)], replace(TASK, seconds_per_video=0.01, seconds_per_mb=0), workers=1)
    assert isinstance(result, Failed)
    assert result.reason == "decoding it took longer than 0 seconds of processor time; raise --video-timeout"


UNWATCHED = """
import sys
from multiprocessing import Pipe
from pathlib import Path
from hcl.extract.decoding import worker

worker.end_with_parent = lambda: None  # it is no multiprocessing child
worker.Limits.watch = lambda limits: None
ours, theirs = Pipe()
ours.send((1, Path(sys.argv[1])))
worker.serve(theirs, worker.DecodeTask(frames=4, size=64, decoder="auto", seconds_per_mb=0, **{sys.argv[2]: 0}))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not say how large a process is")
@pytest.mark.parametrize(
    ("limit", "code"), [("seconds_per_video", TIME_EXIT_CODE), ("mib_per_video", MEMORY_EXIT_CODE)]
)
def test_a_video_beyond_a_limit_is_ended_though_its_watcher_had_no_turn(slow: Path, limit: str, code: int) -> None:
    worker = subprocess.run([sys.executable, "-c", UNWATCHED, str(slow), limit], timeout=120)
    assert worker.returncode == code


def test_a_long_recording_is_given_time_by_its_size() -> None:
    hour = Source("hash", bytes=1_500_000_000)
    assert TASK.processor_seconds(hour) == TASK.seconds_per_video + 1500
    assert DecodeTask.of(ExtractConfig(video_timeout=7)).seconds_per_video == 7


def kill_starting(monkeypatch: pytest.MonkeyPatch, *, times: int) -> list[int]:
    """Kill the first workers as they start, as the kernel does without memory; returns their numbers as they go."""
    killed: list[int] = []
    start = SpawnProcess.start

    def start_and_kill(process: SpawnProcess) -> None:
        start(process)
        if len(killed) < times:
            killed.append(process.pid or 0)
            process.kill()

    monkeypatch.setattr(SpawnProcess, "start", start_and_kill)
    return killed


def refuse_after(monkeypatch: pytest.MonkeyPatch, *, allowed: int) -> None:
    """Let the machine have no process to spare after some."""
    start, numbers = SpawnProcess.start, count(1)

    def start_or_refuse(process: SpawnProcess) -> None:
        if next(numbers) > allowed:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        start(process)

    monkeypatch.setattr(SpawnProcess, "start", start_or_refuse)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_a_worker_that_dies_while_it_starts_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    path = write_video(tmp_path / "a.mp4")
    killed = kill_starting(monkeypatch, times=4)
    assert [result.row for result in decode_ahead([(0, path), (1, path)], TASK, workers=1)] == [0, 1]
    assert len(killed) == 4 and not said


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_a_worker_that_never_starts_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    path = write_video(tmp_path / "a.mp4")
    refuse_after(monkeypatch, allowed=1)
    results = list(decode_ahead([(row, path) for row in range(3)], TASK, workers=2))
    assert [type(result) for result in results] == [Decoded] * 3
    (line,) = said
    assert "ended 5 times while it started" in line and "1 others go on" in line and "fewer --workers" in line


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_workers_that_never_start_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4")
    kill_starting(monkeypatch, times=1000)
    with pytest.raises(InputError, match=r"ended 5 times while it started \(SIGKILL\), .* use fewer --workers"):
        list(decode_ahead([(0, path)], TASK, workers=1))
    assert multiprocessing.active_children() == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not say how large a process is")
def test_a_worker_that_swells_is_ended(slow: Path) -> None:
    (result,) = decode_ahead([(1, slow)], replace(TASK, mib_per_video=1), workers=1)
    assert isinstance(result, Failed)
    assert result.reason == "decoding it takes more than 1 MiB of memory"


def test_closing_leaves_no_process(slow: Path) -> None:
    results = decode_ahead([(row, slow) for row in range(5)], TASK, workers=1)
    next(results)
    assert multiprocessing.active_children()
    results.close()
    assert multiprocessing.active_children() == []


class Watched(list[tuple[int, Path]]):
    """Paths that remember how far they were read."""

    furthest = -1

    def __getitem__(self, number: int) -> tuple[int, Path]:  # type: ignore[override]
        self.furthest = max(self.furthest, number)
        return super().__getitem__(number)


def test_a_caller_that_rests_is_not_swamped(tmp_path: Path) -> None:
    short = write_video(tmp_path / "short.mp4", frames=2)
    paths = Watched((row, short) for row in range(60))
    results = decode_ahead(paths, TASK, workers=1)
    next(results)
    time.sleep(1.5)
    reached = paths.furthest
    assert 1 < reached < 25
    assert [result.row for result in results] == list(range(1, 60))


ORPHANS = """
import multiprocessing, sys
from pathlib import Path
from hcl.extract.config import ExtractConfig
from hcl.extract.decoding.pool import decode_ahead
from hcl.extract.decoding.worker import DecodeTask
videos = [(row, Path(sys.argv[1])) for row in range(1000)]  # few scripts have a guard against being imported
for result in decode_ahead(videos, DecodeTask(frames=4, size=64, decoder="auto"), workers=2):
    print(*(worker.pid for worker in multiprocessing.active_children()), flush=True)
"""


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers end after the video that they have")
def test_workers_end_with_a_killed_parent(tmp_path: Path, slow: Path) -> None:
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    with subprocess.Popen([sys.executable, str(script), str(slow)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert len(workers) == 2
    patience = time.monotonic() + 10
    while any(is_running(pid) for pid in workers) and time.monotonic() < patience:
        time.sleep(0.05)
    assert not any(is_running(pid) for pid in workers)


def test_workers_are_small() -> None:
    script = "import sys, hcl.extract.decoding.worker; print(*{'torch', 'zarr', 'transformers'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "\n"


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EMFILE])
def test_a_machine_out_of_threads_or_files_is_not_taken_for_a_damaged_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "none to spare")

    monkeypatch.setattr("hcl.extract.decoding.worker.read_chosen_frames", refuse)
    answer = decode_video(0, tmp_path / "a.mp4", TASK, Source())
    assert isinstance(answer.result, Failed) and answer.is_spent
    assert answer.result.reason.startswith("the machine had no thread or file to spare for it (")
    assert answer.result.reason.endswith("none to spare); use fewer --workers")
