"""What a cache, a run or an embedding store holds, in words; and whether all of it can be read back."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from hcl.extract.cache.base import DONE, FAILED, SCHEMA
from hcl.extract.cache.opening import is_hdf5, open_cache
from hcl.extract.config import SPLITS
from hcl.extract.system.errors import InputError
from hcl.extract.system.progress import progress_bar
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.locate import STORE
from hcl.train.runs.run_folder import CONFIG, METRICS, load_encoder, read_config


def describe(path: Path, *, verify: bool = False) -> tuple[str, tuple[str, ...]]:
    """Describe what stands at a path.

    Args:
        path: of a cache, a run or an embedding store
        verify: read everything back

    Returns:
        the text, and the names of what is damaged

    Raises:
        InputError: if it is none of these, or cannot be opened at all
    """
    if (path / CONFIG).is_file():
        text, damaged = _describe_run(path, verify)
    elif _is_cache(path):
        text, damaged = _describe_cache(path, verify)
    else:
        text, damaged = _describe_store(path, verify)
    if verify:
        verdict = [f"damaged: {name}" for name in damaged] or ["verified: everything can be read"]
        text = "\n".join([text, *verdict])
    return text, tuple(damaged)


def _is_cache(path: Path) -> bool:
    if is_hdf5(path):
        return True
    if path.exists() and not (path / "zarr.json").is_file():
        raise InputError(f"{path}: neither a cache nor a run nor an embedding store")
    return path.exists() and f'"{SCHEMA}"' in (path / "zarr.json").read_text(encoding="utf-8", errors="replace")


def _describe_cache(path: Path, verify: bool) -> tuple[str, list[str]]:
    cache = open_cache(path)
    videos, sources, model = cache.videos, cache.sources, cache.text_model
    done, failed = int((sources.status == DONE).sum()), int((sources.status == FAILED).sum())
    rounded = cache.quantisation_error
    error = "" if rounded is None else f", mean relative l2 error {rounded:.4f}"
    lines = [
        f"{path}: cache of {len(videos)} videos: {done} done, {failed} failed, {len(videos) - done - failed} pending",
        f"maps: {cache.layout}{error}",
        "settings: " + ", ".join(f"{name} {value}" for name, value in cache.settings.items()),
        f"class texts: {model['model'] if model else 'none'}",
        *_split_lines(videos.label, videos.split),
        *(f"failed: {videos.path[row]}: {sources.reason[row]}" for row in np.flatnonzero(sources.status == FAILED)),
    ]
    damaged = []
    for row in _shown(cache.rows().tolist() if verify else []):
        if not cache.intact(row):
            damaged.append(videos.path[row])
    return "\n".join(lines), damaged


def _describe_store(path: Path, verify: bool) -> tuple[str, list[str]]:
    store = EmbeddingStore.open(path)
    origin = store.attributes.get("origin", {})
    lines = [
        f"{path}: embedding store of {len(store.videos)} videos for method {store.method}",
        f"arrays: {', '.join(store.names)}",
        "origin: " + ", ".join(f"{name} {value}" for name, value in origin.items()),
        *_split_lines(store.videos.label, store.videos.split),
    ]
    damaged = []
    for row in _shown(range(len(store.videos)) if verify else []):
        try:
            store.arrays(store.names, np.array([row]))
        except InputError as error:
            damaged.append(f"{store.videos.path[row]} ({error})")
    return "\n".join(lines), damaged


def _describe_run(path: Path, verify: bool) -> tuple[str, list[str]]:
    config = read_config(path)
    training = config.training
    metrics = path / METRICS
    size = "none" if training.method == "resnet" else f"D = {training.dim}, {training.depth} transformer blocks"
    size += ", layer 4 tuned" if training.finetune == "layer4" else ", layer 4 skipped" if training.skip_layer4 else ""
    lines = [
        f"{path}: run of the {training.preset} preset on {config.cache['path']}, method {training.method}",
        f"encoder: {size}, {len(config.base_classes)} base classes",
        f"class texts: {config.text_model['model'] if config.text_model else 'none'}",
    ]
    if metrics.is_file():
        lines.append(f"last metrics: {metrics.read_text(encoding='utf-8').splitlines()[-1]}")
    damaged: list[str] = []
    if verify:
        load_encoder(path)
    if (path / STORE).is_dir():
        text, damaged = _describe_store(path / STORE, verify)
        lines.append(text)
    else:
        lines.append("unfinished: no embedding store yet")
    return "\n".join(lines), damaged


def _shown(rows: Iterable[int]) -> Iterator[int]:
    listed = list(rows)
    with progress_bar(len(listed), "video", "verify") as bar:
        for row in listed:
            yield row
            bar.update()


def _split_lines(labels: tuple[str, ...], splits: tuple[str, ...]) -> list[str]:
    """One line a split: its classes with their number of videos."""
    lines = []
    for split in SPLITS:
        inside = [label for label, found in zip(labels, splits, strict=True) if found == split]
        counts = ", ".join(f"{name} ({inside.count(name)})" for name in sorted(set(inside)))
        lines.append(f"{split:>5}: {len(set(inside))} classes, {len(inside)} videos{': ' if inside else ''}{counts}")
    return lines
