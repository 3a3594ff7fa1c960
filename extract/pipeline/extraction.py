"""The pipeline: decode ahead, fill batches across videos, write behind; go on where an earlier run stopped."""

import errno
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import torch

from hcl.extract.backbones.backbone import Backbone, load_backbone
from hcl.extract.cache.base import MapRecord
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.class_texts import ClassTexts, embed_texts
from hcl.extract.config import LAYERS, ExtractConfig
from hcl.extract.decoding.ahead import decode_ahead
from hcl.extract.pipeline.inference import mapped
from hcl.extract.pipeline.plan import Plan, make_plan, split_origin, with_cache_choices
from hcl.extract.pipeline.summary import Summary, summarise
from hcl.extract.system.errors import InputError
from hcl.extract.system.lock import sole_writer
from hcl.extract.system.progress import logger, progress_bar
from hcl.extract.video.reading import decoder_note
from hcl.extract.video.views import ViewChoice

# What caches that do not say it are made with.
UNSAID = {
    "backbone_layer": LAYERS[0],
    "compiled": False,
    "cache_dtype": "float16",
    "views": 1,
    "view_seed": None,
    "flip": None,
}
VIDEOS_PER_WRITE = 16  # a kill loses at most this many finished videos, which are then read again
SHOWN_ALONE = ("split_origin", "weights")  # the weights' contents are compared, not the name of their file


def extract(
    videos: Path,
    path: Path,
    config: ExtractConfig,
    *,
    names: Path | None = None,
    repair: bool = False,
) -> Summary:
    """Write the frame maps of all videos that the cache does not hold yet.

    Args:
        videos: folder of class folders, folder with base/val/novel folders, or CSV manifest
        path: of the cache; made if it is not there
        config: how to read and what to compute
        names: CSV file with label,name: texts of classes
        repair: read all maps back and redo the damaged ones

    Raises:
        InputError: if the videos, the settings or the cache do not allow it; a broken video is no such case
    """
    with sole_writer(path):
        cache = ZarrCache.open(path, mode="r+") if path.exists() else None
        config = with_cache_choices(config, cache) if cache else config
        plan = make_plan(videos, cache, config, names, repair=repair)
        backbone = choose_backbone(config)
        settings = cache_settings(config, backbone, plan)
        if cache is None:
            grid_rows, grid_columns = backbone.identity.grid
            shape = (config.frames, grid_rows * grid_columns, backbone.identity.channels)
            cache = ZarrCache.create(path, settings, shape=shape, views=config.views, dtype=config.cache_dtype)
        else:
            refuse_other_settings(cache, settings)
        texts = _texts_for(cache, plan, config)
        with _told_if_unwritable(path):
            cache.remove_partial_writes(row for row, _ in plan.pending)
            _add_classes(cache, plan, texts)
            cache.add_videos(plan.new_videos)
        logger.info("\n".join([*plan.split_lines(), decoder_note(config.decoder)]))
        _run(cache, plan, config, backbone)
    return summarise(cache, plan)


def choose_backbone(config: ExtractConfig) -> Backbone:
    """Load the backbone onto the GPU if there is one.

    Raises:
        InputError: as `load_backbone`, and if it shall be compiled for a CPU
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if config.compile and device.type == "cpu":
        raise InputError("--compile is for a GPU; a CPU runs fused operations without it: leave it out")
    return load_backbone(
        config.backbone,
        config.weights,
        size=config.size,
        precision=config.precision,
        backbone_layer=config.backbone_layer,
        compile_for=config.batch_size if config.compile else 0,
        device=device,
    )


def cache_settings(config: ExtractConfig, backbone: Backbone, plan: Plan) -> dict[str, Any]:
    """Everything the maps depend on, as the cache keeps it, and how its splits came about."""
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
        "split_origin": split_origin(plan.catalog, config),
        **({"backbone_layer": config.backbone_layer} if config.backbone_layer != UNSAID["backbone_layer"] else {}),
        **({"compiled": True} if config.compile else {}),
        **({"cache_dtype": config.cache_dtype} if config.cache_dtype != "float16" else {}),
        **({"views": config.views, "view_seed": config.view_seed, "flip": config.flip} if config.views > 1 else {}),
    }


def refuse_other_settings(cache: ZarrCache, settings: dict[str, Any]) -> None:
    """Refuse to mix maps of different settings in one cache."""
    then, now = UNSAID | cache.settings, UNSAID | settings
    differing = [name for name in then | now if name not in SHOWN_ALONE and now.get(name) != then.get(name)]
    if differing:
        listed = "; ".join(f"{name} {then.get(name)} there, {now.get(name)} now" for name in differing)
        raise InputError(
            f"{cache.path}: made with other settings: {listed}; use the cache's, or extract into a new cache"
        )


def _texts_for(cache: ZarrCache, plan: Plan, config: ExtractConfig) -> ClassTexts | None:
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


def _add_classes(cache: ZarrCache, plan: Plan, texts: ClassTexts | None) -> None:
    """Append the new classes with their splits, texts and embeddings."""
    if plan.new_classes:
        vectors = texts.embeddings[-len(plan.new_classes) :] if texts else None
        cache.add_classes({name: plan.splits[name] for name in plan.new_classes}, plan.texts, vectors)


def _run(cache: ZarrCache, plan: Plan, config: ExtractConfig, backbone: Backbone) -> None:
    """Drive the three stages over all pending videos."""
    decoded = decode_ahead(
        plan.pending,
        frames=config.frames,
        size=config.size,
        decoder=config.decoder,
        workers=config.workers,
        views=ViewChoice.of(config),
    )
    bar = progress_bar(len(plan.pending), "video", "extract")
    with closing(decoded), bar, ThreadPoolExecutor(1) as writer:
        writing: Future[None] | None = None
        for records in _groups(mapped(decoded, backbone, config.batch_size)):
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
        raise InputError(f"{path}: cannot be written ({error.strerror}); {remedy}, then run again to go on") from error


def _groups(records: Iterable[MapRecord]) -> Iterator[list[MapRecord]]:
    group: list[MapRecord] = []
    for record in records:
        group.append(record)
        if len(group) == VIDEOS_PER_WRITE:
            yield group
            group = []
    if group:
        yield group
