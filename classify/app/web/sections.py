"""The page and its parts as HTML; each part has a hash, so that a browser asks again only for what changed."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

from hcl.classify.app.clips import key_of, picture_address
from hcl.classify.app.config import AppConfig
from hcl.classify.app.workbench import MOST_TESTED, State, Workbench
from hcl.classify.pages.page import template_environment
from hcl.classify.selftest.page import make_page
from hcl.extract.system.installation import package_version

PARTS = ("jobs", "classes", "answers", "selftest", "searched")  # each has a template and an element of its name
SHOWN_CLASSES = 5  # of an answer, before the others are folded


@dataclass(frozen=True)
class ClipShown:
    """An example on the page."""

    content: str
    name: str
    picture: str  # address; "" where there is none
    size: tuple[int, int]
    problem: str


@dataclass(frozen=True)
class ClassShown:
    """A class on the page."""

    key: str
    label: str
    clips: tuple[ClipShown, ...]


class Sections:
    """Fills the templates by the state of a workbench.

    Args:
        workbench: whose state is shown
        config: of the page
    """

    def __init__(self, workbench: Workbench, config: AppConfig) -> None:
        self._workbench, self._config = workbench, config
        self._environment = template_environment(__package__)
        self._done: tuple[int, dict[str, str]] = (-1, {})

    def page(self) -> str:
        """The whole page."""
        run = self._workbench.embedder.run
        parts = {name: {"html": _safe(html), "hash": hash_of(html)} for name, html in self.parts().items()}
        return self._environment.get_template("app.html").render(
            parts=parts,
            about=self._workbench.home.about,
            run="" if run is None else str(run.folder),
            most=self._config.max_upload,
            hcl=package_version(),
        )

    def parts(self) -> dict[str, str]:
        """The HTML of each part."""
        state = self._workbench.state
        if state.version != self._done[0]:
            self._done = state.version, {name: self._part(name, state) for name in PARTS if name != "jobs"}
        return {"jobs": self._jobs(), **self._done[1]}

    def changed(self, known: dict[str, str]) -> dict[str, dict[str, str]]:
        """The parts whose hash is another than the browser knows."""
        parts = self.parts()
        return {
            name: {"html": html, "hash": hash_of(html)}
            for name, html in parts.items()
            if known.get(name) != hash_of(html)
        }

    def _jobs(self) -> str:
        jobs, problems = self._workbench.worker.shown()
        return self._environment.get_template("jobs.html").render(jobs=jobs, problems=problems)

    def _part(self, name: str, state: State) -> str:
        given: dict[str, Any] = {"state": state, "classes": self._classes(state), "finite": math.isfinite}
        if name == "selftest":
            given |= {"page": make_page(state.check, "") if state.check else None, "most": MOST_TESTED}
        return self._environment.get_template(f"{name}.html").render(shown=SHOWN_CLASSES, **given)

    def _classes(self, state: State) -> list[ClassShown]:
        clips: dict[str, list[ClipShown]] = {label: [] for label in state.classes}
        if state.support is not None:
            videos = state.support.videos
            for label, content, path in zip(videos.label, videos.content, videos.path, strict=True):
                clips[label].append(self._clip(content, path))
        return [ClassShown(key_of(label), label, tuple(found)) for label, found in clips.items()]

    def _clip(self, content: str, name: str) -> ClipShown:
        seen = self._workbench.strip(content)
        middle = len(seen.jpegs) // 2
        address = picture_address(content, middle) if seen.jpegs else ""
        return ClipShown(content[:32], name, address, seen.size, seen.problem)


def hash_of(html: str) -> str:
    """What tells one state of a part from another."""
    return hashlib.sha256(html.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _safe(html: str) -> Any:
    from markupsafe import Markup

    return Markup(html)
