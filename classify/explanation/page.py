"""A scene as a page that holds everything: a drawing over JPEG pictures, in dark and light; nothing is loaded."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping
from functools import singledispatch

from hcl.classify.explanation.scene import Line, Outline, Picture, Scene, Text
from hcl.extract.system.console import plain

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1f24; }
@media (prefers-color-scheme: dark) { :root { --paper: #12161b; --ink: #e6edf3; } }
body { margin: 0 auto; max-width: 80rem; background: var(--paper); color: var(--ink); }
.scroll { overflow-x: auto; }
svg { display: block; width: 100%; min-width: 48rem; height: auto; }
svg text { fill: var(--ink); font-family: system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
svg .plate { fill: #ffffff; fill-opacity: 0.85; }
"""


def as_page(scene: Scene, pictures: Mapping[str, bytes], title: str) -> str:
    """Write a page.

    Args:
        scene: whose height is known
        pictures: JPEG by name
        title: of the page
    """
    symbols = "".join(_symbol(name, data) for name, data in pictures.items())
    shapes = "\n".join(_drawn(shape) for shape in scene.shapes)
    size = f"{scene.width:g} {scene.height:.0f}"
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{STYLE}</style></head>\n"
        f'<body><div class="scroll" tabindex="0">\n<svg viewBox="0 0 {size}" role="img" aria-label="{_text(title)}" '
        f'xmlns="http://www.w3.org/2000/svg">\n<defs>{symbols}</defs>\n{shapes}\n</svg>\n</div></body></html>\n'
    )


def _text(text: str) -> str:
    return html.escape(plain(text), quote=True)


def _symbol(name: str, data: bytes) -> str:
    """A picture that is held once and drawn in several sizes."""
    coded = base64.b64encode(data).decode("ascii")
    image = f'<image width="1" height="1" preserveAspectRatio="none" href="data:image/jpeg;base64,{coded}"/>'
    return f'<symbol id="{_text(name)}" viewBox="0 0 1 1" preserveAspectRatio="none">{image}</symbol>'


def _titled(tag: str, attributes: str, title: str) -> str:
    return f"<{tag} {attributes}><title>{_text(title)}</title></{tag}>" if title else f"<{tag} {attributes}/>"


@singledispatch
def _drawn(shape: object) -> str:
    raise ValueError(f"{shape} cannot be drawn")


@_drawn.register
def _(shape: Picture) -> str:
    return f'<use href="#{_text(shape.name)}" {_box(shape.x, shape.y, shape.width, shape.height)}/>'


@_drawn.register
def _(shape: Outline) -> str:
    fill = f'fill="{shape.colour}" fill-opacity="{shape.opacity:.3f}"'
    border = f'stroke="{shape.colour}" stroke-width="{shape.border:g}"' if shape.border else ""
    return _titled("rect", f"{_box(shape.x, shape.y, shape.width, shape.height)} {fill} {border}", shape.title)


@_drawn.register
def _(shape: Line) -> str:
    ends = f'x1="{shape.x1:.1f}" y1="{shape.y1:.1f}" x2="{shape.x2:.1f}" y2="{shape.y2:.1f}"'
    return _titled("line", f'{ends} stroke="{shape.colour}" stroke-width="{shape.width:g}"', shape.title)


@_drawn.register
def _(shape: Text) -> str:
    plate = ""
    if shape.is_boxed:
        side = shape.size * 1.3
        place = _box(shape.x - side / 2, shape.y - side * 0.8, side, side)
        plate = f'<rect {place} rx="3" class="plate"/>'
    weight = ' font-weight="600"' if shape.is_bold else ""
    colour = f' style="fill: {shape.colour}"' if shape.colour else ""
    title = f"<title>{_text(shape.title)}</title>" if shape.title else ""
    place = f'x="{shape.x:.1f}" y="{shape.y:.1f}" font-size="{shape.size:g}" text-anchor="{shape.anchor}"'
    return f"{plate}<text {place}{weight}{colour}>{title}{_text(shape.text)}</text>"


def _box(x: float, y: float, width: float, height: float) -> str:
    return f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
