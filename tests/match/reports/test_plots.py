"""Pictures show the numbers of the evaluation, and are files that can be opened."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hcl.extract.system.errors import InputError
from hcl.match.embeddings import Embeddings
from hcl.match.evaluation.evaluate import evaluate
from hcl.match.evaluation.results import Evaluation
from hcl.match.reports.plots import make_figures, write_all_plots, write_plots


@pytest.fixture
def evaluation(
    tmp_path: Path, make_embeddings: Callable[..., Embeddings], write_embeddings: Callable[..., Path]
) -> Evaluation:
    """With a signal that leaves classes confused."""
    path = write_embeddings(tmp_path / "store.zarr", make_embeddings(signal=0.2))
    return evaluate(path, episodes=30, shot=(1, 3))


def test_figures_show_the_numbers(evaluation: Evaluation) -> None:
    pytest.importorskip("matplotlib")
    figures = make_figures(evaluation)
    bars = [bar.get_width() for bar in figures["accuracy"].axes[0].patches]
    assert bars == [value.accuracy for outcome in evaluation.outcomes for value in outcome.accuracies.values()]
    for outcome in evaluation.outcomes:
        classes = figures[f"classes-{outcome.case.k_shot}-shot"].axes[0]
        shown = dict(
            zip(
                (label.get_text() for label in classes.get_yticklabels()),
                (bar.get_width() for bar in classes.patches),
                strict=True,
            )
        )
        assert shown == dict(zip(evaluation.class_names, outcome.per_class, strict=True))
        confusion = figures[f"confusion-{outcome.case.k_shot}-shot"].axes[0]
        shares = 100 * outcome.confusion / outcome.confusion.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(confusion.images[0].get_array(), shares)
        assert [label.get_text() for label in confusion.get_xticklabels()] == list(evaluation.class_names)
        assert [text.get_text() for text in confusion.texts] == [f"{share:.0f}" for share in shares.flat]
        assert confusion.images[0].get_clim() == (0, shares.max())
    for name, figure in figures.items():
        title = figure.axes[0].get_title()
        assert "hcl" in title and "5-way, 1 query per class, 30 episodes of novel classes" in title, name
    assert not any(axes.get_legend() for figure in figures.values() for axes in figure.axes)  # it stands outside


def test_every_figure_is_written_in_its_size(evaluation: Evaluation, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    files, figures = write_plots(str(tmp_path / "plots"), evaluation), make_figures(evaluation)
    assert [file.stem for file in files] == list(figures) and len(files) == 1 + 2 * 2
    for file, figure in zip(files, figures.values(), strict=True):
        with Image.open(file) as picture:
            assert picture.format == "PNG"
            assert np.abs(np.array(picture.size) - 150 * figure.get_size_inches()).max() <= 1
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="name another folder with --plot"):
        write_plots(tmp_path / "file", evaluation)


def test_the_pictures_of_several_runs_stand_apart(evaluation: Evaluation, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    again = evaluate(evaluation.store, episodes=3, seed=1)
    files = write_all_plots(tmp_path / "plots", [evaluation, again])
    assert {file.parent.name for file in files} == {"store-zarr-seed-0", "store-zarr-seed-1"}
    assert len(files) == 5 + 3 and all(file.is_file() for file in files)


def test_without_matplotlib_the_remedy_is_named(
    evaluation: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match="--plot needs matplotlib: pip install matplotlib"):
        write_plots(tmp_path, evaluation)
