"""A comparison as text in the form of the paper's Table 5."""

from tabulate import tabulate

from hcl.extract.system.console import plain
from hcl.match.evaluation.comparison import UNTRAINED, Comparison
from hcl.match.reports.report import UNTRAINED_RUN, Quote, case_name, choice_lines, counted, queries_name


def as_text(comparison: Comparison, quote: Quote = plain) -> str:
    """Methods by row and shots by column, then the paired differences; `quote` as of `report.as_text`."""
    config, plan = comparison.episodes, comparison.plan
    head = (
        f"{config.n_way}-way, {queries_name(config.n_query)}, the same {counted(config.episodes, 'episode')} of"
        f" {plan.split} classes for all{', group-disjoint' if config.group_disjoint else ''};"
        " accuracy in % ± 95 % over episodes"
    )
    behind = list(map(quote, _behind(comparison)))
    choice = choice_lines(comparison.left_out, comparison.trained_on, quote)
    return "\n\n".join((head, *choice, _accuracies(comparison, quote), _differences(comparison, quote), *behind))


def run_name(name: str) -> str:
    """How an entry is shown: a run by its own name, the baseline without training by what it is."""
    return UNTRAINED_RUN if name == UNTRAINED else name


def _behind(comparison: Comparison) -> list[str]:
    """Name the runs that the ResNet without training, which comes first, is ahead of."""
    untrained, *runs = comparison.entries
    lines = []
    for case, of in untrained.accuracies.items():
        told = [
            f"{run.name} ({run.accuracies[case].accuracy:.1f} %)"
            for run in runs
            if run.accuracies[case].accuracy < of.accuracy
        ]
        if told:
            shown = f"{UNTRAINED_RUN} ({of.accuracy:.1f} %, {case_name(case, comparison.plan, ' ')})"
            lines.append(f"without training, {shown} is ahead of {', '.join(told)}")
    return lines


def _accuracies(comparison: Comparison, quote: Quote) -> str:
    rows = [
        (
            quote(run_name(entry.name)),
            quote(entry.method),
            *(f"{of.accuracy:.2f} ± {of.ci95:.2f}" for of in entry.accuracies.values()),
        )
        for entry in comparison.entries
    ]
    cases = (case_name(case, comparison.plan, " ") for case in comparison.entries[0].accuracies)
    return tabulate(rows, headers=("run", "method", *cases), tablefmt="github", disable_numparse=True)


def _differences(comparison: Comparison, quote: Quote) -> str:
    rows = []
    for difference in comparison.differences:
        value, (low, high) = difference.value, difference.value.bootstrap95
        rows.append(
            (
                quote(f"{run_name(difference.name)} - {difference.first}"),
                case_name(difference.case, comparison.plan, " "),
                f"{value.accuracy:+.2f}",
                f"± {value.ci95:.2f}",
                f"{low:+.1f} to {high:+.1f}",
                difference.verdict,
            )
        )
    headers = (
        "paired difference",
        "",
        "points",
        "95 % CI (episodes)",
        "95 % CI (bootstrap over classes, groups, videos)",
        "",
    )
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)
