"""A drawing keeps within its bounds, maps patches onto frames, and is one safe file as a page or a picture."""

import io
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from hcl.classify.explanation.config import ExplainConfig
from hcl.classify.explanation.layout import Explanation, Frames, Nearest, grid_of, lay_out
from hcl.classify.explanation.page import as_page
from hcl.classify.explanation.pairs import ClipPair, PairMatch, Patch, PatchPair
from hcl.classify.explanation.raster import as_png
from hcl.classify.explanation.scene import Line, Outline, Picture, Scene, Text, fitted, patch_box, shortened, text_width

HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m\n שלום 👋🏽 " + "very_long/" * 40


def jpeg(width: int, height: int) -> bytes:
    written = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 127, np.uint8)).save(written, "JPEG")
    return written.getvalue()


def explanation(frames: int, size: tuple[int, int], *, grid: int = 3, name: str = "a.mp4") -> Explanation:
    rng = np.random.default_rng(frames)

    def patch(clip: tuple[int, ...]) -> Patch:
        return Patch(int(rng.choice(clip)), int(rng.integers(grid * grid)))

    def clip_pair() -> ClipPair:
        clips = [tuple(sorted(rng.choice(frames, min(2, frames), replace=False).tolist())) for _ in range(2)]
        pairs = tuple(PatchPair(patch(clips[0]), patch(clips[1]), 0.5, 1.5) for _ in range(6))
        return ClipPair(clips[0], clips[1], 0.9, pairs, 6)

    attention = tuple(tuple(row) for row in rng.uniform(0, 2, (frames, grid * grid)).tolist())
    query, support = (
        Frames(name, label, tuple(f"{side}{k}" for k in range(frames)), *size)
        for side, label in (("q", ""), ("s", name))
    )
    return Explanation(
        query,
        support,
        tuple((f"level {k}", 0.5) for k in range(12)),
        PairMatch(tuple(clip_pair() for _ in range(10)), attention),
        ("What cannot be shown.",),
        (Nearest("global", 0.5, support), Nearest("all", 0.4, support)),
        grid,
    )


def corners(shape: object) -> list[tuple[float, float]]:
    if isinstance(shape, Line):
        return [(shape.x1, shape.y1), (shape.x2, shape.y2)]
    if isinstance(shape, Text):
        width = text_width(shape.text, shape.size)
        left = shape.x - {"start": 0, "middle": 0.5, "end": 1}[shape.anchor] * width
        return [(left, shape.y), (left + width, shape.y)]
    assert isinstance(shape, Picture | Outline)
    return [(shape.x, shape.y), (shape.x + shape.width, shape.y + shape.height)]


@pytest.mark.parametrize("frames", [1, 2, 8, 16])
@pytest.mark.parametrize("size", [(640, 360), (256, 550), (100, 100)])
def test_everything_lies_within_and_frames_keep_their_shape(frames: int, size: tuple[int, int]) -> None:
    scene = lay_out(explanation(frames, size, name=HOSTILE), ExplainConfig(clip_pairs=10, patch_clips=3, patch_pairs=6))
    for shape in scene.shapes:
        for x, y in corners(shape):
            assert -0.1 <= x <= scene.width + 0.1 and -0.1 <= y <= scene.height + 0.1, shape
        if isinstance(shape, Picture):
            assert shape.width / shape.height == pytest.approx(size[0] / size[1], rel=1e-6)


def test_patches_are_outlined_in_their_frame() -> None:
    explained = explanation(4, (300, 200))
    scene = lay_out(explained, ExplainConfig(clip_pairs=1, patch_clips=1, patch_pairs=1))
    pair, clip = explained.match.clips[0].patches[0], explained.match.clips[0]
    outlines = [shape for shape in scene.shapes if isinstance(shape, Outline) and shape.border]
    large = [shape for shape in scene.shapes if isinstance(shape, Picture)][-len(clip.query) - len(clip.support) - 4 :]
    for outline, patch, names in zip(outlines, (pair.query, pair.support), ("q", "s"), strict=True):
        box = next(box for box in large if box.name == f"{names}{patch.frame}")
        row, column = patch.place // 3, patch.place % 3
        assert outline.x == pytest.approx(box.x + column * box.width / 3)
        assert outline.y == pytest.approx(box.y + row * box.height / 3)
        assert (outline.width, outline.height) == (pytest.approx(box.width / 3), pytest.approx(box.height / 3))


