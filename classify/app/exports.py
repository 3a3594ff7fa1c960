"""What leaves the page as files: the support set as a ZIP archive, answers and segments as CSV and JSON."""

from __future__ import annotations

import zipfile
from pathlib import Path

from hcl.classify.answers.answering import Answerer
from hcl.classify.answers.classify import Session, write_csv, write_json
from hcl.classify.app.workbench import State, Workbench
from hcl.classify.spotting import outputs, subtitles
from hcl.classify.support.store import write_support
from hcl.extract.system.errors import InputError

FOLDER = "examples.support"  # within the archive, as hcl classify --support takes it
WRITERS = {
    "support.zip": "application/zip",
    "answers.csv": "text/csv",
    "answers.json": "application/json",
    "segments.csv": "text/csv",
    "segments.json": "application/json",
    "segments.vtt": "text/vtt",
}  # what can be exported, and its kind


def export(workbench: Workbench, name: str, folder: Path) -> Path:
    """Write a file.

    Args:
        workbench: whose state is exported
        name: of WRITERS
        folder: an empty one, in which it is written

    Raises:
        InputError: if there is nothing to export yet
    """
    state, path = workbench.state, folder / name
    if name == "support.zip":
        _write_support(state, path)
    elif name.startswith("answers"):
        _write_answers(workbench, state, path)
    else:
        _write_segments(state, path)
    return path


def _write_support(state: State, path: Path) -> None:
    """The support set in a folder of a fixed name; names in the archive are those of the store's own files."""
    if state.support is None:
        raise InputError("there are no examples to export; add clips to a class first")
    store = path.parent / FOLDER
    write_support(store, state.support)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(store.rglob("*")):
            if file.is_file() and not file.is_symlink():
                archive.write(file, f"{FOLDER}/{file.relative_to(store).as_posix()}")


def _write_answers(workbench: Workbench, state: State, path: Path) -> None:
    answers = [each.answer for each in reversed(state.questions) if each.answer is not None]
    answerer: Answerer | None = workbench.answerer
    if not answers or answerer is None:
        raise InputError("there are no answers to export; drop a clip first")
    session = Session(answerer)
    if path.suffix == ".json":
        write_json(path, answers, session)
    else:
        write_csv(path, answers, session, top=len(answerer.support.class_names))


def _write_segments(state: State, path: Path) -> None:
    found = [each.spotted for each in reversed(state.searched)]
    if not found:
        raise InputError("there are no segments to export; search a long video first")
    if path.suffix == ".csv":
        outputs.write_csv(path, found)
    elif path.suffix == ".json":
        outputs.write_tasks(path, found)
    else:
        outputs.write_subtitles(path, found[-1:], subtitles.as_vtt, "--vtt")
