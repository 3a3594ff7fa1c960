"""Find the embedding store that the user means: a store, a run, or the latest run."""

import json
import os
from pathlib import Path

from hcl.extract.system.errors import InputError, first_line, misplaced, schema_of, write_errors
from hcl.extract.system.places.location import place_of
from hcl.match.config import BASELINE

RUNS = Path("runs")
LATEST = "latest"  # a link in RUNS to the newest run
STORE = "embeddings.zarr"  # in a run's folder
SET_STORES = "embeddings"  # in its place after a training on several sets: a folder of one store a set


def find_store(path: str | Path | None, method: str | None = None) -> Path:
    """The path of an embedding store.

    Args:
        path: of a run or a store; None: the latest run
        method: of the latest run; None: any

    Raises:
        InputError: if there is none; the message tells how to make one. If there are several, the message names them:
            episodes of two sets are not to be mixed
    """
    if path is None:
        path = latest_run() if method is None else latest_run_of(method)
    path = place_of(path)
    if (path / "zarr.json").is_file():
        return path
    if (path / STORE).is_dir():
        return path / STORE
    if of_sets := set_stores(path):
        if len(of_sets) == 1:
            return of_sets[0]
        raise InputError(f"{path}: a run on several sets; name the store of one: {', '.join(map(str, of_sets))}")
    if schema_of(path) != "hcl-run":
        raise misplaced(path, "hcl-embeddings")
    if (path / "encoder.safetensors").is_file():
        raise InputError(
            f"{path}: a trained run without embeddings, since its cache had no val or novel videos; embed others with:"
            f" hcl embed CACHE --run {path} --out STORE"
        )
    raise InputError(f"{path}: an unfinished run; let it finish with: hcl train CACHE --run {path}")


def set_stores(run: Path) -> list[Path]:
    """The stores of a run on several sets, in the order of the sets' names; none of any other."""
    return sorted(file.parent for file in (run / SET_STORES).glob("*/zarr.json"))


def latest_run() -> Path:
    """The newest run of this folder.

    Raises:
        InputError: if nothing was trained here
    """
    link = RUNS / LATEST
    if link.is_file():  # where links are not allowed, a file holds the name
        return RUNS / link.read_text(encoding="utf-8").strip()
    if not link.exists():
        raise InputError(f"{link}: no run in this folder yet; train one with: hcl train CACHE, or name a run or store")
    return RUNS / os.readlink(link)


def latest_run_of(method: str) -> Path:
    """The newest finished run of a method; any run serves the ImageNet ResNet without training.

    Raises:
        InputError: if there is none
    """
    found = [*RUNS.glob(f"*/{STORE}/zarr.json"), *RUNS.glob(f"*/{SET_STORES}/*/zarr.json")]
    for file in sorted(found, key=lambda file: file.stat().st_mtime, reverse=True):
        try:
            stored = json.loads(file.read_text(encoding="utf-8")).get("attributes", {}).get("method")
        except (OSError, ValueError, AttributeError) as error:
            raise InputError(f"{file}: cannot be read ({first_line(error)}); name the run to evaluate") from error
        if method in (stored, BASELINE):
            run = RUNS / file.relative_to(RUNS).parts[0]
            return latest_run() if run.name == LATEST else run  # by its own name, whichever a folder lists first
    raise InputError(
        f"{RUNS}: no finished run of {method}; train one with: hcl train CACHE --method {method}, or name the run or"
        " store that it shall score"
    )


def mark_latest(run: Path) -> None:
    """Make a run the latest one: the link to it is replaced atomically."""
    with write_errors(RUNS / LATEST, "remove it"):
        RUNS.mkdir(exist_ok=True)
        fresh = RUNS / f".{LATEST}.{os.getpid()}"
        fresh.unlink(missing_ok=True)  # of a killed process, or a link: it is never written through
        target = os.path.relpath(run, RUNS)
        try:
            fresh.symlink_to(target, target_is_directory=True)
        except OSError:
            fresh.write_text(target, encoding="utf-8")
        try:
            os.replace(fresh, RUNS / LATEST)
        except OSError:
            fresh.unlink()
            raise
