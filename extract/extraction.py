"""The pipeline: decode ahead, fill batches across videos, write behind; go on where an earlier run stopped."""

import errno
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hcl.extract.backbone import Backbone, load_backbone
from hcl.extract.cache import Cache
from hcl.extract.config import ExtractConfig
from hcl.extract.decoding import Decoded, Failed, decode_ahead
from hcl.extract.errors import InputError
from hcl.extract.lock import sole_writer
from hcl.extract.plan import Plan, make_plan, split_kind, with_cache_choices
from hcl.extract.progress import progress_bar
from hcl.extract.stored_cache import FAILED, MapRecord
from hcl.extract.text import ClassTexts, embed_texts

VIDEOS_PER_WRITE = 16  # a kill loses at most this many finished videos, which are then read again


@dataclass(frozen=True)
class Summary:
    """What an extraction did."""

    plan: Plan
    extracted: int
    failed: tuple[tuple[str, str], ...]  # path and reason, of every failed video of the cache
    twins: tuple[tuple[str, ...], ...]  # paths of byte-identical videos
    text_model: str | None


def extract(
    videos: Path,
    path: Path,
    config: ExtractConfig,
    *,
    names: Path | None = None,
    repair: bool = False,
    progress: bool = False,
) -> Summary:
    """Write the frame maps of all videos that the cache does not hold yet.

    Args:
        videos: folder of class folders, folder with base/val/novel folders, or CSV manifest
        path: of the cache; made if it is not there
        config: how to read and what to compute
        names: CSV file with label,name: texts of classes
        repair: read all maps back and redo the damaged ones
        progress: show a bar

    Raises:
        InputError: if the videos, the settings or the cache do not allow it; a broken video is no such case
    """
    with sole_writer(path):
        cache = Cache.open(path, mode="r+") if path.exists() else None
        config = with_cache_choices(config, cache) if cache else config
        plan = make_plan(videos, cache, config, names, repair=repair)
        backbone = choose_backbone(config)
        settings = cache_settings(config, backbone, plan)
        if cache is None:
            grid_rows, grid_columns = backbone.identity.grid
            shape = (config.frames, grid_rows * grid_columns, backbone.identity.channels)
            cache = Cache.create(path, settings, shape=shape)
        else:
            refuse_other_settings(cache, settings)
        texts = _texts_for(cache, plan, config)
        _add_classes(cache, plan, texts)
        cache.add_videos(plan.new_videos)
        _run(cache, plan, config, backbone, progress=progress)
    return _summary(cache, plan)


