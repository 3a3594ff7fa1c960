"""A backbone of whole clips, such as VideoMAE: from videos to maps of time steps, a run, answers and pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from click.testing import CliRunner, Result

from hcl.classify.embedding.embedder import VideoEmbedder
from hcl.classify.embedding.videos import EmbeddedVideo
from hcl.classify.pages.parts import frames_of
from hcl.cli import main
from hcl.extract.cache.formats import open_cache
from hcl.match.store.embedding_store import EmbeddingStore
from hcl.match.store.locate import STORE
from hcl.train.runs.run_folder import read_config

QUICK = "--dim 16 --heads 2 --mlp-dim 16 --epochs 1 --steps-per-epoch 2 --no-hold-out --device cpu --preset quick"
SPLITS = {"a": "base", "b": "base", "c": "novel", "d": "novel"}


def hcl(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, write_video: Any) -> Path:
    """A folder with videos, a cache by a tiny VideoMAE of 4 frames of 32 pixels in 2 steps of 2 x 2, and a run."""
    folder = tmp_path_factory.mktemp("clips")
    sizes = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.VideoMAEConfig(**sizes, image_size=32, patch_size=16, num_frames=4)
        transformers.VideoMAEModel(config).save_pretrained(folder / "model")
    for number, (label, split) in enumerate(SPLITS.items()):
        for copy in range(2):
            write_video(folder / "videos" / split / label / f"{copy}.mp4", seed=10 * number + copy)
    sizes_given = ("--backbone", folder / "model", "--frames", 4, "--size", 32)
    given = (*sizes_given, "--precision", "float32", "--workers", 1, "--no-text")
    forecast = hcl("extract", folder / "videos", folder / "c.zarr", *given, "--dry-run")
    assert forecast.exit_code == 0 and "8 videos to read" in forecast.output, forecast.output
    done = hcl("extract", folder / "videos", folder / "c.zarr", *given)
    assert done.exit_code == 0, done.output
    done = hcl("train", folder / "c.zarr", "--run", folder / "run", *QUICK.split())
    assert done.exit_code == 0, done.output
    return folder


def test_maps_have_time_steps_and_a_run_answers_as_its_store(made: Path) -> None:
    assert open_cache(made / "c.zarr").shape == (2, 4, 24)  # 2 steps of 4 frames, and the difference images' channels
    store = EmbeddingStore.open(made / "run" / STORE)
    assert frames_of(store, read_config(made / "run")) == 2
    assert hcl("evaluate", made / "run", "--way", 2, "--episodes", 5).exit_code == 0
    with VideoEmbedder.load(made / "run", device="cpu") as embedder:
        assert embedder.time_steps == 2
        found = embedder.embed_one(made / "videos" / "novel" / store.videos.path[0].removeprefix("novel/"))
    assert isinstance(found, EmbeddedVideo)
    row = store.videos.content.index(found.content)
    stored = store.arrays(["patches"], np.array([row]))["patches"]
    torch.testing.assert_close(found.batch.arrays["patches"], stored.float(), rtol=2e-3, atol=2e-3)


def test_a_match_shows_a_picture_for_each_step_and_what_reads_single_frames_is_refused(made: Path) -> None:
    pair = made / "videos" / "novel" / "c" / "0.mp4", made / "videos" / "novel" / "c" / "1.mp4"
    told = hcl("explain", *pair, "--run", made / "run", "--out", made / "match.html", "--text-model", "none")
    assert told.exit_code == 0, told.output
    assert (made / "match.html").read_text(encoding="utf-8").count("<symbol") == 4  # two steps of each
    told = hcl("spot", pair[0], "--support", made / "videos" / "novel", "--run", made / "run", "--text-model", "none")
    assert told.exit_code == 2 and "maps whole clips, and a long video is read frame by frame" in told.output
    told = hcl("export", made / "run", "--part", "backbone", "--out", made / "b.pt2")
    assert told.exit_code == 2 and "maps whole clips, not images; export --part encoder alone" in told.output
