r"""Draw which patch pairs count, a row a selection: python selections.py DEMO writes selections.jpg beside this file.

DEMO is the folder that `make demo` makes: its drawn videos, and its latest run. Of each of three pairs of videos the
most similar clip pair of Eq. 3 is shown, the query's two frames and the support's, and in them the patches of Eq. 4.
"""

import argparse
import io
from itertools import cycle
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from hcl.classify.config import ClassifyConfig
from hcl.classify.explanation.config import ExplainConfig
from hcl.classify.explanation.explain import Drawn, explain
from hcl.classify.explanation.pairs import Patch
from hcl.classify.explanation.scene import COLOURS
from hcl.match.config import PATCH_SELECTIONS

CLASSES = ("circle the star clockwise", "push the key right", "tip then shake the bottle")  # novel ones
FRAME, GAP, LEFT, HEAD = (104, 78), 4, 84, 22  # pixels
WIDTH = 4 * (FRAME[0] + GAP) + 2 * GAP  # of a match


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path)
    demo: Path = parser.parse_args().demo
    rows = (FRAME[1] + GAP) * len(PATCH_SELECTIONS)
    picture = Image.new("RGB", (LEFT + len(CLASSES) * WIDTH, HEAD + rows), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for column, name in enumerate(CLASSES):
        draw.text((LEFT + column * WIDTH, 3), name, "black", font)
        query, support, *_ = sorted((demo / "videos" / name).iterdir())
        for row, selection in enumerate(PATCH_SELECTIONS):
            top = HEAD + row * (FRAME[1] + GAP)
            draw.text((4, top + FRAME[1] // 2 - 8), selection, "black", font)
            config = ExplainConfig(patch_selection=selection)
            drawn = explain(query, support, run=demo / "runs" / "latest", config=config, settings=ClassifyConfig())
            for place, frame in enumerate(frames_of(drawn)):
                picture.paste(frame, (LEFT + column * WIDTH + place * (FRAME[0] + GAP) + GAP * (place > 1), top))
    picture.save(Path(__file__).with_name("selections.jpg"), quality=80)


def frames_of(drawn: Drawn) -> list[Image.Image]:
    """The two frames of the query and the two of the support; a pair of patches has one colour."""
    explained = drawn.explained
    clip, grid = explained.match.clips[0], explained.grid
    shown = []
    for side, frames, numbers in (
        ("query", explained.query, clip.query),
        ("support", explained.support, clip.support),
    ):
        for number in numbers:
            image = Image.open(io.BytesIO(drawn.pictures[frames.names[number]])).convert("RGB").resize(FRAME)
            draw = ImageDraw.Draw(image)
            for pair, colour in zip(clip.patches, cycle(COLOURS), strict=False):
                patch: Patch = getattr(pair, side)
                if patch.frame == number:
                    y, x = divmod(patch.place, grid)
                    width, height = FRAME[0] / grid, FRAME[1] / grid
                    draw.rectangle((x * width, y * height, (x + 1) * width, (y + 1) * height), None, colour, 2)
            shown.append(image)
    return shown


if __name__ == "__main__":
    main()
