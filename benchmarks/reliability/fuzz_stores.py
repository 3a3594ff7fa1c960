"""Harm the stores at random and see that no command gives another result, or ends otherwise than in one line.

    python benchmarks/reliability/fuzz_stores.py --cases 160

Caches in both formats, runs, checkpoints, embedding stores, score caches and episode files are made of drawn maps. Each
case takes a fresh copy of one of them, deletes or cuts one of its files or flips some bytes in it, by a seeded draw,
and runs the commands that read it. A case is right if each command says what it said of the unharmed copy, or ends with
an exit code other than 0 and one line.
"""

import argparse
import hashlib
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from hcl.cli import main as hcl
from hcl.extract.cache.formats import convert
from hcl.extract.cache.layout import MapRecord
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.catalog.videos import Video
from hcl.extract.decoding.source import Source
from hcl.match.store.embedding_store import EmbeddingStore

SPLITS = {"a": "base", "b": "base", "c": "base", "d": "val", "e": "val", "f": "novel", "g": "novel", "h": "novel"}
TINY = "--dim 16 --heads 2 --mlp-dim 16 --epochs 2 --steps-per-epoch 3 --val-episodes 10 --device cpu --tracker none"
EVALUATE = "evaluate store.zarr --way 3 --episodes 20"
HARMS = ("delete", "truncate", "flip")


@dataclass(frozen=True)
class Target:
    """What is harmed, and how it is read."""

    name: str  # of the file or folder
    commands: tuple[str, ...]
    outcome: Callable[[Path], str] = lambda folder: ""  # what the commands made


def embedded(folder: Path) -> str:
    """The identity of the store that was written."""
    return EmbeddingStore.open(folder / "out.zarr").identity if (folder / "out.zarr").exists() else ""


def trained(folder: Path) -> str:
    """The hash of the weights that were learned."""
    weights = folder / "stopped" / "encoder.safetensors"
    return hashlib.sha256(weights.read_bytes()).hexdigest() if weights.exists() else ""


TARGETS = {
    "Zarr cache": Target(
        "cache.zarr", ("info cache.zarr --verify", "embed cache.zarr --untrained --out out.zarr"), embedded
    ),
    "HDF5 cache": Target("cache.h5", ("info cache.h5 --verify", "embed cache.h5 --untrained --out out.zarr"), embedded),
    "run": Target(
        "run", ("info run", "embed cache.zarr --run run --out out.zarr", "evaluate run --way 3 --episodes 20"), embedded
    ),
    "checkpoint": Target("stopped/checkpoint.pt", ("train cache.zarr --run stopped",), trained),
    "embedding store": Target("store.zarr", (EVALUATE, "info store.zarr --verify")),
    "score cache": Target("scores.zarr", (f"{EVALUATE} --score-cache scores.zarr",)),
    "episode file": Target("episodes.json", ("evaluate store.zarr --episodes-file episodes.json",)),
}


def command(line: str) -> tuple[int, str, str, BaseException | None]:
    """Run a command of hcl in this process: exit code, output, errors, and what it raised."""
    result = CliRunner().invoke(hcl, line.split())
    raised = None if isinstance(result.exception, SystemExit) else result.exception
    return result.exit_code, result.stdout, result.stderr, raised


def expect(line: str) -> None:
    code, output, errors, raised = command(line)
    if code:
        raise RuntimeError(f"hcl {line}: {output}{errors}{raised}")


def make_inputs() -> None:
    """Everything that is harmed, in the working folder."""
    settings = {
        "backbone": "resnet50-v1",
        "weights_sha256": "w",
        "frames": 4,
        "size": 64,
        "grid": [2, 2],
        "channels": 12,
    }
    cache = ZarrCache.create(Path("cache.zarr"), settings | {"split_origin": "given"}, shape=(4, 4, 12))
    rng = np.random.default_rng(0)
    cache.set_text_model(np.zeros((0, 5), np.float32), {"model": "small bert", "sha256": "abc"})
    cache.add_classes(SPLITS, {name: name for name in SPLITS}, rng.normal(size=(len(SPLITS), 5)).astype(np.float32))
    names = [(f"{name}/{copy}.mp4", name, f"p{copy}") for name in SPLITS for copy in range(4)]
    cache.add_videos([Video(path, Path("x"), label, group=group) for path, label, group in names])
    signal = {name: rng.normal(size=12) for name in SPLITS}
    drawn = [(signal[label] + rng.normal(size=(4, 4, 12))).astype(np.float16) for _, label, _ in names]
    cache.write([MapRecord(row, maps, 9, "pyav", Source(f"h{row}", 1, 2)) for row, maps in enumerate(drawn)])
    convert("cache.zarr", "cache.h5")
    expect(f"train cache.zarr --run run {TINY}")
    expect("embed cache.zarr --run run --out store.zarr")
    expect(f"{EVALUATE} --score-cache scores.zarr --save-episodes episodes.json")
    shutil.copytree("run", "stopped")  # as a kill before the last write leaves it
    shutil.rmtree("stopped/embeddings.zarr")
    Path("stopped/encoder.safetensors").unlink()
    Path("stopped/SHA256SUMS").unlink(missing_ok=True)


