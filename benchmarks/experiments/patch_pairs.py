r"""Draw which patch pairs count between two videos, one row for each patch selection.

    python benchmarks/experiments/patch_pairs.py runs/latest videos/ "wave/1.mp4" "wave/2.mp4" --out pairs.png

The videos are named as in the store; the folder is that of the files the cache was extracted from. Patches that are
paired have the same colour and number, the best pair has number 1. The clip pairs are those of Eq. 3, the same in
every row. Needs matplotlib.
"""

import argparse
from dataclasses import dataclass, replace
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hcl.extract.system.errors import InputError
from hcl.extract.video.reading import read_frames
from hcl.match.config import PATCH_SELECTIONS, ScoreConfig
from hcl.match.embeddings import Embeddings
from hcl.match.scoring.scores import match
from hcl.match.scoring.zoom import zoom_in
from hcl.match.store.embedding_store import open_store

INCHES = 2.4  # of a frame


@dataclass(frozen=True)
class Side:
    """One video of a pair: the clip that is shown, and the chosen patches."""

    images: np.ndarray  # (T, H, W, 3) uint8
    clip: tuple[int, ...]
    places: list[int]  # of the patches in the video, frame by frame
    grid: int  # patches along a side of a frame


def main() -> None:
    """Write one picture."""
    given = parse()
    store = open_store(given.store)
    names, known = (given.query, given.support), store.videos.path
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"{store.path}: no video {unknown[0]!r}; name it as the store does, such as {known[0]}")
    embeddings = store.embeddings(np.array([known.index(name) for name in names]))
    images = [read_frames(given.videos / name, embeddings.patches.shape[1]).images for name in names]
    scoring = ScoreConfig(**store.attributes.get("scoring", {}))
    rows = {name: choose(embeddings, images, scoring, name, given.clip_pair) for name in given.selections}
    draw({f"{name}: {title}": sides for name, (title, sides) in rows.items()}, given.out)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, help="an embedding store of hcl, or a run")
    parser.add_argument("videos", type=Path, help="the folder that the videos lie in")
    parser.add_argument("query")
    parser.add_argument("support", help="its class key weighs the patches")
    parser.add_argument("--clip-pair", type=int, default=0, help="which of the T clip pairs, the best is 0")
    parser.add_argument("--selections", nargs="+", default=PATCH_SELECTIONS, choices=PATCH_SELECTIONS)
    parser.add_argument("--out", type=Path, default=Path("patch_pairs.png"))
    return parser.parse_args()


def choose(
    both: Embeddings, images: list[np.ndarray], scoring: ScoreConfig, selection: str, number: int
) -> tuple[str, list[Side]]:
    """Find the patch pairs that count in one clip pair of two videos, query and support: in words and by side."""
    query, support = (both.to(torch.float32).rows(slice(row, row + 1)) for row in (0, 1))
    scoring = replace(scoring, patch_selection=selection)
    score = match(query, support, **scoring.of_pairs).spatial.item()
    limits = {"top_clips": scoring.top_clips, "top_patches": scoring.top_patches}
    zoom = zoom_in(query, support, **limits, partners=True, patch_selection=selection)
    count = int(zoom.patches.counts[0, 0, number])
    cosines = zoom.patches.cosines[0, 0, number, :count]
    chosen = ((zoom.clips.query, zoom.patches.query), (zoom.clips.support, zoom.patches.support))
    clips = [both.clip_frames[int(clips[0, 0, number])] for clips, _ in chosen]
    places = [patches[0, 0, number, :count].tolist() for _, patches in chosen]
    sides = [Side(*of_video, isqrt(both.patches.shape[2])) for of_video in zip(images, clips, places, strict=True)]
    return f"spatial score {score:.3f}; {count} pairs, cosines {cosines.min():.3f} to {cosines.max():.3f}", sides


def draw(rows: dict[str, list[Side]], out: Path) -> None:
    """Draw the query's clip on the left and the support's on the right, a row with its title for each selection."""
    from matplotlib.figure import Figure

    wide = max(sum(len(side.clip) for side in sides) for sides in rows.values())
    figure = Figure(figsize=(INCHES * wide, INCHES * len(rows)), layout="constrained")
    for band, (title, sides) in zip(np.atleast_1d(figure.subfigures(len(rows), 1)), rows.items(), strict=True):
        band.suptitle(title, fontsize=9)
        for axes, side in zip(band.subplots(1, 2), sides, strict=True):
            draw_side(axes, side)
    figure.savefig(out, dpi=100)


def draw_side(axes: Any, side: Side) -> None:
    """Draw the frames of a clip side by side and the chosen patches over them."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    height, width = side.images.shape[1:3]
    high, broad = height / side.grid, width / side.grid
    axes.imshow(np.concatenate([side.images[frame] for frame in side.clip], axis=1))
    axes.set_axis_off()
    for number, place in enumerate(side.places):
        frame, patch = divmod(place, side.grid**2)
        row, column = divmod(patch, side.grid)
        corner = (side.clip.index(frame) * width + column * broad, row * high)
        colour = colormaps["tab10"](number % 10)
        axes.add_patch(Rectangle(corner, broad, high, fill=False, edgecolor=colour, linewidth=2))
        middle = (corner[0] + (0.2 + 0.2 * (number % 4)) * broad, corner[1] + high / 2)  # partners may be shared
        axes.annotate(str(number + 1), middle, color="white", fontsize=6, backgroundcolor=colour, ha="center")


if __name__ == "__main__":
    main()
