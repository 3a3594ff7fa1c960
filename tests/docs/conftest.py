"""A small world that the commands of the documents run in: videos, caches, a run."""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hcl.cli import main

SPLITS = ("base",) * 3 + ("val",) * 2 + ("novel",) * 5  # of the classes
VIDEOS_PER_CLASS = {"base": 5, "val": 5, "novel": 6}

# What makes a command quick; an option that the document gives itself is not added.
TRAINING = {
    "--epochs": "1",
    "--steps-per-epoch": "1",
    "--val-episodes": "5",
    "--dim": "16",
    "--heads": "2",
    "--mlp-dim": "16",
    "--precision": "float32",
    "--tracker": "none",
}
QUICK: dict[str, dict[str, str | None]] = {
    "demo-videos": {"--classes": "10", "--videos-per-class": "2"},
    "extract": {"--size": "64", "--frames": "3", "--workers": "1"},
    "train": TRAINING,
    "evaluate": {"--episodes": "20"},
    "compare": {"--episodes": "20"},
    "report": {"--episodes": "20"},
    "crossval": TRAINING | {"--episodes": "5", "--shot": "1"},
    "ablate": TRAINING | {"--episodes": "5", "--shot": "1", "--folds": "1"},
}

# Where the documents' names of inputs come from, by what stands in the world.
PREPARED = {
    **{name: name for name in ("videos", "manifest.csv", "names.csv", "splits.csv")},
    "videos/manifest.csv": "videos",
    **dict.fromkeys(("cache.zarr", "pooled.zarr", "hmdb51.zarr", "ucf101.zarr"), "cache.zarr"),
    **dict.fromkeys(("runs/a", "runs/b", "runs/c"), "runs/a"),
    "runs/latest": "runs",
}
# Which argument, and which options, name what a command writes.
TARGETS = {"extract": 1, "convert": 1, "demo-videos": 0}
SLOW = ("extract", "demo-videos")
TARGET_OPTIONS = ("--out", "--json", "--markdown", "--plot", "--save-episodes", "--score-cache")


class World:
    """Runs commands of hcl in the current folder, after it has put there what they read."""

    def __init__(self, folder: Path, weights: Path) -> None:
        self.folder = folder
        self.weights = weights
        self.written: dict[tuple[object, ...], tuple[Path, str]] = {}  # what slow commands wrote and printed

    def enter(self, folder: Path) -> None:
        """Go to a folder; the backbone's weights lie there, where caches say they are."""
        folder.mkdir(exist_ok=True)
        os.chdir(folder)
        if not Path(self.weights.name).exists():
            Path(self.weights.name).symlink_to(self.weights)

    def run(self, arguments: list[str]) -> str:
        """Run a command and return what it prints; it must succeed."""
        for name in self.inputs(arguments):
            self.provide(name)
        return self.once(arguments) if arguments[0] in SLOW else self.invoke(arguments)

    def run_with_torchrun(self, arguments: list[str]) -> str:
        """Run a command as several processes; two, however many the document takes."""
        start = arguments.index("--") + 1
        command = arguments[start:]
        for name in self.inputs(command):
            self.provide(name)
        of_torchrun = arguments[:start]
        of_torchrun[of_torchrun.index("--nproc-per-node") + 1] = "2"
        words = [*of_torchrun, *command, *self.made_quick(command)]
        done = subprocess.run(
            [sys.executable, "-m", "torch.distributed.run", "--standalone", *words],
            capture_output=True,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, f"torchrun {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def invoke(self, arguments: list[str]) -> str:
        """Run a command as it is, made quick."""
        result = CliRunner().invoke(main, [*arguments, *self.made_quick(arguments)])
        assert result.exit_code == 0, f"hcl {' '.join(arguments)}\n{result.output}\n{result.exception!r}"
        return result.output

    def once(self, arguments: list[str]) -> str:
        """Run a slow command that writes something new; the second time, copy what the first one wrote."""
        target = Path(self.target(arguments))
        if target.exists():
            return self.invoke(arguments)
        manifests = [path.read_bytes() for path in sorted(Path().glob("**/manifest.csv"))]
        key = (*arguments, *manifests)
        if key not in self.written:
            printed, kept = self.invoke(arguments), self.folder / "kept" / str(len(self.written))
            if target.exists():  # not after a dry run
                shutil.copytree(target, kept)
            self.written[key] = (kept, printed)
        elif self.written[key][0].exists():
            shutil.copytree(self.written[key][0], target)
        return self.written[key][1]

    def target(self, arguments: list[str]) -> str:
        """Name what a command writes."""
        command = main.commands[arguments[0]]
        given = command.make_context(arguments[0], arguments[1:], resilient_parsing=True).params
        names = [str(each.name) for each in command.params if isinstance(each, click.Argument)]
        return str(given[names[TARGETS[arguments[0]]]])

    def inputs(self, arguments: list[str]) -> list[str]:
        """Name what a command reads."""
        command, rest = arguments[0], arguments[1:]
        targets = TARGET_OPTIONS + (("--run",) if command == "train" else ())
        given = [name for name, before in zip(rest, [command, *rest], strict=False) if before not in targets]
        positional = [name.rstrip("/") for name in given if name.rstrip("/") in PREPARED]
        if command in TARGETS:
            positional = [name for name in positional if name != self.target(arguments)]
        default = ["runs/latest"] if command in ("evaluate", "report") else []
        return positional or default

    def provide(self, name: str) -> None:
        """Put an input into the current folder, unless it is there."""
        here, source = Path(name), self.folder / PREPARED[name]
        if here.exists() or not source.exists():  # the latter while the world is being made
            return
        here = here.parent if name in ("videos/manifest.csv", "runs/latest") else here  # these come with their folder
        here.parent.mkdir(parents=True, exist_ok=True)
        if name == "manifest.csv":
            self.provide("videos")
        if source.is_dir():
            shutil.copytree(source, here, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy(source, here)

    def made_quick(self, arguments: list[str]) -> list[str]:
        """Options that make a command quick."""
        extra = dict(QUICK.get(arguments[0], {}))
        if arguments[0] == "extract":
            extra |= {"--weights": self.weights.name}
            extra |= {} if "--text-model" in arguments else {"--no-text": None}
        if "--episodes-file" in arguments:  # which says how many
            extra = {}
        return [part for name, value in extra.items() if name not in arguments for part in (name, value) if part]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, write_video: Callable[..., Path], small_weights: Path) -> World:
    """Ten classes of five or six videos by as many people, a cache and a run."""
    folder = tmp_path_factory.mktemp("world")
    with (folder / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("path", "label", "split", "group"))
        for number, split in enumerate(SPLITS):
            for copy in range(VIDEOS_PER_CLASS[split]):
                name = f"class {number}/{copy}.mp4"
                write_video(folder / "videos" / name, seed=number * 10 + copy)
                table.writerow((f"videos/{name}", f"class {number}", split, f"person {copy}"))
    rows = (folder / "manifest.csv").read_text().replace("videos/", "")
    (folder / "videos" / "manifest.csv").write_text(rows)
    pairs = [f"class {number},{split}" for number, split in enumerate(SPLITS)]
    (folder / "splits.csv").write_text("\n".join(["label,split", *pairs]) + "\n")
    (folder / "names.csv").write_text("label,name\nclass 0,wave a hand\n")
    made = World(folder, small_weights)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        made.enter(folder)
        made.run(["extract", "manifest.csv", "cache.zarr"])
        made.run(["train", "cache.zarr", "--run", "runs/a"])
    return made