def test_patches_tile_a_frame() -> None:
    box = Picture(10, 20, 70, 140, "f")
    boxes = [patch_box(place, 7, box) for place in range(49)]
    assert sum(width * height for _, _, width, height in boxes) == pytest.approx(70 * 140)
    assert boxes[0][:2] == (10, 20) and boxes[48][0] + boxes[48][2] == 80 and boxes[48][1] + boxes[48][3] == 160
    assert grid_of(49) == 7
    with pytest.raises(ValueError, match="48 patches are no square"):
        grid_of(48)


@pytest.mark.parametrize("text", ["short", "a/very/long/path/" * 9 + "end.mp4", "手を振る" * 40, ""])
def test_long_texts_are_shortened_in_the_middle(text: str) -> None:
    shown = shortened(text, 300, 13)
    assert text_width(shown, 13) <= 300
    if text_width(text, 13) <= 300:
        assert shown == text
    else:
        head, tail = shown.split("…")
        assert text.startswith(head) and text.endswith(tail) and len(tail) >= len(head) > 0


def test_pictures_fit_with_their_shape() -> None:
    assert fitted(640, 360, most_width=100, most_height=100) == (100, 56.25)
    assert fitted(256, 550, most_width=100, most_height=100) == pytest.approx((46.545, 100), rel=1e-3)


class Seen(HTMLParser):
    """The tags of a page and the attributes that refer to something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.references += [value or "" for name, value in attrs if name in ("href", "src", "xlink:href", "action")]


def test_a_page_is_one_safe_file() -> None:
    explained = explanation(4, (300, 200), name=HOSTILE)
    names = (*explained.query.names, *explained.support.names)
    page = as_page(lay_out(explained, ExplainConfig()), {name: jpeg(30, 20) for name in names}, HOSTILE)
    seen = Seen()
    seen.feed(page)
    assert "script" not in seen.tags and "\x1b" not in page and "url(" not in page
    assert all(each.startswith(("#", "data:image/jpeg;base64,")) for each in seen.references)
    drawing = ElementTree.fromstring(re.search(r"<svg.*</svg>", page, re.DOTALL)[0])  # type: ignore[index]
    prefix = "{http://www.w3.org/2000/svg}"
    known = {symbol.get("id") for symbol in drawing.iter(f"{prefix}symbol")}
    used = [str(each.get("href")).removeprefix("#") for each in drawing.iter(f"{prefix}use")]
    assert known == set(names) and used and set(used) <= known
    assert any(
        "<script>alert(1)</script>\"'&\\x1b[31m\\n שלום" in (each.text or "") for each in drawing.iter(f"{prefix}title")
    )
    assert "prefers-color-scheme: dark" in page


def test_a_picture_shows_its_shapes() -> None:
    scene = Scene(100, 80)
    scene.add(
        Picture(10, 10, 40, 20, "f"),
        Outline(60, 10, 20, 20, "#ff0000", opacity=0.5, border=0),
        Outline(60, 50, 20, 20, "#0000ff"),
        Line(0, 45, 50, 45, "#00ff00", 3),
        Text(10, 70, "text", is_bold=True),
        Text(50, 70, "1", anchor="middle", is_boxed=True, colour="#123456"),
    )
    image = Image.open(io.BytesIO(as_png(scene, {"f": jpeg(80, 40)})))
    assert image.size == (100, 80)
    pixel = {place: image.getpixel(place) for place in ((30, 20), (70, 20), (60, 60), (70, 60), (25, 45), (5, 5))}
    assert max(abs(value - 127) for value in pixel[30, 20]) <= 2 and pixel[5, 5] == pixel[70, 60] == (255, 255, 255)
    assert (
        pixel[60, 60] == (0, 0, 255)
        and pixel[25, 45] == (0, 255, 0)
        and pixel[70, 20] in ((255, 127, 127), (255, 128, 128))
    )
    assert np.asarray(image)[60:72, 8:40].min() < 100  # the text
    for draw in (lambda: as_png(Scene(9, 9, ["no shape"]), {}), lambda: as_page(Scene(9, 9, ["no shape"]), {}, "")):  # type: ignore[list-item]
        with pytest.raises(ValueError, match="cannot be drawn"):
            draw()
