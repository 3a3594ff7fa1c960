"""A query and what it is compared with, embedded as for an answer, and drawn."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from hcl.classify.answers.classify import load_embedder
from hcl.classify.answers.matcher import Matcher, Matching, PairScores
from hcl.classify.config import ClassifyConfig
from hcl.classify.embedding.embedder import VideoEmbedder
from hcl.classify.embedding.videos import BrokenVideo, EmbeddedVideo
from hcl.classify.explanation.config import ExplainConfig, check_target
from hcl.classify.explanation.layout import Explanation, Frames, Nearest, grid_of, lay_out
from hcl.classify.explanation.page import as_page
from hcl.classify.explanation.pairs import match_pair
from hcl.classify.explanation.raster import as_png
from hcl.classify.explanation.scene import Scene
from hcl.classify.support.embedding import LabelledVideo, embed_supports, labelled_videos
from hcl.classify.support.store import is_support_set, read_support
from hcl.classify.support.support_set import SupportSet
from hcl.extract.catalog.listing import LISTS
from hcl.extract.catalog.videos import readable
from hcl.extract.decoding.source import read_source
from hcl.extract.system.atomic import atomic_file
from hcl.extract.system.errors import InputError, VideoError, write_errors
from hcl.extract.system.places.location import local_only
from hcl.extract.video.frames import middle_frames
from hcl.extract.video.reading import read_chosen_frames
from hcl.match.config import LEVELS
from hcl.train.encoders.video_encoder import VideoEncoder

MOST_PIXELS = 360  # of a frame's width and height
QUALITY = 80  # of its JPEG
PAPER_SUM, WEIGHTED = "sum of the paper's levels", "weighted sum of all levels"
FEWEST_WEIGHED = 3  # supports on whose scores the spread of levels can be settled


@dataclass(frozen=True)
class Drawn:
    """An explanation with the frames that it shows."""

    explained: Explanation
    pictures: dict[str, bytes]  # JPEG by name


def write_explanation(
    query: Path, support: Path, out: Path, *, run: Path | None, config: ExplainConfig, settings: ClassifyConfig
) -> None:
    """Explain a query by one support, or by a whole support set, and write the drawing.

    Args:
        query: a video
        support: a video, a folder of class folders, a CSV file, or what hcl index wrote
        out: a file that ends in .html or .png
        run: whose encoder embeds; None: that of the support set, else untrained
        config: how much is drawn
        settings: text model, views and device

    Raises:
        InputError: if anything of it cannot be used, read or written
    """
    check_target(out)
    if not query.exists():
        raise InputError(f"{query}: no such video; name a file, or a folder of frames")
    drawn = explain(query, support, run=run, config=config, settings=settings)
    scene = lay_out(drawn.explained, config)
    with write_errors(out, "name another file with --out"), atomic_file(out) as fresh:
        fresh.write_bytes(_written(scene, drawn, out.suffix.lower()))


def explain(query: Path, support: Path, *, run: Path | None, config: ExplainConfig, settings: ClassifyConfig) -> Drawn:
    """Embed both sides, and find what was matched with what; raises as `write_explanation`."""
    if not is_support_set(support):
        support = local_only(support, "a video or folder to compare with", "name a support set, or a local path")
    is_set = is_support_set(support) or support.suffix.lower() in LISTS or _is_folder_of_classes(support)
    stored = read_support(support) if is_support_set(support) else None
    with load_embedder(run, settings, stored) as embedder:
        supports = stored or _embedded(embedder, support, is_set, config, settings)
        asked = embedder.embed_one(query)
        if isinstance(asked, BrokenVideo):
            raise InputError(f"{query}: {asked.reason}; name another video")
        matching = Matching.of_run(embedder.run)
        if config.patch_selection:
            scoring = replace(matching.scoring, patch_selection=config.patch_selection)
            matching = replace(matching, scoring=scoring)
        return _drawn(query, asked, supports, embedder, matching)


def _drawn(
    query: Path, asked: EmbeddedVideo, supports: SupportSet, embedder: VideoEmbedder, matching: Matching
) -> Drawn:
    matcher = Matcher(supports, matching)
    scores = matcher.score(asked.batch)
    others = [row for row, content in enumerate(supports.videos.content) if content != asked.content]
    rows = others or list(range(len(supports)))  # a query beside itself tells nothing, unless nothing else is there
    ranked = ranked_by_level(scores, matching.trained, rows, is_weighed=len(supports) >= FEWEST_WEIGHED)
    best = ranked[-1][1]
    count = embedder.time_steps
    pictures: dict[str, bytes] = {}
    shown = {row: _support_frames(supports, row, count, pictures) for row in {row for _, row, _ in ranked}}
    embedded = supports.compared(asked.batch).embeddings(), supports.compared(supports.batch).embeddings()
    explained = Explanation(
        query=_frames(query, readable(str(query)), "", count, pictures, prefix="query"),
        support=shown[best],
        levels=levels_of_pair(scores, matching.trained, best, is_weighed=len(supports) >= FEWEST_WEIGHED),
        match=match_pair(embedded[0], embedded[1].rows(slice(best, best + 1)), matching.scoring),
        notes=_notes(supports, embedder, matching, same=not others),
        nearest=tuple(Nearest(name, score, shown[row]) for name, row, score in ranked) if len(rows) > 1 else (),
        grid=grid_of(embedded[0].patches.shape[2]),
    )
    return Drawn(explained, pictures)


def ranked_by_level(
    scores: PairScores, trained: Sequence[str], rows: Sequence[int], *, is_weighed: bool
) -> list[tuple[str, int, float]]:
    """The most similar support of each level and of their sums (Fig. 4), the sum that ranks classes last.

    Args:
        scores: of one query
        trained: the paper's levels that count
        rows: of the supports that may be taken
        is_weighed: whether the weighted sum can be settled

    Returns:
        name, row of the support, and score
    """
    columns = {name: scores.levels[0, :, scores.names.index(name)] for name in LEVELS if name in trained}
    columns[PAPER_SUM] = scores.paper_sum(tuple(trained))[0]
    if is_weighed:
        columns[WEIGHTED] = scores.total[0]
    best = {name: rows[int(np.argmax(values[list(rows)]))] for name, values in columns.items()}
    return [(name, row, float(columns[name][row])) for name, row in best.items()]


def levels_of_pair(
    scores: PairScores, trained: Sequence[str], row: int, *, is_weighed: bool
) -> tuple[tuple[str, float], ...]:
    """The scores of one pair: each level, and their sums; levels that were not trained are left out."""
    kept = [name for name in scores.names if name not in LEVELS or name in trained]
    levels = [(name.replace("_", " "), float(scores.levels[0, row, scores.names.index(name)])) for name in kept]
    levels.append((PAPER_SUM, float(scores.paper_sum(tuple(trained))[0, row])))
    return (*levels, *([(WEIGHTED, float(scores.total[0, row]))] if is_weighed else []))


def _embedded(
    embedder: VideoEmbedder, support: Path, is_set: bool, config: ExplainConfig, settings: ClassifyConfig
) -> SupportSet:
    if not support.exists():
        raise InputError(f"{support}: no such video, folder or support set")
    given = (
        labelled_videos(support)
        if is_set
        else [LabelledVideo(support, config.label or support.absolute().parent.name, readable(str(support)))]
    )
    return embed_supports(embedder, given, settings.text_model).support


def _is_folder_of_classes(support: Path) -> bool:
    return support.is_dir() and any(entry.is_dir() for entry in support.iterdir())


def _support_frames(supports: SupportSet, row: int, count: int, pictures: dict[str, bytes]) -> Frames:
    name, source = supports.videos.path[row], supports.sources[row]
    if not source or not Path(source).exists():
        raise InputError(
            f"{source or name}: the video of this support is not there, and its frames are shown; put it back, or give"
            " the folder of its class folders as SUPPORT"
        )
    if read_source(Path(source)).content != supports.videos.content[row]:
        raise InputError(f"{source}: changed since it was indexed; index it anew with: hcl index")
    return _frames(Path(source), name, supports.videos.label[row], count, pictures, prefix=f"support{row}")


def _frames(path: Path, title: str, label: str, count: int, pictures: dict[str, bytes], *, prefix: str) -> Frames:
    """Read the frames that were embedded, as they are shown, and keep them as JPEG."""
    try:
        images = read_chosen_frames(path, partial(middle_frames, frames=count)).images
    except VideoError as error:
        raise InputError(f"{path}: {error}; name another video") from error
    names = tuple(f"{prefix}-{number}" for number in range(len(images)))
    pictures |= {name: _jpeg(image) for name, image in zip(names, images, strict=True)}
    return Frames(title, label, names, images.shape[2], images.shape[1])


def _jpeg(image: np.ndarray) -> bytes:
    shown = Image.fromarray(np.ascontiguousarray(image))
    shown.thumbnail((MOST_PIXELS, MOST_PIXELS))
    written = io.BytesIO()
    shown.save(written, "JPEG", quality=QUALITY)
    return written.getvalue()


def _notes(supports: SupportSet, embedder: VideoEmbedder, matching: Matching, *, same: bool) -> tuple[str, ...]:
    """What cannot be shown, and why."""
    notes = ["Query and support are the same video."] if same else []
    if embedder.run is None:
        notes.append("Nothing was trained: clips and patches are those of the ImageNet maps, less the supports' mean.")
    elif not isinstance(embedder.encoder, VideoEncoder) or not embedder.encoder.reads_text:
        notes.append("No semantic attention is shown: the run was trained without class texts.")
    elif supports.text_model is None:
        notes.append("No semantic attention is shown: the supports were embedded without class texts.")
    missing = [name for name in LEVELS if name not in matching.trained]
    if missing:
        notes.append(f"Not trained by this run, and so not counted: {', '.join(missing)}.")
    return tuple(notes)


def _written(scene: Scene, drawn: Drawn, suffix: str) -> bytes:
    if suffix == ".png":
        return as_png(scene, drawn.pictures)
    names = drawn.explained.query.title, drawn.explained.support.title
    return as_page(scene, drawn.pictures, f"{names[0]} and {names[1]}").encode("utf-8")
