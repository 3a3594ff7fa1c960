"""An extraction from its plan to its summary; it resumes where an earlier run stopped."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hcl.extract.backbones.machine import MachineKind, kinds_of, refuse_mixture
from hcl.extract.cache.base import MADE_BY
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.config import ExtractConfig
from hcl.extract.hub.class_texts import ClassTexts, embed_texts
from hcl.extract.pipeline.completeness import list_missing
from hcl.extract.pipeline.engine import Engine, ThisMachine, record_kinds, told_if_unwritable
from hcl.extract.pipeline.plan import Plan
from hcl.extract.pipeline.preparation import prepare
from hcl.extract.pipeline.summary import Summary, summarise
from hcl.extract.system.errors import InputError
from hcl.extract.system.lock import sole_writer
from hcl.extract.system.places.location import place_of
from hcl.extract.system.progress import logger
from hcl.extract.video.reading import decoder_note


def extract(
    videos: str | Path,
    path: str | Path,
    config: ExtractConfig,
    *,
    names: str | Path | None = None,
    repair: bool = False,
    prune: bool = False,
    skip_missing: bool = False,
    missing_list: str | Path | None = None,
    engine: Engine | None = None,
) -> Summary:
    """Write the frame maps of all videos that the cache does not hold yet, and let it say of the others what is so now.

    Videos that were moved or renamed, and classes, splits and groups that differ, are known by the videos' contents:
    nothing is computed for them. A kill leaves either what the cache said before or what it says now.

    Args:
        videos: folder of class folders, folder with base/val/novel folders, or CSV manifest
        path: of the cache; made if it is not there
        config: how to read and what to compute
        names: CSV file with label,name: texts of classes
        repair: read all maps back and extract the damaged ones again
        prune: remove videos of the cache that are not among `videos`
        skip_missing: go without listed videos that are not there
        missing_list: CSV file of what is missing of a benchmark; None: one beside the cache, if anything is
        engine: what computes the maps; None: this machine

    Raises:
        InputError: if the videos, the settings or the cache do not allow it; a broken video is no such case
    """
    videos, path, engine = place_of(videos), place_of(path), engine or ThisMachine()
    with sole_writer(path) as still_held:
        given: dict[str, Any] = {
            "names": Path(names) if names else None,
            "repair": repair,
            "prune": prune,
            "skip_missing": skip_missing,
        }
        prepared = prepare(videos, path, config, engine.load, **given, mode="r+")
        plan, config = prepared.plan, prepared.config
        texts = _texts_for(prepared.cache, plan, config)  # before a cache is made: it may be refused
        cache = prepared.cache or ZarrCache.create(
            path,
            prepared.settings,
            shape=prepared.maps_shape,
            views=config.views,
            dtype=config.cache_dtype,
            embedding=prepared.backbone.identity.embedding,
            shard_videos=config.shard_videos,
        )
        with told_if_unwritable(path):
            if cache.sharding and plan.pending:
                _settle_kinds(cache, engine.kinds(), config)
            _settle_text_model(cache, texts)
            cache.finish_edits()
            if plan.listing and not cache.lists_identity:
                cache.set_benchmark(plan.listing)
            _add_classes(cache, plan, texts)
            _edit(cache, plan, prepared.settings)
            cache.add_videos(plan.new_videos)
            cache.remove_partial_writes(row for row, _ in plan.pending)
        for line in (*plan.changes, *plan.split_lines(), decoder_note(config.decoder)):
            logger.info(line)
        engine.run(cache, plan, config, still_held)
    return summarise(cache, plan, list_missing(cache, plan.listing, missing_list), least=config.min_per_class)


def _texts_for(cache: ZarrCache | None, plan: Plan, config: ExtractConfig) -> ClassTexts | None:
    """Embed the texts of the new classes by the cache's model, and those of all where the cache has no model yet.

    Raises:
        InputError: if there is no such model, or it is another one than the cache's
    """
    stored, model = cache.text_model if cache else None, config.text_model
    if model == "none":
        if cache and stored:
            raise InputError(f"{cache.path}: its texts are embedded by {stored['model']}; leave out --no-text")
        return None
    if cache and cache.class_names and model == "auto" and (stored is None or not plan.new_classes):
        return None
    old = () if stored or cache is None else tuple(cache.class_texts.values())
    embedded = embed_texts((*old, *(plan.texts[name] for name in plan.new_classes)) or ("",), model)
    if cache and stored and embedded.sha256 != stored["sha256"]:
        raise InputError(
            f"{cache.path}: its texts are embedded by {stored['model']}, now {embedded.model} would be used;"
            " give the former with --text-model, or extract into a new cache"
        )
    return embedded


def _settle_text_model(cache: ZarrCache, texts: ClassTexts | None) -> None:
    """Keep the model that embedded the texts, and the embeddings of the classes that are there, unless there is one.

    A cache that was made without embeddings gets them when a text model is named.
    """
    if texts is not None and cache.text_model is None:
        of_old = texts.embeddings[: len(cache.class_names)]
        cache.set_text_model(of_old, {"model": texts.model, "sha256": texts.sha256})


def _add_classes(cache: ZarrCache, plan: Plan, texts: ClassTexts | None) -> None:
    """Append the new classes with their splits, texts and embeddings."""
    if plan.new_classes:
        vectors = texts.embeddings[-len(plan.new_classes) :] if texts else None
        cache.add_classes({name: plan.splits[name] for name in plan.new_classes}, plan.texts, vectors)


def _edit(cache: ZarrCache, plan: Plan, settings: Mapping[str, Any]) -> None:
    """Let the cache say what is so now of the videos and classes that it has."""
    if plan.edits:
        origin = {"split_origin": settings["split_origin"]} if plan.edits.splits else {}
        cache.edit(plan.edits, cache.settings | origin)


def _settle_kinds(cache: ZarrCache, kinds: Sequence[MachineKind], config: ExtractConfig) -> None:
    """Keep which kinds of machines computed the maps of a cache in shards.

    Raises:
        InputError: if there are others than before, and they are not to be mixed
    """
    before = kinds_of(cache.attributes, MADE_BY)
    if others := [kind for kind in kinds if kind not in before] if before else list(kinds[1:]):
        first = before[0] if before else kinds[0]
        refuse_mixture(str(cache.path), first.differences(others[0], here="there", there="now"), mixed=config.mixed)
    record_kinds(cache, kinds)
