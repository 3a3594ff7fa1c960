"""Write the demo set: class folders of H.264 files and the manifest that lists them."""

import csv
import io
import itertools
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from hcl.extract.demo.backgrounds import PLACES, Place
from hcl.extract.demo.classes import CLASSES
from hcl.extract.demo.config import DemoConfig
from hcl.extract.demo.encoding import CONTAINERS, encode, h264_encoder
from hcl.extract.demo.scenes import draw_video
from hcl.extract.system.atomic import UNFINISHED, atomic_file
from hcl.extract.system.console import csv_text
from hcl.extract.system.errors import InputError
from hcl.extract.system.progress import progress_bar
from hcl.extract.system.threads import cores, end_with_parent, main_left_alone

MANIFEST = "manifest.csv"
_COLUMNS = ("path", "label", "group", "seed")


@dataclass(frozen=True)
class DemoVideo:
    """One video of the set, all of which follows from these three numbers."""

    label: int  # into CLASSES
    index: int  # within its class
    seed: int

    @property
    def place(self) -> Place:
        """The place, drawn for each video, so that it tells nothing of the class."""
        return PLACES[self._rng(0).integers(len(PLACES))]

    @property
    def path(self) -> str:
        """The file, relative to the set's folder; its container is drawn."""
        ending = tuple(CONTAINERS)[self._rng(1).integers(len(CONTAINERS))]
        return f"{CLASSES[self.label].name}/{self.index:03d} {self.place.name}.{ending}"

    def encoded(self) -> bytes:
        """Draw the video and encode it."""
        drawn = draw_video(CLASSES[self.label], self.place, self._rng(2))
        return encode(drawn, self.path.rpartition(".")[2])

    def _rng(self, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.label, self.index, purpose])


def write_demo_videos(folder: str | Path, config: DemoConfig) -> list[Path]:
    """Write the demo set, or what is missing of it, into a folder that holds nothing else.

    Video `index` of a class is the same however many are drawn. Videos that are there already stay, also those of an
    earlier, larger set, which the manifest then still lists.

    Returns:
        the files that were drawn now

    Raises:
        InputError: if the folder holds other things or another seed's set, or cannot be written
    """
    folder = Path(folder)
    h264_encoder()
    numbers = itertools.product(range(config.classes), range(config.videos_per_class))
    requested = [DemoVideo(label, index, config.seed) for label, index in numbers]
    with _writable(folder):
        videos = sorted(
            {*requested, *_listed_videos(folder, config.seed)}, key=lambda video: (video.label, video.index)
        )
        _check_entries(folder, {video.path for video in videos})
        for name in sorted({CLASSES[video.label].name for video in videos}):
            (folder / name).mkdir(parents=True, exist_ok=True)
        with atomic_file(folder / MANIFEST) as fresh:
            fresh.write_bytes(_manifest(videos))
        missing = [video for video in requested if not (folder / video.path).exists()]
        with progress_bar(len(missing), "video", "generate") as bar:
            for _ in _draw_all(folder, missing, config.workers):
                bar.update()
    return [folder / video.path for video in missing]


def listed_count(folder: str | Path) -> int:
    """How many videos the manifest of a demo set lists, those of earlier calls, too."""
    with (Path(folder) / MANIFEST).open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.DictReader(file))


def _draw_all(folder: Path, videos: list[DemoVideo], workers: int) -> Iterator[None]:
    """Draw videos in worker processes, one encoder thread each; yield after each video."""
    workers = min(workers or cores(), len(videos))
    if workers < 2:
        for video in videos:
            _draw(folder, video)
            yield
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), end_with_parent) as pool:
        try:
            with main_left_alone():
                drawings = [pool.submit(_draw, folder, video) for video in videos]
            for future in as_completed(drawings):
                yield future.result()
        except BrokenProcessPool as error:
            raise InputError(
                "a process that generates videos was killed, as happens when memory runs out; run it again with"
                " fewer --workers: finished videos are kept"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # after an error or Ctrl-C, do not draw the rest first


def _draw(folder: Path, video: DemoVideo) -> None:
    with atomic_file(folder / video.path) as fresh:
        fresh.write_bytes(video.encoded())


def _manifest(videos: list[DemoVideo]) -> bytes:
    rows = ((video.path, CLASSES[video.label].name, video.place.name, video.seed) for video in videos)
    return csv_text([_COLUMNS, *rows]).encode()


def _listed_videos(folder: Path, seed: int) -> Iterator[DemoVideo]:
    """Read the videos of an earlier set from its manifest, if there is one."""
    manifest, labels = folder / MANIFEST, {shown.name: label for label, shown in enumerate(CLASSES)}
    if not manifest.exists():
        return
    header, *rows = csv.reader(io.StringIO(manifest.read_text("utf-8", "replace") or "\n"))
    if tuple(header) != _COLUMNS:
        raise InputError(f"{manifest}: not written by hcl demo-videos; give a new or empty folder")
    for line, row in enumerate(rows, start=2):
        path, label, _, drawn_from = (*row, "", "", "", "")[:4]
        if drawn_from.isdecimal() and drawn_from != str(seed):
            remedy = f"give --seed {drawn_from} or a new folder"
            raise InputError(f"{folder}: holds a demo set of seed {drawn_from}, not {seed}; {remedy}")
        index = path.rpartition("/")[2].partition(" ")[0]
        video = DemoVideo(labels.get(label, 0), int(index) if index.isdecimal() else 0, seed)
        if video.path != path:
            raise InputError(f"{manifest} line {line}: {path} is not part of a demo set; give a new or empty folder")
        yield video


def _check_entries(folder: Path, paths: set[str]) -> None:
    """Refuse a folder that holds other things than a demo set, and clear what an interrupted run left."""
    names = {MANIFEST} if (folder / MANIFEST).exists() else set()
    names |= ({*paths} | {path.partition("/")[0] for path in paths}) if names else set()
    for entry in sorted(folder.rglob("*")):
        name = entry.relative_to(folder).as_posix()
        if entry.name.endswith(UNFINISHED):
            entry.unlink()
        elif name not in names:
            raise InputError(f"{entry}: not part of a demo set; give a new or empty folder")


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """Tell the user which file could not be read or written, and why."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"{error.filename or folder}: cannot be written ({reason}); give a folder that you may write to, "
            "on a disk with 100 MB free"
        ) from error
