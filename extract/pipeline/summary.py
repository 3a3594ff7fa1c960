"""What an extraction did, and how the command says it."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hcl.extract.cache.base import DONE, FAILED
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.catalog.benchmarks.coverage import Coverage
from hcl.extract.pipeline.plan import Plan
from hcl.extract.system.console import plain


@dataclass(frozen=True)
class Summary:
    """What an extraction did."""

    plan: Plan
    extracted: int
    failed: tuple[tuple[str, str], ...]  # path and reason, of every failed video of the cache
    duplicates: tuple[tuple[str, ...], ...]  # paths of byte-identical videos
    left_out: tuple[str, ...]  # videos of a later split that an earlier one has, too, see `VideoTable.same_as`
    text_model: str | None
    readers: tuple[tuple[str, int], ...]  # what read the finished videos of the cache, and how many each
    quantisation_error: float | None  # of the cache's maps
    several_classes: tuple[str, ...] = ()  # byte-identical videos that are not of one class, as "a/1.mp4 = b/1.mp4"
    coverage: Coverage | None = None  # of a published benchmark
    missing_list: Path | None = None  # the file that lists what is missing of it
    small: tuple[str, ...] = ()  # its classes of which fewer can be read than was asked for


def summarise(cache: ZarrCache, plan: Plan, missing_list: Path | None = None, *, least: int = 0) -> Summary:
    """Count what the cache holds after an extraction.

    Args:
        cache: as it stands
        plan: of the extraction
        missing_list: the file that was written of what is missing of a benchmark
        least: videos that each of its classes should have
    """
    coverage = cache.coverage
    videos, sources, model = cache.videos, cache.sources, cache.text_model
    failed = np.flatnonzero(sources.status == FAILED)
    return Summary(
        plan=plan,
        extracted=sum(1 for row, _ in plan.pending if sources.status[row] != FAILED),
        failed=tuple((videos.path[row], sources.reason[row]) for row in failed),
        duplicates=tuple(videos.take(rows).path for rows in videos.duplicates()),
        left_out=videos.same_as(cache.left_out),
        text_model=model["model"] if model else None,
        readers=tuple(sorted(Counter(map(str, cache.column("decoder")[sources.status == DONE])).items())),
        quantisation_error=cache.quantisation_error,
        several_classes=tuple(
            " = ".join(videos.take(rows).path) for rows in videos.duplicates() if len(set(videos.take(rows).label)) > 1
        ),
        coverage=coverage,
        missing_list=missing_list,
        small=tuple(f"{name} ({count})" for name, count in coverage.below(least).items()) if coverage else (),
    )


def as_text(summary: Summary) -> str:
    """What the command prints at its end: counts, and every failed or duplicate video by name."""
    plan = summary.plan
    lines = [f"{summary.extracted} videos extracted, {plan.kept} already cached"]
    lines += [f"{path}: its contents changed; it was extracted again" for path in plan.changed]
    lines += [f"{path}: its maps were damaged; they were extracted again" for path in plan.damaged]
    if summary.readers:
        lines.append("read by: " + ", ".join(f"{name} {count}" for name, count in summary.readers))
    if summary.quantisation_error is not None:
        lines.append(f"stored as uint8: mean relative l2 error {summary.quantisation_error:.4f}")
    lines.append(f"class texts: {summary.text_model or 'none (semantic attention will be off)'}")
    lines += plan.catalog.notes()
    if summary.duplicates:
        lines.append("byte-identical videos (an evaluation draws only the first of each):")
        lines += [f"  {' = '.join(paths)}" for paths in summary.duplicates]
    if summary.several_classes:
        lines.append("of them in several classes; correct it by moving or deleting one, then run the same again:")
        lines += [f"  {same}" for same in summary.several_classes]
    if summary.left_out:
        lines.append("in several splits; training and evaluation leave them out of the later one (base, val, novel):")
        lines += [f"  {same}" for same in summary.left_out]
    if summary.failed:
        lines.append(f"{len(summary.failed)} videos failed and were left out:")
        lines += [f"  {path}: {reason}" for path, reason in summary.failed]
    lines += summary.coverage.sentences() if summary.coverage else []
    if summary.small:
        lines.append(f"fewer videos than --min-per-class: {', '.join(summary.small)}")
    if summary.missing_list:
        lines.append(f"each of them by its id: {summary.missing_list}")
    return "\n".join(map(plain, lines))
