"""Episodes as a JSON file that any system can read, so that all are asked exactly the same."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcl.extract.cache.video_table import VideoTable
from hcl.extract.system.errors import InputError, first_line
from hcl.match.episodes.drawing import Episodes
from hcl.match.store.embedding_store import EmbeddingStore

SCHEMA, VERSION = "hcl-episodes", 1


@dataclass(frozen=True)
class EpisodeList:
    """Episodes over named videos, free of any store's row numbers."""

    paths: tuple[str, ...]  # of the v videos that the episodes ask for
    labels: tuple[str, ...]
    contents: tuple[str, ...]  # SHA-256 of each source; "" where unknown
    episodes: Episodes  # numbers of these videos

    @classmethod
    def of(cls, drawn: Episodes, videos: VideoTable) -> "EpisodeList":
        """Name the videos of episodes that were drawn from a store."""
        rows, local = drawn.renumbered()
        return cls(
            tuple(videos.path[row] for row in rows),
            tuple(videos.label[row] for row in rows),
            tuple(videos.content[row] for row in rows),
            local,
        )

    @property
    def shape(self) -> dict[str, int]:
        """The fields of EpisodeConfig that these episodes have."""
        count, n_way, n_query = self.episodes.query.shape
        return {"n_way": n_way, "n_query": n_query, "episodes": count, "k_shot": self.episodes.support.shape[2]}

    def rows(self, store: EmbeddingStore, split: str) -> Episodes:
        """Find the videos of these episodes in a store.

        Raises:
            InputError: if one is missing, of another class, content or split
        """
        places = {path: row for row, path in enumerate(store.videos.path)}
        rows = np.empty(len(self.paths), dtype=np.int64)
        for number, (path, label, content) in enumerate(zip(self.paths, self.labels, self.contents, strict=True)):
            if path not in places:
                raise InputError(f"{store.path}: no video {path!r}, which the episodes ask for; embed its cache")
            row = rows[number] = places[path]
            for what, wanted, held in (
                ("class", label, store.videos.label[row]),
                ("content", content, store.videos.content[row]),
            ):
                if wanted and held != wanted:
                    raise InputError(f"{store.path}: {path} is of {what} {held!r}, the episodes say {wanted!r}")
            if store.videos.split[row] != split:
                raise InputError(
                    f"{store.path}: {path} is of split {store.videos.split[row]}, not {split}; choose with --split"
                )
        return Episodes(rows[self.episodes.support], rows[self.episodes.query])


def write_episodes(path: Path, listed: EpisodeList, settings: Mapping[str, Any]) -> None:
    """Write episodes and how they were drawn.

    Raises:
        InputError: if the file cannot be written
    """
    videos = [
        {"path": name, "class": label, "sha256": content}
        for name, label, content in zip(listed.paths, listed.labels, listed.contents, strict=True)
    ]
    content = {
        "schema": SCHEMA,
        "version": VERSION,
        "drawn": dict(settings),
        "axes": {"support": ["episode", "class", "video"], "query": ["episode", "class", "video"]},
        "videos": videos,
        "support": listed.episodes.support.tolist(),
        "query": listed.episodes.query.tolist(),
    }
    try:
        path.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); name another file with --save-episodes"
        ) from error


def read_episodes(path: Path) -> EpisodeList:
    """Read episodes and check that they are honest: no query among the supports, one class in each place.

    Raises:
        InputError: if the file is missing or not such a list
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA or content["version"] != VERSION:
            raise ValueError(f"schema {content['schema']!r} version {content['version']!r}")
        listed = _parsed(content)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); write one with --save-episodes") from error
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path}: not a list of episodes ({first_line(error)}); write one with --save-episodes"
        ) from error
    _validate_episodes(path, listed)
    return listed


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


def _validate_episodes(path: Path, listed: EpisodeList) -> None:
    support, query = listed.episodes.support, listed.episodes.query
    together = np.sort(np.concatenate((support, query), axis=2).reshape(len(support), -1), axis=1)
    twice = (together[:, 1:] == together[:, :-1]).any(axis=1)
    if twice.any():
        raise InputError(f"{path}: episode {int(twice.argmax())} has one video in two places; draw the episodes anew")
    names = {name: number for number, name in enumerate(sorted(set(listed.labels)))}
    classes = np.array([names[label] for label in listed.labels])
    of_all = classes[np.concatenate((support, query), axis=2)]  # (E, N, K + M)
    mixed = (of_all != of_all[:, :, :1]).any(axis=(1, 2))
    ordered = np.sort(of_all[:, :, 0], axis=1)
    mixed |= (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    if mixed.any():
        raise InputError(
            f"{path}: episode {int(mixed.argmax())} mixes classes: all videos of a place must be of one class,"
            " and each class has one place"
        )
