"""Episodes as a JSON file that any system can read, so that all are tested on exactly the same."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcl.extract.cache.video_table import VideoTable
from hcl.extract.system.atomic import HASH, atomic_file, document_hash, with_hash
from hcl.extract.system.errors import InputError, first_line, write_errors
from hcl.match.episodes.drawing import Episodes, EpisodeSet
from hcl.match.episodes.video_pool import LeftOut
from hcl.match.store.embedding_store import EmbeddingStore

SCHEMA, VERSION = "hcl-episodes", 1


@dataclass(frozen=True)
class EpisodeList:
    """Episodes over named videos, free of any store's row numbers."""

    paths: tuple[str, ...]  # of the v videos of the episodes
    labels: tuple[str, ...]
    contents: tuple[str, ...]  # SHA-256 of each source; "" where unknown
    episodes: Episodes  # numbers of these videos

    @classmethod
    def of(cls, episodes: Episodes, videos: VideoTable) -> "EpisodeList":
        """Name the videos of episodes that were drawn from a table."""
        rows, numbered = episodes.renumbered()
        used = videos.take(rows)
        return cls(used.path, used.label, used.content, numbered)

    @property
    def shape(self) -> dict[str, int]:
        """The fields of EpisodeConfig that these episodes have."""
        count, n_way, n_query = self.episodes.query.shape
        return {"n_way": n_way, "n_query": n_query, "episodes": count, "k_shot": self.episodes.support.shape[2]}

    def find_in(self, store: EmbeddingStore, split: str) -> EpisodeSet:
        """Find the videos of these episodes in a store.

        Raises:
            InputError: if one is missing, of another class, content or split, or left out as an earlier split has it
        """
        copies = store.left_out(split)
        # A path may hold " = " itself: a line is found by all that may be its path.
        left_out = {line[: match.start()]: line for line in copies for match in re.finditer(" = ", line)}
        places = {path: row for row, path in enumerate(store.videos.path)}
        rows = np.empty(len(self.paths), dtype=np.int64)
        for number, (path, label, content) in enumerate(zip(self.paths, self.labels, self.contents, strict=True)):
            if same := left_out.get(f"{split} {path}"):
                raise InputError(f"{store.path}: an episode's video is left out, {same}; draw the episodes anew")
            if path not in places:
                raise InputError(f"{store.path}: no video {path!r}, which the episodes name; embed its cache")
            row = rows[number] = places[path]
            for what, here, there in (
                ("class", label, store.videos.label[row]),
                ("content", content, store.videos.content[row]),
            ):
                if here and there != here:
                    raise InputError(f"{store.path}: {path} is of {what} {there!r}, the episodes say {here!r}")
            if store.videos.split[row] != split:
                raise InputError(
                    f"{store.path}: {path} is of split {store.videos.split[row]}, not {split}; choose with --split"
                )
        episodes = Episodes(rows[self.episodes.support], rows[self.episodes.query])
        return EpisodeSet(episodes, dict(sorted(Counter(self.labels).items())), LeftOut(copies=copies))


def write_episodes(path: str | Path, episode_list: EpisodeList, settings: Mapping[str, Any]) -> None:
    """Write episodes and how they were drawn.

    Args:
        path: of the JSON file
        episode_list: the episodes
        settings: the fields of EpisodeConfig

    Raises:
        InputError: if the file cannot be written
    """
    videos = [
        {"path": name, "class": label, "sha256": content}
        for name, label, content in zip(episode_list.paths, episode_list.labels, episode_list.contents, strict=True)
    ]
    content = {
        "schema": SCHEMA,
        "version": VERSION,
        "drawn": dict(settings),
        "axes": {"support": ["episode", "class", "video"], "query": ["episode", "class", "video"]},
        "videos": videos,
        "support": episode_list.episodes.support.tolist(),
        "query": episode_list.episodes.query.tolist(),
    }
    with write_errors(Path(path), "name another file with --save-episodes"), atomic_file(Path(path)) as fresh:
        fresh.write_text(json.dumps(with_hash(content), ensure_ascii=False) + "\n", encoding="utf-8")


def read_episodes(path: str | Path) -> EpisodeList:
    """Read episodes and check that they are fair: no query among the supports, one class in each place.

    Raises:
        InputError: if the file is missing or not such a list
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA or content["version"] != VERSION:
            raise ValueError(f"schema {content['schema']!r} version {content['version']!r}")
        if content.get(HASH, "") not in ("", document_hash(content)):  # lists of other systems need none
            raise ValueError(f"damaged or changed: its key {HASH!r} is not the hash of the rest; remove it if edited")
        episode_list = _parsed(content)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); write one with --save-episodes") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path}: not a list of episodes ({first_line(error)}); write one with --save-episodes"
        ) from error
    _validate_episodes(path, episode_list)
    return episode_list


def _parsed(content: Mapping[str, Any]) -> EpisodeList:
    videos = content["videos"]
    support, query = _numbers(content["support"], len(videos)), _numbers(content["query"], len(videos))
    return EpisodeList(
        tuple(str(video["path"]) for video in videos),
        tuple(str(video["class"]) for video in videos),
        tuple(str(video.get("sha256", "")) for video in videos),
        Episodes(support, query),
    )


def _numbers(nested: Sequence[Any], videos: int) -> NDArray[np.int64]:
    """Read nested lists of video numbers: (E, N, K)."""
    numbers = np.array(nested)
    if numbers.ndim != 3 or not numbers.size or not np.issubdtype(numbers.dtype, np.integer):
        raise ValueError(f"support and query must be whole numbers by episode, class and video, got {numbers.shape}")
    if numbers.min() < 0 or numbers.max() >= videos:
        raise ValueError(f"video numbers must be 0 to {videos - 1}, got {numbers.min()} to {numbers.max()}")
    return numbers.astype(np.int64)


def _validate_episodes(path: Path, episode_list: EpisodeList) -> None:
    support, query = episode_list.episodes.support, episode_list.episodes.query
    members = np.sort(np.concatenate((support, query), axis=2).reshape(len(support), -1), axis=1)
    twice = (members[:, 1:] == members[:, :-1]).any(axis=1)
    if twice.any():
        raise InputError(f"{path}: episode {int(twice.argmax())} has one video in two places; draw the episodes anew")
    names = {name: number for number, name in enumerate(sorted(set(episode_list.labels)))}
    classes = np.array([names[label] for label in episode_list.labels])
    of_all = classes[np.concatenate((support, query), axis=2)]  # (E, N, K + M)
    mixed = (of_all != of_all[:, :, :1]).any(axis=(1, 2))
    ordered = np.sort(of_all[:, :, 0], axis=1)
    mixed |= (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    if mixed.any():
        raise InputError(
            f"{path}: episode {int(mixed.argmax())} mixes classes: all videos of a place must be of one class,"
            " and each class has one place"
        )
