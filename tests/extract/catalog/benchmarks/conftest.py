"""Mocks of how the sets lie on disk: a few listed ids each, in the layout of their distribution or of a script."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hcl.extract.catalog.benchmarks.listing import Listed, Listing, read_listing
from hcl.extract.config import SPLITS

Place = Callable[[Listed], str]  # where a video lies; what ends with "/" is a folder of frames
FOLDERS = {"base": "train", "val": "val", "novel": "test"}
LAYOUTS: dict[str, tuple[str, Place]] = {  # by what they are: benchmark and place
    "UCF-101 as it is unpacked": ("ucf-arn", lambda v: f"UCF-101/{v.label}/{v.id}.avi"),
    "UCF-101 as frames of TRX": ("ucf-arn", lambda v: f"{FOLDERS[v.split]}/{v.label}/{v.id}/"),
    "UCF-101 all in one folder": ("ucf-arn", lambda v: f"{v.id}.mp4"),
    "HMDB-51 as it is unpacked": ("hmdb-arn", lambda v: f"hmdb51_org/{v.label}/{v.id}.avi"),
    "HMDB-51 after a script": ("hmdb-arn", lambda v: f"{v.label}/{_without_signs(v.id)}.mp4"),
    "HMDB-51 as frames below rgb": ("hmdb-arn", lambda v: f"{v.label}/{v.id}/rgb/"),
    "Kinetics of the crawler": ("kinetics-cmn", lambda v: f"train_256/{v.label.replace(' ', '_')}/{v.id}.mp4"),
    "Kinetics without time stamps": ("kinetics-cmn", lambda v: f"{v.label}/{v.id[:11]}.mkv"),
    "Kinetics, twice a suffix": ("kinetics-cmn", lambda v: f"{v.split}/{v.id}.mp4.webm"),
    "Something-Something as it is unpacked": ("ssv2-cmn", lambda v: f"20bn-something-something-v2/{v.id}.webm"),
    "Something-Something as frames": ("ssv2-otam", lambda v: f"{FOLDERS[v.split]}/{v.label}/{v.id}/"),
}


def _without_signs(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)


def pick(listing: Listing, *, classes: int = 2, videos: int = 2) -> list[Listed]:
    """The last videos of the first classes of each split."""
    chosen = []
    for split in SPLITS:
        for label in sorted(listing.counts[split])[:classes]:
            chosen += [video for video in listing.videos if video.label == label][-videos:]
    return chosen


@pytest.fixture
def lay_out(tmp_path: Path) -> Callable[..., Path]:
    """A function that puts empty files where a layout has some videos."""

    def make(videos: Sequence[Listed], place: Place, root: str = "data") -> Path:
        for video in videos:
            path = tmp_path / root / place(video)
            if place(video).endswith("/"):
                path = path / "img_00001.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / root

    return make


@pytest.fixture(scope="session")
def listing_of() -> Callable[[str], Listing]:
    """A function that reads the lists of a benchmark, once."""
    kept: dict[str, Listing] = {}
    return lambda name: kept[name] if name in kept else kept.setdefault(name, read_listing(name))
