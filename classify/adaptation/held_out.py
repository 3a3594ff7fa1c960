"""What an encoder recognises of clips that are left out: they are asked for, the others are the supports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hcl.classify.answers.matcher import Matcher, Matching, without_keys
from hcl.classify.embedding.origin import Origin
from hcl.classify.support.support_set import SupportSet, as_stored, concatenated
from hcl.extract.cache.video_table import Rows
from hcl.train.data.map_source import MapSource
from hcl.train.embedding import embedded_batches
from hcl.train.encoders.factory import Encoder


def embedded_clips(encoder: Encoder, source: MapSource, rows: Rows, origin: Origin) -> SupportSet:
    """Embed clips of a cache as `hcl classify` embeds supports.

    Args:
        encoder: on the source's device
        source: of the maps
        rows: (V,) of its cache
        origin: what the embeddings follow from; its views are embedded
    """
    batch = concatenated([*embedded_batches(encoder, source, rows, views=origin.views)])
    text_model = source.cache.text_model if encoder.reads_text else None
    return SupportSet(source.cache.videos.take(rows), ("",) * len(rows), as_stored(batch), origin, text_model)


def recognised(
    clips: SupportSet, matching: Matching, supports: Sequence[int], queries: Sequence[int]
) -> NDArray[np.bool_]:
    """Which of some clips are taken for their class (n,), given others as supports.

    Args:
        clips: all of them
        matching: how pairs are scored
        supports: places of the supports among the clips
        queries: places of the n queries; one whose class has no support is never recognised
    """
    few = clips.take(supports)
    matcher = Matcher(few, matching)
    scores = matcher.class_scores(matcher.score(without_keys(clips.take(queries).batch)))  # (n, N)
    named = [few.class_names[place] for place in scores.argmax(axis=1)]
    return np.array([clips.videos.label[query] == name for query, name in zip(queries, named, strict=True)], dtype=bool)


def parts(labels: Sequence[str], groups: Sequence[str], count: int, seed: int) -> list[Rows]:
    """Part clips so that each part has clips of as many classes as there are; a group, such as a person, stays whole.

    Args:
        labels: (V,) class of each clip
        groups: (V,) "" where unknown: such a clip is a group of its own
        count: of parts, fewer where there are fewer groups or clips of a class
        seed: of the parting

    Returns:
        the places of the clips of each part, ascending
    """
    units: dict[str, list[int]] = {}  # clips that stay together
    for place in np.random.default_rng(seed).permutation(len(labels)).tolist():
        units.setdefault(f"group {groups[place]}" if groups[place] else f"clip {place}", []).append(place)
    count = min(count, len(units), max(Counter(labels).values()))
    held: list[list[int]] = [[] for _ in range(count)]
    for members in sorted(units.values(), key=len, reverse=True):
        of_members = {labels[member] for member in members}
        alike = [sum(labels[place] in of_members for place in part) for part in held]
        emptiest = min(range(count), key=lambda number: (alike[number], len(held[number])))
        held[emptiest].extend(members)
    return [np.array(sorted(part), dtype=np.int64) for part in held if part]
