"""What the commands call: open or make the support set, classify queries, and write what is said of them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hcl.classify.answers.answer import Answer
from hcl.classify.answers.answering import Answerer
from hcl.classify.answers.matcher import Matching
from hcl.classify.config import ClassifyConfig
from hcl.classify.embedding.embedder import VideoEmbedder
from hcl.classify.embedding.videos import BrokenVideo
from hcl.classify.support.embedding import embed_supports, labelled_videos
from hcl.classify.support.store import SCHEMA, change_support, is_support_set, read_support, write_support
from hcl.classify.support.support_set import SupportSet
from hcl.extract.config import ExtractConfig
from hcl.extract.system.atomic import atomic_file, names_url
from hcl.extract.system.console import csv_cell, plain
from hcl.extract.system.errors import InputError, schema_of, write_errors
from hcl.extract.system.places.zarr_groups import open_group
from hcl.extract.system.progress import logger

SHOWN_SUPPORTS = 3  # that decided, in a table
COLUMNS = ("query", "label", "probability", "confidence", "class", "rank", "score", "paper_sum", "supports", "error")


@dataclass(frozen=True)
class Indexed:
    """A support set that was written."""

    path: Path
    support: SupportSet
    broken: tuple[BrokenVideo, ...] = ()

    def __str__(self) -> str:
        lines = [plain(f"{self.path}: {describe_support(self.support, 'videos')}")]
        lines += broken_lines(self.broken)
        return "\n".join([*lines, f"next: hcl classify VIDEO... --support {self.path}"])


def describe_support(support: SupportSet, noun: str) -> str:
    """Count the videos, and those of each class."""
    sizes = ", ".join(f"{name} ({count})" for name, count in support.sizes.items())
    return f"{len(support)} {noun} of {len(support.class_names)} classes: {sizes}"


def broken_lines(broken: Sequence[BrokenVideo]) -> list[str]:
    """Name the videos that could not be read."""
    lines = [f"{len(broken)} videos could not be read and were left out:"] if broken else []
    return lines + [plain(f"  {video.name}: {video.reason}") for video in broken]


def load_embedder(run: Path | None, config: ClassifyConfig, support: SupportSet | None = None) -> VideoEmbedder:
    """Load what embeds queries as the supports are, or supports as the run says.

    Raises:
        InputError: if the run of the support set is not there, or is not the one that is named
    """
    extraction = ExtractConfig(workers=config.workers)
    if support is None:
        return VideoEmbedder.load(run, extraction=extraction, test_views=config.test_views, device=config.device)
    origin, views = support.origin, config.test_views
    if run is None and names_url(origin.run):  # no file makes the program open a connection
        raise InputError(f"the run of the support set is {origin.run}; open it with: --run {origin.run}")
    named = run or (Path(origin.run) if origin.run else None)
    if run is None and named is not None and not named.is_dir():
        raise InputError(f"{named}: the run of the support set is not there; name it with --run, wherever it is now")
    embedder = VideoEmbedder.load(
        named,
        settings=None if named else origin.settings,
        extraction=extraction,
        test_views=origin.views if views is None else views,
        device=config.device,
    )
    origin.refuse_other(embedder.origin, "support set")
    return embedder


def index_supports(
    support: Path | None, out: Path, run: Path | None, config: ClassifyConfig, *, add: bool, remove: Sequence[str]
) -> Indexed:
    """Write a support set, add videos to one, or remove some from it.

    Args:
        support: folder of class folders or CSV manifest; None: nothing is added
        out: the support set
        run: whose encoder embeds; None: untrained, or that of the set that is added to
        config: text model, views, device and workers count
        add: keep what `out` holds
        remove: classes, or videos by path, that are removed from what `out` holds

    Raises:
        InputError: if videos, run or support set cannot be used
    """
    changes = add or bool(remove)
    if support is None and not remove:
        raise InputError("nothing to index: name a folder of class folders or a CSV file, or what to --remove")
    if support is not None and schema_of(support) == SCHEMA:
        raise InputError(f"{support}: a support set already; classify by it with: hcl classify --support {support}")
    if out.exists() and not changes:
        open_group(out, SCHEMA, None)  # refuses what is something else before videos are embedded
    embedded, stored = None, read_support(out) if changes else None
    if support is not None:
        given = labelled_videos(support)  # first: it is quickly refused
        with load_embedder(run, config, stored) as embedder:
            embedded = embed_supports(embedder, given, config.text_model)
    if not changes and embedded is not None:
        write_support(out, embedded.support)
        return Indexed(out, embedded.support, embedded.broken)

    def change(stored: SupportSet) -> SupportSet:
        for name in remove:
            stored = stored.without(name)
        return stored if embedded is None else stored.joined(embedded.support)

    return Indexed(out, change_support(out, change), embedded.broken if embedded else ())


@dataclass(frozen=True)
class Session:
    """All that answers queries, and which supports could not be read."""

    answerer: Answerer
    broken: tuple[BrokenVideo, ...] = ()

    def about(self) -> list[str]:
        """What a person should know of the answers."""
        confidence, support = self.answerer.confidence, self.answerer.support
        lines = [plain(describe_support(support, "supports")), *broken_lines(self.broken)]
        lines.append(f"probabilities calibrated on {confidence.calibrated_on}")
        if confidence.threshold is not None:
            lines.append(f"none of these: confidence up to {confidence.threshold:.3g}, by {confidence.rejection_on}")
        return lines


def open_session(support: Path, run: Path | None, config: ClassifyConfig) -> Session:
    """Load the run and the supports: a support set, or videos that are embedded now.

    Raises:
        InputError: if any of it cannot be used
    """
    broken: tuple[BrokenVideo, ...] = ()
    if is_support_set(support):
        stored = read_support(support)
        embedder = load_embedder(run, config, stored)
    else:
        given = labelled_videos(support)
        embedder = load_embedder(run, config)
        with closed_on_error(embedder):
            embedded = embed_supports(embedder, given, config.text_model)
        stored, broken = embedded.support, embedded.broken
    if stored.text_model is None and embedder.run is not None and embedder.run.config.text_model is not None:
        logger.warning("the supports have no class texts: semantic attention is off, against the run's training")
    with closed_on_error(embedder):
        matching = Matching.of_run(embedder.run)
        return Session(Answerer(stored, matching, embedder, run=embedder.run, reject=config.reject), broken)


@contextmanager
def closed_on_error(embedder: VideoEmbedder) -> Iterator[None]:
    """Let no decoding process wait for videos that will not come."""
    try:
        yield
    except BaseException:
        embedder.close()
        raise


def table_rows(answers: Iterable[Answer], top: int) -> Iterator[dict[str, object]]:
    """One row for each ranked class of each query; one for a broken query."""
    for answer in answers:
        if answer.is_broken:
            yield {"query": answer.query, "error": answer.reason}
        for rank, each in enumerate(answer.ranked[:top], start=1):
            yield {
                "query": answer.query,
                "label": answer.label,
                "confidence": answer.confidence,
                "rank": rank,
                "class": each.label,
                "probability": each.probability,
                "score": each.score,
                "paper_sum": each.paper_sum,
                **each.levels,
                "supports": "; ".join(path for path, _ in each.supports[:SHOWN_SUPPORTS]),
            }


def as_table(answers: Sequence[Answer], top: int) -> str:
    """What the command prints: for each query its ranked classes, or why it could not be read."""
    from tabulate import tabulate

    rows, notes = [], []
    for answer in answers:
        if answer.is_broken:
            rows.append([plain(answer.query), "not read", "", "", "", plain(answer.reason)])
        if answer.same_as:
            notes.append(
                f"{answer.query}: the same video as {', '.join(answer.same_as)}, which was left out of its scores"
            )
        for rank, each in enumerate(answer.ranked[:top]):
            said = (plain(answer.query), plain(answer.label)) if not rank else ("", "")
            paths = plain(", ".join(path for path, _ in each.supports[:SHOWN_SUPPORTS]))
            rows.append([*said, plain(each.label), f"{100 * each.probability:.1f}", f"{each.score:.3f}", paths])
    headers = ("query", "answer", "class", "probability %", "score", "nearest supports")
    shown = tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)
    return "\n".join([shown, *notes])


def write_json(path: Path, answers: Sequence[Answer], session: Session) -> None:
    """Write all that is said as one JSON document.

    Raises:
        InputError: if it cannot be written
    """
    confidence = session.answerer.confidence
    document = {
        "schema": "hcl-answers",
        "version": 1,
        "classes": list(session.answerer.support.class_names),
        "calibrated_on": confidence.calibrated_on,
        "temperature": confidence.temperature,
        "threshold": confidence.threshold,
        "rejection_on": confidence.rejection_on or None,
        "queries": [answer.to_dict() for answer in answers],
    }
    with write_errors(path, "name another file with --json"), atomic_file(path) as fresh:
        fresh.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_csv(path: Path, answers: Sequence[Answer], session: Session, top: int) -> None:
    """Write a row for each ranked class of each query, with the score of each level.

    Raises:
        InputError: if it cannot be written
    """
    columns = (*COLUMNS[:-2], *session.answerer.matcher.names, *COLUMNS[-2:])
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for row in table_rows(answers, top):
        writer.writerow({name: csv_cell(value) if isinstance(value, str) else value for name, value in row.items()})
    with write_errors(path, "name another file with --csv"), atomic_file(path) as fresh:
        fresh.write_text(text.getvalue(), encoding="utf-8")
