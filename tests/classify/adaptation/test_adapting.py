"""hcl adapt on small videos: a run like any other, honest about what it was adapted to, resumed, and the mistakes."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from hcl.classify.adaptation import adapting, comparing
from hcl.classify.adaptation.adapting import AdaptedRun, adapt
from hcl.classify.adaptation.comparing import ADAPTED, BEFORE
from hcl.classify.embedding.embedder import VideoEmbedder
from hcl.cli import main
from hcl.extract.system.errors import InputError
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.train.adaptation.config import AdaptConfig
from hcl.train.runs.embed_cache import embed_cache
from hcl.train.runs.run_folder import Run, load_encoder, read_config

Quick = Callable[..., AdaptConfig]
pytestmark = pytest.mark.usefixtures("text_model")


def hcl(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


@pytest.fixture
def quick(small_weights: Path) -> Quick:
    """A function that makes settings of an adaptation of seconds."""

    def make(**changed: Any) -> AdaptConfig:
        given = {"steps": 3, "views": 2, "folds": 0, "device": "cpu", "workers": 1, "weights": str(small_weights)}
        return AdaptConfig(**given | changed)

    return make


@pytest.fixture
def clips(tmp_path: Path, small_videos: Path) -> Path:
    """Class folders of two novel videos each."""
    for name in ("clap2", "jump2", "wave2"):
        (tmp_path / "clips" / name).mkdir(parents=True)
        for copy in (0, 1):
            shutil.copy(small_videos / "novel" / name / f"{copy}.mp4", tmp_path / "clips" / name / f"{copy}.mp4")
    return tmp_path / "clips"


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """A function that lets the comparison end one way or the other; it is measured all the same."""

    def decide(adapted: bool) -> None:
        def told(plan: object, rows: object, folder: Path) -> comparing.Comparison:
            found = comparing.compare(plan, rows, folder)
            assert found.clips == 6 and found.parts == 2
            right = np.zeros((3, 6))
            right[2 if adapted else 1] = 1
            return comparing.summarised(right, ["a"] * 6, [""] * 6, np.arange(6), 2)

        monkeypatch.setattr(adapting, "compare", told)

    return decide


def test_an_adapted_run_is_a_run_and_says_what_it_learned(
    trained_run: Path,
    trained_cache: Path,
    clips: Path,
    tmp_path: Path,
    quick: Quick,
    decided: Callable[[bool], None],
) -> None:
    decided(True)
    out, before = tmp_path / "adapted", read_config(trained_run)
    done = adapt(trained_run, clips, out, config=quick(views=4, folds=2))
    assert isinstance(done, AdaptedRun) and done.comparison.keeps_adapted
    config = read_config(out)
    assert config.base_classes == (*before.base_classes, "clap2", "jump2", "wave2")
    assert config.cache["adapted"]["classes"] == {"clap2": 2, "jump2": 2, "wave2": 2}
    assert len(config.cache["adapted"]["contents"]) == 6 and config.cache["adapted"]["with_base"]
    now, then = load_encoder(out).state_dict(), load_encoder(trained_run).state_dict()
    assert not np.allclose(now["projection.weight"], then["projection.weight"])
    np.testing.assert_array_equal(now["geometry.mean"], then["geometry.mean"])
    store = EmbeddingStore.open(out / "embeddings.zarr")  # of the base cache's val and novel videos
    assert set(store.trained_classes) == {"clap2", "jump2", "wave2"} and store.videos.rows("val").size
    assert len(store.videos.rows("novel")) == 6  # not the six that were learned from
    with VideoEmbedder.load(out) as embedder:
        assert embedder.run is not None and embedder.run.folder == out
    assert not (out / "clips.zarr").exists() and not (out / "folds").exists()
    assert json.loads((out / "adaptation.json").read_text())["kept"] == ADAPTED
    refused = hcl("evaluate", out, "--way", 2, "--episodes", 5)
    assert refused.exit_code == 2 and "trained" in refused.output
    embedded = embed_cache(trained_cache, tmp_path / "other.zarr", run=out)
    assert set(EmbeddingStore.open(embedded.store).trained_classes) >= {"clap2", "jump2", "wave2"}
    with pytest.raises(InputError, match="this adaptation is finished; name another folder with --out"):
        adapt(trained_run, clips, out, config=quick(views=4, folds=2))
    assert hcl("info", out).exit_code == 0


def test_where_it_does_not_pay_the_run_stays_what_it_was(
    trained_run: Path, clips: Path, tmp_path: Path, quick: Quick, decided: Callable[[bool], None]
) -> None:
    decided(False)
    out, before = tmp_path / "kept", read_config(trained_run)
    done = adapt(trained_run, clips, out, config=quick(views=4, folds=2), keep_clips=True)
    assert done.to_dict()["kept"] == BEFORE and "not adapted" in str(done)
    assert read_config(out).base_classes == before.base_classes
    assert (out / "encoder.safetensors").read_bytes() == (trained_run / "encoder.safetensors").read_bytes()
    assert EmbeddingStore.open(out / "embeddings.zarr").trained_classes == ()
    assert (out / "clips.zarr").is_dir()


def test_a_killed_adaptation_resumes_to_the_same_weights(
    trained_run: Path, clips: Path, tmp_path: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = quick()
    adapt(trained_run, clips, tmp_path / "whole", config=config)
    with monkeypatch.context() as patched:
        patched.setattr(adapting, "save_encoder", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            adapt(trained_run, clips, tmp_path / "killed", config=config)
    assert not (tmp_path / "killed" / "encoder.safetensors").exists()
    with pytest.raises(InputError, match="unfinished adaptation of another run, to other clips or with other settings"):
        adapt(trained_run, clips, tmp_path / "killed", config=quick(steps=4))
    adapt(trained_run, clips, tmp_path / "killed", config=config)
    whole, resumed = (load_encoder(tmp_path / name).state_dict() for name in ("whole", "killed"))
    for name, value in whole.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)


def test_without_the_base_cache_the_clips_alone_are_learned_from(
    trained_run: Path,
    clips: Path,
    tmp_path: Path,
    quick: Quick,
    monkeypatch: pytest.MonkeyPatch,
    said: list[str],
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained_run, copy)
    config = read_config(copy)
    config.cache["path"] = str(tmp_path / "gone.zarr")
    adapting.write_config(copy, config)
    adapt(copy, clips, tmp_path / "out", config=quick())
    assert any("gone.zarr: the run's cache is not there any more" in line for line in said)
    adapted = read_config(tmp_path / "out")
    assert adapted.base_classes == (*config.base_classes, "clap2", "jump2", "wave2")  # it learned them before
    assert not adapted.cache["adapted"]["with_base"]
    store = EmbeddingStore.open(tmp_path / "out" / "embeddings.zarr")  # of the clips; all of them are trained on
    assert set(store.videos.label) == set(store.trained_classes)
    assert Run(tmp_path / "out", adapted).is_finished


MISTAKES = {
    "no run": (lambda run, clips, out: ("nowhere", clips, out), "nowhere: no such file or folder; expected a run"),
    "no clips": (lambda run, clips, out: (run, "nowhere", out), "nowhere: no such folder or manifest"),
    "the run itself": (lambda run, clips, out: (run, clips, run), "the run that is adapted stays as it is"),
    "a foreign folder": (lambda run, clips, out: (run, clips, clips), "holds clap2, which no adaptation wrote"),
    "a cache elsewhere": (
        lambda run, clips, out: (run, clips, out, "--cache", "nowhere"),
        "nowhere: no such file",
    ),
    "another text model": (
        lambda run, clips, out: (run, clips, out, "--text-model", "none"),
        "it learned to weigh patches by class texts",
    ),
    "no steps": (lambda run, clips, out: (run, clips, out, "--steps", "0"), "--steps must be at least 1"),
    "one view": (lambda run, clips, out: (run, clips, out, "--views", "1"), "--views must be at least 2"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_one_line(mistake: str, trained_run: Path, clips: Path, tmp_path: Path) -> None:
    make, said = MISTAKES[mistake]
    run, support, out, *options = make(trained_run, clips, tmp_path / "out")
    told = hcl("adapt", run, support, "--out", out, *options)
    assert told.exit_code == 2 and re.search(re.escape(said), told.output), told.output
    assert told.output.count("\n") == 1


def test_one_clip_a_class_cannot_be_measured(trained_run: Path, clips: Path, tmp_path: Path, quick: Quick) -> None:
    for name in ("clap2", "jump2", "wave2"):
        (clips / name / "1.mp4").unlink()
    with pytest.raises(InputError, match="nobody can tell whether adapting pays; add clips, or adapt unmeasured with"):
        adapt(trained_run, clips, tmp_path / "out", config=quick(views=4, folds=2))


def test_one_clip_in_two_classes_is_named(trained_run: Path, clips: Path, tmp_path: Path, quick: Quick) -> None:
    shutil.copy(clips / "clap2" / "0.mp4", clips / "jump2" / "9.mp4")
    with pytest.raises(InputError, match="clap2/0.mp4 = jump2/9.mp4: the same clip as one of clap2 and of jump2"):
        adapt(trained_run, clips, tmp_path / "out", config=quick(views=4, folds=2))


def test_broken_clips_are_named_and_a_class_of_them_alone_is_refused(
    trained_run: Path, clips: Path, small_weights: Path, tmp_path: Path, quick: Quick
) -> None:
    (clips / "wave2" / "broken.mp4").write_bytes(b"no video")
    told = hcl(
        *("adapt", trained_run, clips, "--out", tmp_path / "out", "--steps", 3, "--views", 2, "--folds", 0),
        *("--weights", small_weights),
        *("--json", tmp_path / "said.json"),
    )
    assert told.exit_code == 1 and "failed: wave2/broken.mp4: " in told.output, told.output
    assert json.loads((tmp_path / "said.json").read_text())["failed"]
    for copy in (0, 1):
        (clips / "wave2" / f"{copy}.mp4").unlink()
    with pytest.raises(InputError, match="class 'wave2': none of its clips can be read, such as wave2/broken.mp4"):
        adapt(trained_run, clips, tmp_path / "other", config=quick(views=4, folds=2))
