"""The recipe of each published benchmark runs, on a mock of how the set lies on disk."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from hcl.cli import main
from hcl.extract.catalog.benchmarks.listing import Listed, read_listing
from hcl.extract.config import BENCHMARKS

PAGES = Path(__file__).parents[2] / "docs" / "how-to" / "benchmarks"
PLACES: dict[str, Callable[[Listed], str]] = {  # below the folder that a page names
    "kinetics-cmn": lambda video: f"train/{video.label.replace(' ', '_')}/{video.id}.mp4",
    "ssv2-cmn": lambda video: f"{video.id}.webm",
    "ssv2-otam": lambda video: f"{video.id}.webm",
    "hmdb-arn": lambda video: f"{video.label}/{video.id}.avi",
    "ucf-arn": lambda video: f"{video.label}/{video.id}.avi",
}
FEW = {"base": (3, 2), "val": (2, 2), "novel": (5, 6)}  # classes, and videos of each
ACROSS = "hmdb-arn"  # the one whose run is also evaluated on another set
QUICK = {
    "extract": "--size 64 --frames 3 --workers 1 --no-text --precision float32 --motion none --views 1",
    "train": "--epochs 1 --steps-per-epoch 1 --val-episodes 5 --dim 16 --heads 2 --mlp-dim 16 --tracker none",
    "evaluate": "--episodes 10",
}


def recipe(name: str) -> list[list[str]]:
    """The commands of a page, as words without "hcl"."""
    (block,) = re.findall(r"```sh\n(.*?)```", (PAGES / f"{name}.md").read_text(encoding="utf-8"), re.DOTALL)
    words = [shlex.split(line) for line in block.splitlines()]
    assert all(line[0] == "hcl" for line in words)
    return [line[1:] for line in words]


def few(name: str) -> list[Listed]:
    listing, chosen = read_listing(name), []
    for split, (classes, videos) in FEW.items():
        for label in sorted(listing.counts[split])[:classes]:
            of_class = [video for video in listing.videos if video.label == label]
            films = {listing.benchmark.naming.group(video.label, video.id): video for video in of_class}
            chosen += [*films.values(), *of_class][:videos]  # of several films, where they are told
    return chosen


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_recipe_of_a_benchmark_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_video: Callable[..., Path], small_weights: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    extraction, *others = recipe(name)
    assert [words[0] for words in (extraction, *others)][:3] == ["extract", "train", "evaluate"]
    for number, video in enumerate(few(name)):
        path = write_video(tmp_path / f"{number}.avi", seed=number)
        target = tmp_path / extraction[1] / PLACES[name](video)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    commands = [extraction, *others]
    if name == ACROSS:
        here = {"runs/kinetics": "runs/hmdb51", "ucf101.zarr": "hmdb51.zarr"}  # itself stands for the other set
        commands.append([here.get(word, word) for word in recipe("index")[0]])
    for words in commands:
        more = [*QUICK[words[0]].split(), *(["--weights", str(small_weights)] if words[0] == "extract" else [])]
        result = CliRunner().invoke(main, [*words, *more])
        assert result.exit_code == 0, f"hcl {' '.join(words)}\n{result.output}\n{result.exception!r}"
        if words[0] != "train":
            assert f"benchmark {name}: base " in result.output and "incomplete" in result.output


def test_every_benchmark_has_a_page_that_says_what_it_takes() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == {"index", *BENCHMARKS}
    table = (PAGES / "index.md").read_text(encoding="utf-8")
    for name in BENCHMARKS:
        counts = " / ".join(f"{count:,}" for count in read_listing(name).benchmark.counts.values())
        assert re.search(rf"\| `{name}` \|.*\| {counts} \|", table), name
        text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
        assert all(f"**{title}" in text for title in ("Get it.", "Disk and time", "What to expect"))


def test_costs_follow_from_what_was_measured() -> None:
    """The tables say that they are computed: 5.38 videos a second with one image a frame, four with the defaults."""
    table = (PAGES / "index.md").read_text(encoding="utf-8").split("## What it takes")[1]
    for name in BENCHMARKS:
        videos = sum(read_listing(name).benchmark.counts.values())
        row = next(line for line in table.splitlines() if f"`{name}`" in line)
        defaults, plain, gpu, cache, small = (cell.split() for cell in row.strip("| ").split("|")[1:])
        assert float(defaults[0]) == pytest.approx(videos * 4 / 5.38 / 3600, abs=0.06)
        assert float(plain[0]) * (3600 if plain[1] == "h" else 60) == pytest.approx(videos / 5.38, rel=0.03)
        assert float(gpu[0]) == pytest.approx(videos / 30 / 60, abs=0.5)
        raw = 2 * 8 * 49 * 4096 * 2 * videos / 1e9
        assert float(cache[0]) == pytest.approx(0.18 * raw, rel=0.01)
        assert float(small[0]) == pytest.approx(0.13 * raw, rel=0.01)
