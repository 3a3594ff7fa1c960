"""Studies as text: cross-validations, and ablations beside the paper's numbers."""

from tabulate import tabulate

from hcl.extract.system.console import plain
from hcl.match.config import BASELINE
from hcl.match.episodes.video_pool import LeftOut
from hcl.match.evaluation.comparison import verdict
from hcl.match.evaluation.cross_validation import CrossValidation, Mean
from hcl.match.reports.report import (
    UNTRAINED_RUN,
    Quote,
    behind_text,
    case_name,
    counted,
    overlap_table,
    queries_name,
    score_name,
)
from hcl.train.studies.ablation import Ablation, AblationRow
from hcl.train.studies.method_tables import MethodRow, MethodTable


def crossval_text(result: CrossValidation, quote: Quote = plain) -> str:
    """One table for each number of shots: folds by column, their mean and its interval; several come first in one.

    Args:
        result: to report
        quote: what makes labels safe: `plain` for a terminal, `markdown` for a file
    """
    first = result.evaluations[0][0]
    episodes = first.episodes
    count, seeds = len(result.evaluations), len(result.evaluations[0])
    parts = [
        f"{episodes.n_way}-way, {queries_name(episodes.n_query)}, {counted(episodes.episodes, 'episode')} of"
        f" {first.plan.split} classes per fold{', group-disjoint' if episodes.group_disjoint else ''};"
        f" {counted(count, 'fold')} x {counted(seeds, 'trained seed')}\n"
        "95 % by resampling folds, seeds, classes, groups and videos"
    ]
    small = {name: count for of_seeds in result.evaluations for name, count in of_seeds[0].left_out.small.items()}
    parts += map(quote, LeftOut(small=small).sentences())
    parts += [_summary(result)] if len(first.outcomes) > 1 else []
    for number, outcome in enumerate(first.outcomes):
        means = {name: result.accuracy(number, name) for name in outcome.accuracies}
        headers = (f"{outcome.case.k_shot}-shot, %", *(f"fold {fold}" for fold in range(count)), "mean", "95 %")
        rows = [(score_name(name), *_by_fold(mean)) for name, mean in means.items()]
        parts.append(tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True))
        behind = behind_text({name: mean.mean for name, mean in means.items()}, outcome.headline)
        parts += [behind] if behind else []
    return "\n\n".join(parts)


def _summary(result: CrossValidation) -> str:
    """The means of all cases side by side."""
    first = result.evaluations[0][0]
    cases = range(len(first.outcomes))
    rows = []
    for name in first.outcomes[0].accuracies:
        means = [result.accuracy(case, name) for case in cases]
        rows.append((score_name(name), *(f"{mean.mean:.1f} ({interval_text(mean)})" for mean in means)))
    headers = ("mean % (95 %)", *(case_name(outcome.case, first.plan) for outcome in first.outcomes))
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def _by_fold(mean: Mean) -> tuple[str, ...]:
    return (*(f"{value:.1f}" for value in mean.by_fold), f"{mean.mean:.1f}", interval_text(mean))


def interval_text(mean: Mean, sign: str = "") -> str:
    """An interval such as "62.1 to 70.3"; with sign "+" both ends have one."""
    low, high = mean.interval
    return f"{low:{sign}.1f} to {high:{sign}.1f}"


def table_text(result: Ablation | MethodTable) -> str:
    """One of the paper's tables beside one's own results."""
    return method_text(result) if isinstance(result, MethodTable) else ablation_text(result)


def ablation_text(result: Ablation) -> str:
    """One table of the paper, a part for each number of shots."""
    parts = [f"Table {result.number}: {result.title}; differences are paired, from the last row"]
    for case, shot in enumerate(result.shots):
        rows = [_ablation_row(row, case, shot) for row in result.rows]
        headers = (f"{shot}-shot", "%", "95 %", "difference", "95 %", "", "paper: Kinetics", "SSv2*")
        parts.append(tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True))
    return "\n\n".join(parts)


def method_text(result: MethodTable) -> str:
    """One of the paper's tables of methods, on a benchmark or across sets, a part for each number of shots."""
    parts = [
        plain(f"Table {result.number}: {result.title}; differences are paired, from the last row"),
        *(plain(line) for coverage in result.sources for line in coverage.sentences()),
    ]
    if table := overlap_table(result.facts):
        parts.append(table)
    for case, shot in enumerate(result.shots):
        rows = [_method_row(row, case, row.paper.get(shot)) for row in result.rows]
        headers = (f"{shot}-shot", "%", "95 %", "difference", "95 %", "", "paper")
        parts.append(tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True))
    return "\n\n".join(parts)


def _method_row(row: MethodRow, case: int, paper: float | None) -> tuple[str, ...]:
    published = "" if paper is None else str(paper)
    accuracy, difference = row.accuracies[case], row.differences[case]
    ours = (row.system.name, f"{accuracy.mean:.1f}", interval_text(accuracy))
    if difference.interval == (0.0, 0.0):
        return (*ours, "", "", "", published)
    told = (f"{difference.mean:+.1f}", interval_text(difference, "+"), verdict(*difference.interval))
    return (*ours, *told, published)


def _ablation_row(row: AblationRow, case: int, shot: int) -> tuple[str, ...]:
    accuracy, difference = row.accuracies[case], row.differences[case]
    name = UNTRAINED_RUN if row.variant.score == BASELINE else row.variant.name
    ours = (name, f"{accuracy.mean:.1f}", interval_text(accuracy))
    kinetics, something = row.variant.paper[::2] if shot == 1 else row.variant.paper[1::2]
    paper = (str(kinetics), str(something)) if shot in (1, 5) else ("", "")
    if difference.interval == (0.0, 0.0):
        return (*ours, "", "", "", *paper)
    return (*ours, f"{difference.mean:+.1f}", interval_text(difference, "+"), row.verdicts[case], *paper)
