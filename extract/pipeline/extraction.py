"""The pipeline: decode ahead, fill batches across videos, write behind; resume where an earlier run stopped."""

import errno
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

from hcl.extract.backbones.backbone import Backbone
from hcl.extract.cache.layout import MapRecord
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.config import ExtractConfig
from hcl.extract.decoding.pool import decode_ahead
from hcl.extract.decoding.worker import DecodeTask
from hcl.extract.hub.class_texts import ClassTexts, embed_texts
from hcl.extract.pipeline.completeness import list_missing
from hcl.extract.pipeline.inference import map_videos
from hcl.extract.pipeline.plan import Plan
from hcl.extract.pipeline.preparation import prepare
from hcl.extract.pipeline.summary import Summary, summarise
from hcl.extract.system.errors import InputError
from hcl.extract.system.lock import sole_writer
from hcl.extract.system.progress import logger, progress_bar
from hcl.extract.video.reading import decoder_note

VIDEOS_PER_WRITE = 16  # a kill loses at most this many finished videos, which are then read again


def extract(
    videos: str | Path,
    path: str | Path,
    config: ExtractConfig,
    *,
    names: str | Path | None = None,
    repair: bool = False,
    missing_list: str | Path | None = None,
) -> Summary:
    """Write the frame maps of all videos that the cache does not hold yet.

    Args:
        videos: folder of class folders, folder with base/val/novel folders, or CSV manifest
        path: of the cache; made if it is not there
        config: how to read and what to compute
        names: CSV file with label,name: texts of classes
        repair: read all maps back and extract the damaged ones again
        missing_list: CSV file of what is missing of a benchmark; None: one beside the cache, if anything is

    Raises:
        InputError: if the videos, the settings or the cache do not allow it; a broken video is no such case
    """
    videos, path = Path(videos), Path(path)
    with sole_writer(path):
        prepared = prepare(videos, path, config, names=Path(names) if names else None, repair=repair, mode="r+")
        plan, config = prepared.plan, prepared.config
        cache = prepared.cache or ZarrCache.create(
            path, prepared.settings, shape=prepared.maps_shape, views=config.views, dtype=config.cache_dtype
        )
        texts = _texts_for(cache, plan, config)
        with _told_if_unwritable(path):
            if plan.listing and not cache.lists_identity:
                cache.set_benchmark(plan.listing)
            cache.remove_partial_writes(row for row, _ in plan.pending)
            _add_classes(cache, plan, texts)
            cache.add_videos(plan.new_videos)
        for line in (*plan.split_lines(), decoder_note(config.decoder)):
            logger.info(line)
        _run(cache, plan, config, prepared.backbone)
    return summarise(cache, plan, list_missing(cache, plan.listing, missing_list), least=config.min_per_class)


def _texts_for(cache: ZarrCache, plan: Plan, config: ExtractConfig) -> ClassTexts | None:
    """Embed the texts of the new classes by the cache's model; settle that model where there is none yet.

    A cache that was made without embeddings gets them when a text model is named.
    """
    stored, model = cache.text_model, config.text_model
    if model == "none":
        if stored:
            raise InputError(f"{cache.path}: its texts are embedded by {stored['model']}; leave out --no-text")
        return None
    if cache.class_names and model == "auto" and (stored is None or not plan.new_classes):
        return None
    old = () if stored else tuple(cache.class_texts.values())
    embedded = embed_texts((*old, *(plan.texts[name] for name in plan.new_classes)) or ("",), model)
    if stored is None:
        cache.set_text_model(embedded.embeddings[: len(old)], {"model": embedded.model, "sha256": embedded.sha256})
    elif embedded.sha256 != stored["sha256"]:
        raise InputError(
            f"{cache.path}: its texts are embedded by {stored['model']}, now {embedded.model} would be used;"
            " give the former with --text-model, or extract into a new cache"
        )
    return embedded


def _add_classes(cache: ZarrCache, plan: Plan, texts: ClassTexts | None) -> None:
    """Append the new classes with their splits, texts and embeddings."""
    if plan.new_classes:
        vectors = texts.embeddings[-len(plan.new_classes) :] if texts else None
        cache.add_classes({name: plan.splits[name] for name in plan.new_classes}, plan.texts, vectors)


def _run(cache: ZarrCache, plan: Plan, config: ExtractConfig, backbone: Backbone) -> None:
    """Drive the three stages over all pending videos."""
    decoded = decode_ahead(plan.pending, DecodeTask.of(config), workers=config.workers)
    bar = progress_bar(len(plan.pending), "video", "extract")
    with closing(decoded), bar, ThreadPoolExecutor(1) as writer:
        writing: Future[None] | None = None
        for records in _groups(map_videos(decoded, backbone, config.batch_size)):
            _wait(writing, cache.path)
            writing = writer.submit(cache.write, records)
            bar.update(len(records))
        _wait(writing, cache.path)


def _wait(writing: "Future[None] | None", path: Path) -> None:
    """Wait for the last write and tell what became of it."""
    if writing is not None:
        with _told_if_unwritable(path):
            writing.result()


@contextmanager
def _told_if_unwritable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = "free some space" if full else "check the disk"
        raise InputError(f"{path}: cannot be written ({error.strerror}); {remedy}, then run again to resume") from error


def _groups(records: Iterable[MapRecord]) -> Iterator[list[MapRecord]]:
    group: list[MapRecord] = []
    for record in records:
        group.append(record)
        if len(group) == VIDEOS_PER_WRITE:
            yield group
            group = []
    if group:
        yield group