def choose_backbone(config: ExtractConfig) -> Backbone:
    """Load the backbone onto the GPU if there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return load_backbone(config.backbone, config.weights, size=config.size, precision=config.precision, device=device)


def cache_settings(config: ExtractConfig, backbone: Backbone, plan: Plan) -> dict[str, Any]:
    """Everything the maps depend on, as the cache keeps it, and how its folds came about."""
    known = backbone.identity
    return {
        "backbone": known.name,
        "weights": known.weights,
        "weights_sha256": known.sha256,
        "frames": config.frames,
        "size": config.size,
        "grid": list(known.grid),
        "channels": known.channels,
        "precision": str(backbone.dtype).removeprefix("torch."),
        "split": split_kind(plan.catalog, config),
    }


def refuse_other_settings(cache: Cache, settings: dict[str, Any]) -> None:
    """Refuse to mix maps of different settings in one cache."""
    then = cache.settings
    differing = [name for name in settings if name != "split" and settings[name] != then.get(name)]
    if differing:
        listed = "; ".join(f"{name} {then.get(name)} there, {settings[name]} now" for name in differing)
        raise InputError(
            f"{cache.path}: made with other settings: {listed}; use the cache's, or extract into a new cache"
        )


def _texts_for(cache: Cache, plan: Plan, config: ExtractConfig) -> ClassTexts | None:
    """Embed the texts of the new classes by the cache's model; settle that model where there is none yet.

    A cache that was made without embeddings gets them when a text model is named.
    """
    stored, wanted = cache.text_model, config.text_model
    if wanted == "none":
        if stored:
            raise InputError(f"{cache.path}: its texts are embedded by {stored['model']}; leave out --no-text")
        return None
    if cache.class_names and wanted == "auto" and (stored is None or not plan.new_classes):
        return None
    old = () if stored else tuple(cache.class_texts.values())
    found = embed_texts((*old, *(plan.texts[name] for name in plan.new_classes)) or ("",), wanted)
    if stored is None:
        cache.set_text_model(found.embeddings[: len(old)], {"model": found.model, "sha256": found.sha256})
    elif found.sha256 != stored["sha256"]:
        raise InputError(
            f"{cache.path}: its texts are embedded by {stored['model']}, now {found.model} was found;"
            " give the former with --text-model, or extract into a new cache"
        )
    return found


def _add_classes(cache: Cache, plan: Plan, texts: ClassTexts | None) -> None:
    """Append the new classes with their folds, texts and embeddings."""
    if plan.new_classes:
        vectors = texts.embeddings[-len(plan.new_classes) :] if texts else None
        cache.add_classes({name: plan.folds[name] for name in plan.new_classes}, plan.texts, vectors)


def _run(cache: Cache, plan: Plan, config: ExtractConfig, backbone: Backbone, *, progress: bool) -> None:
    """Drive the three stages over all pending videos."""
    decoded = decode_ahead(
        plan.pending,
        frames=config.frames,
        size=config.size,
        decoder=config.decoder,
        workers=config.workers or os.cpu_count() or 1,
    )
    bar = progress_bar(len(plan.pending), "video", "extract", shown=progress)
    with closing(decoded), bar, ThreadPoolExecutor(1) as writer:
        writing: Future[None] | None = None
        for records in _groups(mapped(decoded, backbone, config.batch_frames)):
            _wait(writing, cache)
            writing = writer.submit(cache.write, records)
            bar.update(len(records))
        _wait(writing, cache)


def _wait(writing: "Future[None] | None", cache: Cache) -> None:
    """Wait for the last write and tell what became of it."""
    if writing is None:
        return
    try:
        writing.result()
    except OSError as error:
        remedy = "free some space" if error.errno == errno.ENOSPC else "check the disk"
        raise InputError(
            f"{cache.path}: cannot be written ({error.strerror}); {remedy}, then run again to go on"
        ) from error


def _groups(records: Iterable[MapRecord]) -> Iterator[list[MapRecord]]:
    group: list[MapRecord] = []
    for record in records:
        group.append(record)
        if len(group) == VIDEOS_PER_WRITE:
            yield group
            group = []
    if group:
        yield group


def mapped(decoded: Iterable[Decoded | Failed], backbone: Backbone, batch_frames: int) -> Iterator[MapRecord]:
    """Turn frames into maps in full batches across videos; the last batch is padded.

    The batch size is fixed so that a video's maps do not depend on its neighbours.

    Args:
        decoded: videos in order
        backbone: the frozen network
        batch_frames: frames a call

    Yields:
        one record a video, in order
    """
    waiting: deque[Decoded | Failed] = deque()
    images: list[NDArray[np.uint8]] = []  # frames not yet mapped
    maps: list[NDArray[np.float16]] = []  # (P, C) of frames mapped, not yet given out
    for item in decoded:
        waiting.append(item)
        if isinstance(item, Decoded):
            images.extend(item.images)
        while len(images) >= batch_frames:
            maps.extend(_map_frames(images[:batch_frames], backbone))
            del images[:batch_frames]
        yield from _finished(waiting, maps)
    if images:
        padding = [np.zeros_like(images[0])] * (batch_frames - len(images))
        maps.extend(_map_frames(images + padding, backbone)[: len(images)])
    yield from _finished(waiting, maps)


def _map_frames(images: list[NDArray[np.uint8]], backbone: Backbone) -> NDArray[np.float16]:
    return backbone(torch.from_numpy(np.stack(images))).cpu().numpy()  # type: ignore[no-any-return]


def _finished(waiting: "deque[Decoded | Failed]", maps: list[NDArray[np.float16]]) -> Iterator[MapRecord]:
    """Give out the videos at the head of the queue whose frames are all mapped."""
    while waiting:
        item = waiting[0]
        if isinstance(item, Failed):
            yield MapRecord(item.row, None, content=item.content, reason=item.reason)
        elif len(maps) >= len(item.images):
            found = np.stack(maps[: len(item.images)])  # (T, P, C)
            del maps[: len(item.images)]
            yield MapRecord(item.row, found, item.frame_count, item.decoder, item.content, item.bytes, item.modified_ns)
        else:
            return
        waiting.popleft()


def _summary(cache: Cache, plan: Plan) -> Summary:
    videos = cache.videos
    sources: dict[str, list[str]] = {}
    for path, content in zip(videos.path, videos.content, strict=True):
        if content:
            sources.setdefault(content, []).append(path)
    failed = np.flatnonzero(videos.status == FAILED)
    model = cache.text_model
    return Summary(
        plan=plan,
        extracted=sum(1 for row, _ in plan.pending if videos.status[row] != FAILED),
        failed=tuple((videos.path[row], videos.reason[row]) for row in failed),
        twins=tuple(tuple(paths) for paths in sources.values() if len(paths) > 1),
        text_model=model["model"] if model else None,
    )


def as_text(summary: Summary) -> str:
    """What the command prints: folds, counts, and every failed or doubled video by name."""
    plan = summary.plan
    lines = [*plan.fold_lines(), f"{summary.extracted} videos extracted, {plan.kept} were done before"]
    lines += [f"{path}: its contents changed, read again" for path in plan.changed]
    lines += [f"{path}: its maps were damaged, made again" for path in plan.damaged]
    lines.append(f"class texts: {summary.text_model or 'none (semantic attention will be off)'}")
    if plan.catalog.ignored:
        shown = ", ".join(plan.catalog.ignored[:5]) + (", ..." if len(plan.catalog.ignored) > 5 else "")
        lines.append(f"{len(plan.catalog.ignored)} files are neither videos nor frame folders, ignored: {shown}")
    if summary.twins:
        lines.append("byte-identical videos (an evaluation draws only the first of each):")
        lines += [f"  {' = '.join(paths)}" for paths in summary.twins]
    if summary.failed:
        lines.append(f"{len(summary.failed)} videos failed and were left out:")
        lines += [f"  {path}: {reason}" for path, reason in summary.failed]
    return "\n".join(lines)
