"""What a cache, a run or an embedding store holds, and whether all of it can be read back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hcl.extract.cache.base import DONE, FAILED, SCHEMA
from hcl.extract.cache.formats import is_hdf5, open_cache
from hcl.extract.cache.video_table import left_out_text
from hcl.extract.catalog.benchmarks.coverage import Coverage
from hcl.extract.catalog.splits import SplitCounts, count_splits, split_lines
from hcl.extract.catalog.videos import UNLABELLED
from hcl.extract.system.console import plain
from hcl.extract.system.errors import InputError, what_stands_at
from hcl.extract.system.places.failures import BucketError
from hcl.extract.system.places.location import place_of
from hcl.extract.system.progress import progress_bar
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.locate import STORE, set_stores
from hcl.train.runs.run_folder import CONFIG, RunConfig, is_finished, load_encoder, read_config
from hcl.train.runs.tracking.metrics_log import metrics_so_far

LAST_EPOCH = "last epoch"  # the fact whose value is a line of a run's metrics


@dataclass(frozen=True)
class Description:
    """What stands at a path; printed as lines, or taken as plain types by `to_dict`."""

    path: str
    kind: str  # "cache", "run" or "embedding store"
    facts: dict[str, Any]  # JSON types
    splits: SplitCounts  # of the videos; empty for a run, whose store has them
    failed: dict[str, str]  # videos without maps and the reason
    damaged: tuple[str, ...] | None = None  # what cannot be read back; None: not verified
    left_out: tuple[str, ...] = ()  # videos that an earlier split has, too, see `VideoTable.same_as`
    coverage: Coverage | None = None  # how much of a published benchmark it holds
    store: Description | None = None  # of a finished run
    set_stores: tuple[Description, ...] = ()  # in its place, of a finished run on several sets

    @property
    def all_damaged(self) -> tuple[str, ...]:
        """What cannot be read back, here or in the store of a run."""
        return (self.damaged or ()) + tuple(name for store in self._stores for name in store.all_damaged)

    @property
    def _stores(self) -> tuple[Description, ...]:
        return (self.store,) if self.store else self.set_stores

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        return asdict(self)

    def lines(self) -> list[str]:
        """One fact a line, without the outcome of the verification."""
        return [
            f"{self.path}: {self.kind}",
            *(f"{name}: {_shown(name, value)}" for name, value in self.facts.items()),
            *split_lines(self.splits),
            *(f"failed: {video}: {reason}" for video, reason in self.failed.items()),
            *([left_out_text(self.left_out)] if self.left_out else []),
            *(self.coverage.sentences() if self.coverage else []),
            *(line for store in self._stores for line in store.lines()),
        ]

    def __str__(self) -> str:
        verified = [f"damaged: {name}" for name in self.all_damaged] or ["verified: everything can be read"]
        return "\n".join(map(plain, [*self.lines(), *(verified if self.damaged is not None else [])]))


def _shown(name: str, value: Any) -> str:
    """A fact in words."""
    if name == LAST_EPOCH and value:
        return _epoch_in_words(value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items()) or "none"
    return "none" if value is None else str(value)


def _epoch_in_words(metrics: dict[str, Any]) -> str:
    """Where an epoch ended and what it reached: its loss and validation, then the parts of the loss."""
    terms, validation = dict(metrics["terms"]), metrics["validation"]
    outcome = [f"loss {terms.pop('total'):.3f}"]
    by_set = ", ".join(f"{name} {accuracy:.1f} %" for name, accuracy in metrics.get("validation_by_set", {}).items())
    outcome += [] if validation is None else [f"validation {validation:.1f} %" + (f" ({by_set})" if by_set else "")]
    outcome += ["best"] if metrics["best"] else []
    parts = [f"{name} {value:.3f}" for name, value in terms.items()]
    told = "; ".join(", ".join(group) for group in (outcome, parts) if group)
    return f"{metrics['epoch']} (step {metrics['step']}): {told}"


def describe(path: str | Path, *, verify: bool = False) -> Description:
    """Describe the cache, run or embedding store at a path.

    Args:
        path: of any of them
        verify: read everything back

    Raises:
        InputError: if it is none of these, or cannot be opened at all
    """
    path = place_of(path)
    if (path / CONFIG).is_file():
        return _describe_run(path, verify)
    return _describe_cache(path, verify) if _is_cache(path) else _describe_store(path, verify)


def _is_cache(path: Path) -> bool:
    if is_hdf5(path):
        return True
    if path.exists() and not (path / "zarr.json").is_file():
        raise InputError(f"{path}: {what_stands_at(path)}; expected a cache, a run or an embedding store")
    return path.exists() and f'"{SCHEMA}"' in (path / "zarr.json").read_text(encoding="utf-8", errors="replace")


def _describe_cache(path: Path, verify: bool) -> Description:
    cache = open_cache(path)
    videos, status, reasons = cache.videos, cache.sources.status, cache.sources.reason
    done, failed = int((status == DONE).sum()), int((status == FAILED).sum())
    rounding, model = cache.quantisation_error, cache.text_model
    facts = {
        "videos": {"total": len(videos), "done": done, "failed": failed, "pending": len(videos) - done - failed},
        "maps": str(cache.layout) + ("" if rounding is None else f", mean relative l2 error {rounding:.4f}"),
        **({"shards": f"{cache.shard_videos} videos a file"} if cache.shard_videos else {}),
        "settings": cache.settings,
        "class texts": model["model"] if model else None,
        **({"unlabelled": f"{count} videos, for hcl embed alone"} if (count := videos.label.count(UNLABELLED)) else {}),
    }
    failures = {videos.path[row]: reasons[row] for row in np.flatnonzero(status == FAILED)}
    damaged = None
    if verify:
        for name in cache.column_names:  # damage there is an error: nothing can be made of the cache
            cache.column(name)
        damaged = tuple(videos.path[row] for row in _each(cache.rows().tolist()) if not cache.intact(row))
    counts, same = count_splits(videos.label, videos.split), videos.same_as(cache.left_out)
    return Description(str(path), "cache", facts, counts, failures, damaged, same, cache.coverage)


def _describe_store(path: Path, verify: bool) -> Description:
    store = EmbeddingStore.open(path)
    facts = {
        "videos": len(store.videos),
        "method": store.method,
        "arrays": ", ".join(store.names),
        "origin": store.attributes.get("origin", {}),
    }
    damaged = None
    if verify:
        damaged = tuple(_damage_of(store))
    counts = count_splits(store.videos.label, store.videos.split)
    return Description(str(path), "embedding store", facts, counts, {}, damaged, store.left_out(), store.coverage)


def _damage_of(store: EmbeddingStore) -> Iterator[str]:
    """The videos whose arrays cannot be read back, with the reason; and whether all together are those written."""
    try:
        identity, is_whole = store.new_identity(), True
    except InputError as error:
        yield str(error)
        return
    for row in _each(range(len(store.videos))):
        try:
            for name, array in store.arrays(store.names, np.array([row])).items():
                identity.add(name, array.numpy())
        except BucketError:
            raise
        except InputError as error:
            is_whole = False
            yield f"{store.videos.path[row]} ({error})"
    if is_whole and identity.hexdigest() != store.identity:
        yield f"{store.path} (its arrays are not those that were written: the identity differs)"


def _describe_run(path: Path, verify: bool) -> Description:
    config = read_config(path)
    finished, of_sets = is_finished(path), set_stores(path)
    facts = {
        "preset": config.training.preset,
        "method": config.training.method,
        **({"caches": config.cache["paths"]} if "paths" in config.cache else {"cache": config.cache["path"]}),
        "encoder": _encoder(config),
        "base classes": len(config.base_classes),
        "class texts": config.text_model["model"] if config.text_model else None,
        LAST_EPOCH: _last_epoch(path),
        "state": "finished" if finished else "unfinished: no embedding store yet",
    }
    if verify:
        load_encoder(path)
    store = _describe_store(path / STORE, verify) if finished and not of_sets else None
    stores = tuple(_describe_store(store, verify) for store in of_sets)
    verified = () if verify else None
    return Description(str(path), "run", facts, {}, {}, verified, store=store, set_stores=stores)


def _encoder(config: RunConfig) -> str | None:
    """The size of an encoder in words."""
    training = config.training
    if training.method == "resnet":
        return None
    layer4 = ", layer 4 finetuned" if training.finetune == "layer4" else ""
    layer4 = ", layer 4 skipped" if training.skip_layer4 else layer4
    return f"D = {training.dim}, {training.depth} transformer blocks{layer4}"


def _last_epoch(run: Path) -> dict[str, Any] | None:
    """The metrics of the last epoch; None before there are any."""
    return next(reversed(metrics_so_far(run)), None)


def _each(rows: Iterable[int]) -> Iterator[int]:
    """Give out rows while a bar shows how many are done."""
    rows = list(rows)
    with progress_bar(len(rows), "video", "verify") as bar:
        for row in rows:
            yield row
            bar.update()
