"""The evaluation of one store as a report tells it: accuracies, the most telling matches, and maps of its videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hcl.classify.pages.charts.match_figure import Row, frames_name, match_figure
from hcl.classify.pages.charts.points import Point, class_mark, scatter_chart
from hcl.classify.pages.content import Case, Figure, class_probabilities, make_case
from hcl.classify.pages.embedding_map import FEWEST, neighbour_map, principal_map, video_vectors
from hcl.classify.pages.matches import ClipPair, Match, Side, rows_shown, telling_matches
from hcl.classify.pages.pictures import ALL_PICTURES, Strip, read_strips
from hcl.extract.system.errors import InputError
from hcl.match.config import EpisodeConfig
from hcl.match.evaluation.evaluate import EvaluationRequest, evaluate_request
from hcl.match.evaluation.results import Evaluation
from hcl.match.reports.report import (
    choice_lines,
    counted,
    level_name,
    queries_name,
    shots_name,
    untrained_levels_text,
    weights_text,
)
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.train.runs.run_folder import RunConfig

FRAMES = 8  # of a video where nothing tells how many were taken
MOST_VIDEOS = 800  # of a map
NO_PICTURES = "left out: --no-pictures"


@dataclass(frozen=True, kw_only=True)
class ReportRequest:
    """What a report is of, and what it may show."""

    evaluation: EvaluationRequest = EvaluationRequest()
    way_is_given: bool = False  # else fewer classes are drawn where there are fewer
    pictures: bool = True
    videos: Path | None = None  # the folder that the videos' paths are relative to; None: looked for


@dataclass(frozen=True)
class MatchView:
    """A telling query as it is shown."""

    match: Match
    figure: Figure
    levels: tuple[tuple[str, float, float], ...]  # name, score of the class that was named, of the other
    clip_pairs: tuple[str, str]  # in words, of each class


@dataclass(frozen=True)
class Part:
    """The evaluation of one store."""

    name: str  # of the set, of a run on several; else ""
    facts: tuple[str, ...]
    problem: str = ""  # why there is no evaluation
    cases: tuple[Case, ...] = ()
    matches: tuple[MatchView, ...] = ()
    maps: tuple[Figure, ...] = ()
    map_note: str = ""


def make_part(
    store: EmbeddingStore, request: ReportRequest, config: RunConfig | None, *, name: str = "", sharing: int = 1
) -> Part:
    """Evaluate a store; where no episodes can be drawn from it the part says why.

    Args:
        store: to evaluate
        request: how
        config: of the run that it is of, if it is
        name: of the set, of a run on several
        sharing: parts of the page among which the room for pictures is shared
    """
    evaluations, problem = evaluate_as_far_as_possible(store, request)
    split = request.evaluation.plan.split
    rows = store.videos.rows(split)
    if not evaluations:
        maps, note = make_maps(store, rows, store.method)
        return Part(name, (_videos_text(store, split),), problem, maps=maps, map_note=note)
    first = evaluations[0]
    maps, note = make_maps(store, rows, first.method)
    cases = tuple(make_case(evaluations, number) for number in range(len(first.outcomes)))
    matches = make_matches(first, request, config, sharing=sharing)
    return Part(name, facts_of(evaluations), problem, cases, matches, maps, note)


def evaluate_as_far_as_possible(store: EmbeddingStore, request: ReportRequest) -> tuple[list[Evaluation], str]:
    """Evaluate a store; with fewer classes in an episode where there are fewer and nobody asked for more.

    Returns:
        the evaluations by seed, and what is to be said: why there are none, or that there are fewer classes
    """
    asked = replace(request.evaluation, plan=replace(request.evaluation.plan, calibration=True))
    try:
        return evaluate_request(store, asked), ""
    except InputError as error:
        problem = str(error)
    split = asked.plan.split
    labels = store.videos.take(store.videos.rows(split)).label
    usable = {name for name in labels if asked.plan.keep_trained_classes or name not in store.trained_classes}
    if request.way_is_given or not 2 <= len(usable) < EpisodeConfig.n_way:
        return [], f"no episodes: {problem}"
    fewer = replace(asked, episodes=replace(asked.episodes, n_way=len(usable)))
    try:
        return evaluate_request(store, fewer), f"{len(usable)}-way episodes: there are {len(usable)} {split} classes"
    except InputError:
        return [], f"no episodes: {problem}"


def _videos_text(store: EmbeddingStore, split: str) -> str:
    rows = store.videos.rows(split)
    classes = len(set(store.videos.take(rows).label))
    return f"{counted(len(rows), f'{split} video')} of {counted(classes, 'class', 'classes')} in {store.path}"


def facts_of(evaluations: Sequence[Evaluation]) -> tuple[str, ...]:
    """What was drawn and scored, and what was left out, in sentences."""
    first = evaluations[0]
    config, seeds = first.episodes, ", ".join(str(evaluation.episodes.seed) for evaluation in evaluations)
    lines = [
        f"{config.n_way}-way {shots_name(first.plan.shots)}, {queries_name(config.n_query)},"
        f" {counted(len(first.scored), 'episode')}, {'seeds' if len(evaluations) > 1 else 'seed'} {seeds}"
        f"{', group-disjoint' if config.group_disjoint else ''}",
        f"{sum(first.class_sizes)} {first.plan.split} videos of {len(first.class_names)} classes in {first.store.path}",
        f"method {first.method}",
        *choice_lines(first.left_out, first.trained_on, str),
        *weights_text(first, str).splitlines(),
        untrained_levels_text(first),
    ]
    return tuple(line for line in lines if line)


def make_matches(
    evaluation: Evaluation, request: ReportRequest, config: RunConfig | None, *, sharing: int = 1
) -> tuple[MatchView, ...]:
    """The most telling queries of the first outcome, with pictures where there are any."""
    outcome, store = evaluation.outcomes[0], evaluation.store
    matches = telling_matches(evaluation, outcome, class_probabilities(outcome))
    rows = rows_shown(matches)
    if request.pictures:
        strips = read_strips(
            store, rows, frames=frames_of(store, config), folder=request.videos, most=ALL_PICTURES // sharing
        )
    else:
        strips = {row: Strip(problem=NO_PICTURES) for row in rows}
    return tuple(view_of(match, strips, store) for match in matches)


def frames_of(store: EmbeddingStore, config: RunConfig | None) -> int:
    """T, the frames that were taken of each video, or its time steps where several frames were mapped together."""
    if config is not None:
        return int(config.encoder.get("frames") or config.cache["settings"].get("frames", FRAMES))
    clips = store.attributes.get("clip_frames")
    return 1 + max(frame for clip in clips for frame in clip) if clips else FRAMES


def view_of(match: Match, strips: dict[int, Strip], store: EmbeddingStore) -> MatchView:
    """Draw a match: the support of the class that was named above the query, that of the other class below."""
    paths, named, rival = store.videos.path, match.named, match.rival

    def row(side: Side, role: str, joined: tuple[ClipPair, ...] = ()) -> Row:
        chance = f"{100 * side.probability:.0f} %"
        return Row(role, side.label, chance, paths[side.support], strips[side.support], joined)

    turned = tuple(replace(pair, query=pair.support, support=pair.query) for pair in named.clip_pairs)
    query = Row("query", match.label, "", paths[match.query], strips[match.query], turned)
    other = "next best" if match.is_right else "true class"
    figure = match_figure(
        (row(named, "taken for"), query, row(rival, other, rival.clip_pairs)),
        f"query {paths[match.query]} of class {match.label}, taken for {named.label}",
    )
    levels = tuple((level_name(name), score, rival.levels[name]) for name, score in named.levels.items())
    return MatchView(match, Figure("", figure), levels, (_pairs_text(named), _pairs_text(rival)))


def _pairs_text(side: Side) -> str:
    """The frames of the query and of the support that were matched, with their cosines."""
    return ", ".join(
        f"{frames_name(pair.query)} with {frames_name(pair.support)}: {pair.cosine:.2f}" for pair in side.clip_pairs
    )


def make_maps(store: EmbeddingStore, rows: NDArray[np.int64], method: str) -> tuple[tuple[Figure, ...], str]:
    """Maps of the videos of a split, and what is to be said of them."""
    if len(rows) < FEWEST:
        return (), f"{counted(len(rows), 'video')}: too few for a map."
    total = len(rows)
    rows = rows[np.linspace(0, total - 1, min(total, MOST_VIDEOS)).round().astype(np.int64)]
    videos = store.videos.take(rows)
    vectors = video_vectors(store, rows, method)
    names = sorted(set(videos.label))
    numbers = {name: number for number, name in enumerate(names)}
    legend = tuple((class_mark(number), name) for number, name in enumerate(names))

    def figure(places: NDArray[np.float64], title: str, labels: tuple[str, str]) -> Figure:
        facts = zip(places.tolist(), videos.label, videos.path, strict=True)
        points = [Point(x, y, numbers[label], f"{label}: {path}") for (x, y), label, path in facts]
        return Figure(title, scatter_chart(points, *labels), legend)

    places, shares = principal_map(vectors)
    axes = [f"component {number + 1} ({100 * share:.0f} % of the variance)" for number, share in enumerate(shares)]
    figures = [figure(places, "The two directions in which the videos differ most (PCA).", (axes[0], axes[1]))]
    neighbours = neighbour_map(vectors)
    if neighbours is not None:
        title = "Neighbours stay neighbours; distances between groups mean little (t-SNE)."
        figures.append(figure(neighbours, title, ("t-SNE 1", "t-SNE 2")))
    note = f"{len(rows)} of {total} videos, evenly chosen." if len(rows) < total else ""
    missing = "" if neighbours is not None else 'A second map, t-SNE, needs scikit-learn: pip install "hcl[sklearn]".'
    return tuple(figures), " ".join(filter(None, (note, missing)))
