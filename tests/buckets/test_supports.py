"""Support sets in a bucket: written, added to, and read back as from a folder."""

from pathlib import Path

import numpy as np
import torch

from hcl.classify.embedding.origin import Origin
from hcl.classify.support.store import change_support, is_support_set, read_support, write_support
from hcl.classify.support.support_set import SupportSet, as_stored
from hcl.extract.cache.video_table import VideoTable
from hcl.match.store.batch import EmbeddedBatch
from hcl.train.encoders.untrained import Untrained

ORIGIN = Origin("", "", {"backbone": "resnet18", "frames": 3, "grid": [2, 1], "channels": 8}, 1)


def support_of(rows: list[int]) -> SupportSet:
    """A support set of drawn maps, two videos a class."""
    maps = torch.from_numpy(np.stack([np.random.default_rng(row).normal(size=(3, 2, 8)) for row in rows])).half()
    encoder = Untrained(inputs=1)
    batch = as_stored(EmbeddedBatch.of(encoder(maps), maps.float().mean(dim=(1, 2)).numpy(), encoder.known(maps)))
    names = tuple(f"class {row // 2}/{row}.mp4" for row in rows)
    labels = tuple(f"class {row // 2}" for row in rows)
    empty = ("",) * len(rows)
    table = VideoTable(names, labels, ("novel",) * len(rows), empty, tuple(f"hash{row}" for row in rows))
    return SupportSet(table, empty, batch, ORIGIN)


def test_a_support_set_in_a_bucket_is_the_one_in_a_folder(tmp_path: Path, bucket: str) -> None:
    for path in (tmp_path / "clips.support", f"{bucket}/clips.support"):
        assert not is_support_set(path)
        write_support(path, support_of([0, 1, 2, 3]))
        change_support(path, lambda stored: stored.joined(support_of([4, 5])))
    local, remote = read_support(tmp_path / "clips.support"), read_support(f"{bucket}/clips.support")
    assert local.videos == remote.videos and len(remote) == 6
    assert all((local.batch.arrays[name] == remote.batch.arrays[name]).all() for name in local.batch.arrays)
