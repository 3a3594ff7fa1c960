"""Episode lists: what is written is read, and unfair or foreign ones are refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hcl.extract.system.errors import InputError
from hcl.match.config import EpisodeConfig
from hcl.match.episodes.drawing import draw_set
from hcl.match.episodes.episode_file import EpisodeList, read_episodes, write_episodes
from hcl.match.store.embedding_store import EmbeddingStore

VIDEOS = 30
WriteEmbeddings = Callable[..., Path]


@pytest.fixture
def store(tmp_path: Path, write_embeddings: WriteEmbeddings) -> EmbeddingStore:
    return EmbeddingStore.open(write_embeddings(tmp_path / "store.zarr"))


def listed(store: EmbeddingStore) -> EpisodeList:
    config = EpisodeConfig(n_way=3, k_shot=2, n_query=2, episodes=7)
    return EpisodeList.of(draw_set(store.videos, "novel", config).episodes, store.videos)


def written(tmp_path: Path, store: EmbeddingStore) -> Path:
    write_episodes(tmp_path / "episodes.json", listed(store), {"seed": 0})
    return tmp_path / "episodes.json"


def test_episodes_come_back_row_by_row(tmp_path: Path, store: EmbeddingStore) -> None:
    read = read_episodes(written(tmp_path, store))
    assert read.shape == {"n_way": 3, "n_query": 2, "episodes": 7, "k_shot": 2}
    config = EpisodeConfig(n_way=3, k_shot=2, n_query=2, episodes=7)
    drawn, found = draw_set(store.videos, "novel", config).episodes, read.find_in(store, "novel").episodes
    np.testing.assert_array_equal(found.support, drawn.support)
    np.testing.assert_array_equal(found.query, drawn.query)


def test_videos_are_found_by_name_wherever_they_stand(
    tmp_path: Path, store: EmbeddingStore, write_embeddings: WriteEmbeddings
) -> None:
    order = np.random.default_rng(0).permutation(VIDEOS).tolist()
    facts = {name: tuple(getattr(store.videos, name)[row] for row in order) for name in ("path", "label", "content")}
    other = EmbeddingStore.open(write_embeddings(tmp_path / "other.zarr", **facts))
    here, there = (listed(store).find_in(which, "novel").episodes for which in (store, other))
    assert [store.videos.path[row] for row in here.query.ravel()] == [
        other.videos.path[row] for row in there.query.ravel()
    ]


def other_split(facts: dict[str, Any]) -> None:
    facts["split"] = ("base",) * VIDEOS


def other_class(facts: dict[str, Any]) -> None:
    facts["label"] = ("x",) * VIDEOS


def other_content(facts: dict[str, Any]) -> None:
    facts["content"] = ("changed",) * VIDEOS


def other_names(facts: dict[str, Any]) -> None:
    facts["path"] = tuple(f"w{row}" for row in range(VIDEOS))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_split, "is of split base, not novel; choose with --split"),
        (other_class, "is of class 'x', the episodes say 'class"),
        (other_content, "is of content 'changed', the episodes say 'hash"),
        (other_names, r"no video 'v\d+.mp4', which the episodes name"),
    ],
)
def test_a_store_of_other_videos_is_refused(
    tmp_path: Path,
    store: EmbeddingStore,
    write_embeddings: WriteEmbeddings,
    change: Callable[[dict[str, Any]], None],
    message: str,
) -> None:
    facts: dict[str, Any] = {}
    change(facts)
    other = EmbeddingStore.open(write_embeddings(tmp_path / "other.zarr", **facts))
    with pytest.raises(InputError, match=message):
        listed(store).find_in(other, "novel")


def query_among_supports(content: dict[str, Any]) -> None:
    content["query"][4][1][0] = content["support"][4][1][0]


def mixed_class(content: dict[str, Any]) -> None:
    content["query"][2][0], content["query"][2][1] = content["query"][2][1], content["query"][2][0]


def ragged(content: dict[str, Any]) -> None:
    content["query"][2][0].pop()


def beyond(content: dict[str, Any]) -> None:
    content["support"][0][0][0] = 99


def fractions(content: dict[str, Any]) -> None:
    content["support"] = [[[0.5]]]


def no_videos(content: dict[str, Any]) -> None:
    del content["videos"]


def other_schema(content: dict[str, Any]) -> None:
    content["version"] = 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (query_among_supports, "episode 4 has one video in two places; draw the episodes anew"),
        (mixed_class, "episode 2 mixes classes: all videos of a place must be of one class"),
        (ragged, "not a list of episodes .*; write one with --save-episodes"),
        (beyond, "video numbers must be 0 to"),
        (fractions, "must be whole numbers by episode, class and video"),
        (no_videos, "not a list of episodes"),
        (other_schema, "version 7"),
    ],
)
def test_unfair_and_broken_lists_are_refused(
    tmp_path: Path, store: EmbeddingStore, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    file = written(tmp_path, store)
    content = json.loads(file.read_text())
    del content["sha256"]  # a list by another system
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        read_episodes(file)


def test_files_that_cannot_be_read_or_written_are_named(tmp_path: Path, store: EmbeddingStore) -> None:
    (tmp_path / "text.json").write_text("episodes")
    with pytest.raises(InputError, match=r"text.json: not a list of episodes"):
        read_episodes(tmp_path / "text.json")
    with pytest.raises(InputError, match=r"none.json: cannot be read .*write one with --save-episodes"):
        read_episodes(tmp_path / "none.json")
    with pytest.raises(InputError, match="name another file with --save-episodes"):
        write_episodes(tmp_path / "nowhere" / "e.json", listed(store), {})


def test_a_changed_list_is_noticed_unless_it_says_nothing_of_its_hash(tmp_path: Path, store: EmbeddingStore) -> None:
    file = written(tmp_path, store)
    content = json.loads(file.read_text())
    content["support"][0][0].reverse()
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"not a list of episodes \(damaged or changed: its key 'sha256'.*remove it"):
        read_episodes(file)
    del content["sha256"]
    file.write_text(json.dumps(content))
    assert read_episodes(file).shape["episodes"] == 7


def test_every_flipped_byte_is_noticed_or_changes_nothing(tmp_path: Path, store: EmbeddingStore) -> None:
    file = written(tmp_path, store)
    expected, content = read_episodes(file), file.read_bytes()
    for place in range(0, len(content), 7):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 7
        file.write_bytes(flipped)
        try:
            found = read_episodes(file)
        except InputError:
            continue
        assert (found.paths, found.labels, found.contents) == (expected.paths, expected.labels, expected.contents)
        np.testing.assert_array_equal(found.episodes.support, expected.episodes.support)
        np.testing.assert_array_equal(found.episodes.query, expected.episodes.query)