def harm(target: Path, rng: np.random.Generator) -> str:
    """Harm one file in some way, and say how."""
    files = sorted(file for file in target.rglob("*") if file.is_file()) if target.is_dir() else [target]
    file, kind = files[rng.integers(len(files))], HARMS[rng.integers(len(HARMS))]
    content = bytearray(file.read_bytes())
    if kind == "delete" or not content:
        file.unlink()
    elif kind == "truncate":
        file.write_bytes(content[: rng.integers(len(content))])
    else:
        for place in rng.integers(len(content), size=rng.integers(1, 4)):
            content[place] ^= int(rng.integers(1, 256))
        file.write_bytes(content)
    return f"{kind} {file}"


def outcomes(target: Target) -> Iterator[tuple[int, str, str, BaseException | None, str]]:
    """What each command says, and what all of them made."""
    for line in target.commands:
        yield (*command(line), line)
    yield 0, target.outcome(Path()), "", None, "what was made"


def lines_of(errors: str) -> list[str]:
    """The lines of standard error without those of progress bars."""
    return [line for line in re.split("[\r\n]", errors) if line.strip() and "%|" not in line]


def judge(target: Target, expected: list[str]) -> tuple[str, str]:
    """How a harmed copy was taken: "named", "same" or "WRONG", with the reason of the latter."""
    verdict = "same"
    for (code, output, errors, raised, line), before in zip(outcomes(target), expected, strict=True):
        if raised is not None:
            return "WRONG", f"hcl {line}: {type(raised).__name__}: {raised}"
        if code:
            verdict = "named"
            if len(lines_of(errors)) > 1 or not (errors or output):
                return "WRONG", f"hcl {line}: exit {code} and not one line: {errors or output}"
        elif output != before and not (line == "what was made" and not output):
            return "WRONG", f"hcl {line}: exit 0 and another result"
    return verdict, ""


def fuzz(pristine: Path, cases: int, seed: int) -> Counter[tuple[str, str]]:
    """Count the verdicts of some cases, taken in turn from all kinds."""
    counts: Counter[tuple[str, str]] = Counter()
    expected: dict[str, list[str]] = {}
    work = pristine.parent / "work"
    for case in range(-len(TARGETS), cases):  # the first ones are unharmed
        kind = list(TARGETS)[case % len(TARGETS)]
        shutil.copytree(pristine, work, symlinks=True)
        with chdir(work):
            if case < 0:
                expected[kind] = [output for _, output, *_ in outcomes(TARGETS[kind])]
            else:
                harmed = harm(Path(TARGETS[kind].name), np.random.default_rng([seed, case]))
                verdict, reason = judge(TARGETS[kind], expected[kind])
                counts[kind, verdict] += 1
                if verdict == "WRONG":
                    print(f"case {case}: {harmed}: {reason}", flush=True)
        shutil.rmtree(work)
    return counts


def main() -> None:
    """Print a table of counts; exit code 1 if any case is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=160)
    parser.add_argument("--seed", type=int, default=0)
    given, start = parser.parse_args(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        pristine = Path(folder, "pristine")
        pristine.mkdir()
        with chdir(pristine):
            make_inputs()
        counts = fuzz(pristine, given.cases, given.seed)
    print("| store | cases | named, exit code not 0 | same result | wrong |\n|---|---|---|---|---|")
    for kind in TARGETS:
        named, same, wrong = (counts[kind, verdict] for verdict in ("named", "same", "WRONG"))
        print(f"| {kind} | {named + same + wrong} | {named} | {same} | {wrong} |")
    print(f"{sum(counts.values())} cases, {time.perf_counter() - start:.0f} s")
    sys.exit(any(verdict == "WRONG" for _, verdict in counts))


if __name__ == "__main__":
    main()
