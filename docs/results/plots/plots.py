"""Draw the plots of index.md: python plots.py reads figures.json and writes one SVG file a figure beside it.

figures.json holds every number that is plotted, with the page whose table it is from. The same numbers give the same
files with the same version of matplotlib. Needs matplotlib.
"""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLES = tuple(  # of a figure's series: colour-blind safe, and told apart by shape and dashes
    (colour, marker, dashes)
    for markers, dashes in (("os^DvP", "-"), ("Xhp*d<", "--"), (">1234x", ":"))
    for colour, marker in zip(COLOURS, markers, strict=True)
)
COLUMNS = 4  # of a legend
WIDTH = 7.2  # inches: about 700 pixels on a page
SETTINGS: dict[Any, Any] = {"svg.hashsalt": "hcl", "font.family": "DejaVu Sans", "font.size": 10}


def main() -> None:
    """Write all figures."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update(SETTINGS)
    for name, figure in json.loads((HERE / "figures.json").read_text(encoding="utf-8")).items():
        drawn = plot_rows(figure) if "panels" in figure else plot_lines(figure)
        drawn.savefig(HERE / f"{name}.svg", metadata={"Date": None})


def plot_rows(figure: dict[str, Any]) -> Any:
    """Plot one row for each method or part: a marker with whiskers, or with its value where there is no interval.

    Args:
        figure: panels side by side that share their rows; in each series a row is [value] or [value, low, high]

    Returns:
        a matplotlib figure
    """
    from matplotlib.figure import Figure

    rows = figure["panels"][0]["rows"]
    drawn = Figure(figsize=(WIDTH, 1.2 + 0.38 * len(rows)), layout="constrained")
    for axes, panel in zip(
        drawn.subplots(1, len(figure["panels"]), sharex=True, sharey=True, squeeze=False)[0],
        figure["panels"],
        strict=True,
    ):
        for number, (label, values) in enumerate(panel["series"].items()):
            colour, marker, _ = STYLES[number]
            shift = 0.36 * (number - (len(panel["series"]) - 1) / 2)
            for row, (value, *interval) in enumerate(values):
                if interval:
                    axes.plot(interval, [row + shift] * 2, color=colour, linewidth=1.5)
                else:
                    axes.annotate(f"{value:g}", (value, row + shift), (7, 0), textcoords="offset points", va="center")
                axes.plot(value, row + shift, marker, color=colour, markersize=6, label=label if row == 0 else None)
        mark_reference(axes.axvline, figure)
        axes.set(title=panel["title"], yticks=range(len(rows)), yticklabels=rows, ylim=(len(rows) - 0.5, -0.5))
        axes.set_xscale("log" if figure.get("log") else "linear")
        axes.set_xlim(figure["xlim"])
        if "xticks" in figure:
            axes.set_xticks(figure["xticks"], [f"{tick:g}" for tick in figure["xticks"]])
            axes.minorticks_off()
        finish(axes, grid="x")
    drawn.supxlabel(figure["xlabel"], fontsize=10)
    add_legend(drawn)
    return drawn


def plot_lines(figure: dict[str, Any]) -> Any:
    """Plot each series as a line over numbers.

    Args:
        figure: the numbers "x", and as many values in each series

    Returns:
        a matplotlib figure
    """
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(WIDTH, 3.2 + 0.2 * -(-len(figure["series"]) // COLUMNS)), layout="constrained")
    axes = drawn.subplots()
    for (label, values), (colour, marker, dashes) in zip(
        figure["series"].items(), STYLES[: len(figure["series"])], strict=True
    ):
        axes.plot(figure["x"], values, marker=marker, linestyle=dashes, color=colour, label=label)
    mark_reference(axes.axhline, figure)
    axes.set(title=figure["title"], xlabel=figure["xlabel"], ylabel=figure["ylabel"])
    if figure.get("log"):
        axes.set_xscale("log")
        axes.minorticks_off()
    axes.set_xticks(figure["x"], [f"{tick:g}" for tick in figure["x"]])
    axes.set(ylim=figure["ylim"])
    finish(axes, grid="y")
    add_legend(drawn)
    return drawn


def mark_reference(line: Any, figure: dict[str, Any]) -> None:
    """Draw chance, or the full model, as a dotted line where the figure has one."""
    if "reference" in figure:
        line(figure["reference"], color="black", linestyle=":", linewidth=1.5, label=figure["reference_label"])


def finish(axes: Any, *, grid: str) -> None:
    """Give axes a light grid behind the marks and no box."""
    axes.set_axisbelow(True)
    axes.grid(axis=grid, color="0.88")
    axes.spines[["top", "right"]].set_visible(False)
    axes.title.set_fontsize(10)


def add_legend(drawn: Any) -> None:
    """Put one legend above all panels."""
    handles, labels = drawn.axes[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), COLUMNS), frameon=False)


if __name__ == "__main__":
    main()
