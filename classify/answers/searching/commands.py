"""The command of searching."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import cloup

from hcl.extract.system.console import echo
from hcl.extract.system.options import OUT_FILE, PATH, grouped_options, setting_options, typed_options
from hcl.extract.system.places.arguments import PLACE
from hcl.extract.system.settings import COMPUTED, INPUT, SPEED
from hcl.match.store.search.config import AUTO, EXACT, SearchConfig

FAILED = 1  # exit code where some videos could not be read
OF_PAIRS, OF_QUERIES = ("threshold", "neighbours"), ("short_list", "run", "weights", "semantic_attention")


@cloup.command(short_help="Find similar videos in an archive, or its near-duplicates.")
@click.argument("store", type=PLACE)
@click.argument("queries", nargs=-1, metavar="[QUERY]...")
@grouped_options(
    {
        INPUT: [
            cloup.option(
                "--run", type=PLACE, help="Run whose encoder embeds queries.  [default: the one that made STORE]"
            ),
            cloup.option(
                "--weights", default="default", help="Weights of the backbone.  [default: as the run has them]"
            ),
        ],
        COMPUTED: [
            cloup.option("--pairs", is_flag=True, help="Find the near-duplicates within STORE; takes no QUERY."),
            cloup.option("--json", "json_file", type=OUT_FILE, help="Write all that was found to this file."),
            cloup.option(
                "--csv", "csv_file", type=OUT_FILE, help="Write it to this file, one found video or pair a row."
            ),
        ],
        SPEED: [
            cloup.option("--workers", default=0, type=click.IntRange(0), help="Decoding processes; 0: one per core."),
            cloup.option("--index-folder", type=PATH, help="Folder for the index on disk.  [default: beside STORE]"),
        ],
    },
    setting_options(SearchConfig),
)
@click.pass_context
def search(
    ctx: click.Context,
    /,
    store: Path,
    queries: tuple[str, ...],
    run: Path | None,
    weights: str,
    pairs: bool,
    json_file: Path | None,
    csv_file: Path | None,
    workers: int,
    index_folder: Path | None,
    **given: Any,
) -> None:
    """Find the videos of STORE, an embedding store or a run, that are most similar to each QUERY.

    QUERY is a video of STORE by its path or its row, a video file, or a folder of videos. --pairs finds near-duplicates
    within STORE instead. Without either, --index f16 or i8 builds the index.
    """
    _check(ctx, bool(queries), pairs)
    from hcl.classify.answers.searching import results
    from hcl.classify.answers.searching.searcher import Searcher

    given |= {"run": run, "weights": weights, "index_folder": index_folder, "workers": workers}
    with Searcher(store, **given) as searcher:
        if pairs:
            found = searcher.near_duplicates()
            echo(results.pairs_table(found, searcher.config.top))
            if json_file:
                results.write_json(json_file, "pairs", found, searcher.store.path)
            if csv_file:
                results.write_pairs_csv(csv_file, found)
            return
        answers = searcher.search(queries)
    if not queries:
        echo(f"{searcher.store.path}: the index of its {len(searcher.store.videos)} videos is ready")
        return
    echo(results.as_table(answers))
    if json_file:
        results.write_json(json_file, "results", answers, searcher.store.path)
    if csv_file:
        results.write_results_csv(csv_file, answers)
    ctx.exit(FAILED if any(answer.error for answer in answers) else 0)


def _check(ctx: click.Context, asked: bool, pairs: bool) -> None:
    """Refuse options that do not go together."""
    typed = typed_options(ctx)
    if pairs and asked:
        raise click.UsageError("--pairs takes no QUERY: it compares the videos of STORE with each other")
    if not pairs and not asked and ctx.params["index"] in (AUTO, EXACT):
        raise click.UsageError("name a QUERY, or find near-duplicates with --pairs, or build an index with --index f16")
    for name in OF_QUERIES if pairs else OF_PAIRS:
        if name in typed:
            option = "--" + name.replace("_", "-")
            raise click.UsageError(f"{option} goes {'with a QUERY, not with' if pairs else 'with'} --pairs")
