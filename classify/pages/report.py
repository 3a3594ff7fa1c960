"""The report of a run or an embedding store: one page with all that its evaluation tells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from hcl.classify.pages.content import Figure, SettingRow, setting_rows, training_figures
from hcl.classify.pages.page import check_page, write_page
from hcl.classify.pages.parts import Part, ReportRequest, make_part
from hcl.extract.system.places.location import place_of
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.locate import find_store, latest_run, set_stores
from hcl.train.runs.inspection import describe
from hcl.train.runs.run_folder import CONFIG, RunConfig, read_config


@dataclass(frozen=True)
class Page:
    """All that a report says."""

    title: str
    facts: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, tuple[SettingRow, ...]], ...]  # by what they are of
    curves: tuple[Figure, ...]
    curves_note: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Report:
    """A report that was written."""

    file: Path
    bytes: int
    problems: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.file}: {self.bytes / 1e6:.1f} MB, one file; open it in any browser", *self.problems]
        return "\n".join(lines)


def write_report(run: str | Path | None, out: str | Path, request: ReportRequest | None = None) -> Report:
    """Write the report of a run or an embedding store.

    Args:
        run: a run or a store; None: the latest run
        out: file to write
        request: which episodes are scored, and what is shown

    Raises:
        InputError: if there is no such run, its store is damaged, the file cannot be written, or jinja2 is missing
    """
    request, out = request or ReportRequest(), Path(out)
    check_page(out)
    path = latest_run() if run is None else place_of(run)
    page = make_page(path, request)
    size = write_page(out, page)
    return Report(out, size, tuple(part.problem for part in page.parts if part.problem))


def make_page(path: Path, request: ReportRequest) -> Page:
    """Gather all that a report says."""
    of_sets = set_stores(path)
    stores = [EmbeddingStore.open(store) for store in of_sets or [find_store(path)]]
    config = read_config(path) if (path / CONFIG).is_file() else None
    description = replace(describe(path), store=None, set_stores=())
    facts = [line.partition(": ")[::2] for line in description.lines()]
    curves, note = training_figures(path, config) if config else ([], "")
    parts = tuple(
        make_part(store, request, config, name=store.path.stem if of_sets else "", sharing=len(stores))
        for store in stores
    )
    return Page(
        title=path.resolve().name if config else path.name,
        facts=tuple((("path" if name == str(path) else name), text) for name, text in facts),
        settings=_settings(config, request),
        curves=tuple(curves),
        curves_note=note,
        parts=parts,
    )


def _settings(config: RunConfig | None, request: ReportRequest) -> tuple[tuple[str, tuple[SettingRow, ...]], ...]:
    trained = [("Training", setting_rows(config.training))] if config else []
    episodes, plan = request.evaluation.episodes, request.evaluation.plan
    return (*trained, ("Episodes", setting_rows(episodes) + setting_rows(plan)))
