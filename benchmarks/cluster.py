"""Time an extraction on a local Ray cluster against the plain one: the same videos into the same shards.

    python benchmarks/cluster.py VIDEOS [--rounds 2] [--shard-videos 16] [--ray-cpus 0]

Both start afresh each round, in turn, since a machine does not stay equally busy. The rate is of the extraction alone,
from the first video to the last: a cluster and its workers start in some seconds, once, whatever the set. Beside
it stands the whole command. Last the two caches are compared byte by byte.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tabulate import tabulate


def run(videos: Path, cache: Path, options: list[str]) -> tuple[float, float]:
    """Extract; the seconds from the first line of the plan to the end, and those of the whole command."""
    shutil.rmtree(cache, ignore_errors=True)
    command = [sys.executable, "-m", "hcl.cli", "extract", str(videos), str(cache), "--no-text", *options]
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    ) as done:
        started = began
        for line in done.stdout or ():
            if re.match("videos are read with", line):  # logged just before the first video
                started = time.perf_counter()
            if re.match(r"\d+ videos extracted", line):
                ended = time.perf_counter()
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)} failed")
    return ended - started, time.perf_counter() - began


def main() -> None:
    """Run both in turn and print their rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--shard-videos", type=int, default=16)
    parser.add_argument("--ray-cpus", type=int, default=0)
    given = parser.parse_args()
    shards = ["--shard-videos", str(given.shard_videos)]
    modes = {"plain": shards, "--ray local": [*shards, "--ray", "local", "--ray-cpus", str(given.ray_cpus)]}
    best: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        caches = {name: Path(folder) / f"{place}.zarr" for place, name in enumerate(modes)}
        for _ in range(given.rounds):
            for name, options in modes.items():
                found = run(given.videos, caches[name], options)
                print(
                    f"{name}: {found[0]:.1f} s, whole command {found[1]:.1f} s, load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )
                best[name] = min(found, best.get(name, found))
        plain, other = caches.values()
        same = subprocess.run(["diff", "-r", plain, other], check=False).returncode == 0
    rows = [[name, *(f"{value:.1f}" for value in seconds)] for name, seconds in best.items()]
    print(tabulate(rows, ["", "extraction s", "whole command s"]))
    print(
        f"rate of --ray local: {best['plain'][0] / best['--ray local'][0]:.3f} of the plain run's; same bytes: {same}"
    )


if __name__ == "__main__":
    main()
