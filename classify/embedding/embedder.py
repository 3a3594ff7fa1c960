"""Videos to embeddings, one after the other: loaded once, used for one clip or for thousands."""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from hcl.classify.embedding.origin import Origin
from hcl.classify.embedding.recipe import backbone_of, config_of_cache, plain_backbone, views_of_run
from hcl.classify.embedding.videos import BrokenVideo, EmbeddedVideo, Video, as_path, decode_array, is_path, name_of
from hcl.extract.backbones.backbone import Backbone
from hcl.extract.cache.layout import MapRecord
from hcl.extract.cache.quantisation import quantise, restore
from hcl.extract.config import ExtractConfig
from hcl.extract.decoding.pool import DecodePool
from hcl.extract.decoding.worker import Decoded, DecodeTask, Failed
from hcl.extract.pipeline.inference import map_videos
from hcl.extract.pipeline.preparation import maps_settings
from hcl.extract.system.device import choose_device
from hcl.extract.system.errors import InputError
from hcl.extract.system.places.location import is_remote, place_of
from hcl.extract.system.threads import cores
from hcl.match.config import HCL
from hcl.match.store.batch import EmbeddedBatch
from hcl.train.data.map_source import ViewMaps
from hcl.train.embedding import embed_views
from hcl.train.encoders.factory import Encoder
from hcl.train.encoders.layer4 import Layer4, inputs_in, load_layer4
from hcl.train.encoders.untrained import Untrained
from hcl.train.runs.file_hashes import file_hash
from hcl.train.runs.run_folder import WEIGHTS, Run, load_encoder, read_config

VIDEOS_AHEAD = 8  # that are being decoded, or wait decoded, while one is embedded; 10 MB each at the defaults


class VideoEmbedder:
    """Gives the embeddings of videos as `hcl extract` and `hcl embed` would store them; nothing is stored.

        with VideoEmbedder.load("runs/latest") as embedder:
            for result in embedder.embed(paths):  # in order, each as soon as it is there
                ...  # an EmbeddedVideo, or a BrokenVideo with its reason

    Untrained embeddings are not centred: that takes the mean of some videos, see `hcl.classify.support`. No class keys
    are among the arrays: what class a video has is not known here.

    Args:
        encoder: on the device
        backbone: on the device
        config: how videos are read; its views are those that are embedded
        settings: of the maps, as a cache keeps them
        layer4: the backbone's own, where maps end before it
        run: whose encoder it is; None: untrained
    """

    def __init__(
        self,
        encoder: Encoder,
        backbone: Backbone,
        config: ExtractConfig,
        settings: Mapping[str, Any],
        *,
        layer4: Layer4 | None = None,
        run: Run | None = None,
    ) -> None:
        self.encoder, self.backbone, self.config, self.settings = encoder, backbone, config, settings
        self.layer4, self.run, self.device = layer4, run, backbone.device
        self.task = DecodeTask.of(config)
        self._idle = _Idle()
        self._end = weakref.finalize(self, self._idle.close)

    @property
    def time_steps(self) -> int:
        """T of the maps: the frames of a video, or fewer where the backbone maps several together."""
        return self.backbone.identity.steps or self.config.frames

    @classmethod
    def load(
        cls,
        run: str | Path | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
        extraction: ExtractConfig | None = None,
        test_views: int | None = None,
        device: str = "auto",
    ) -> Self:
        """Load the backbone and the encoder of a run, or what stands for it where nothing was trained.

        Args:
            run: folder of a run of method hcl; None: untrained
            settings: untrained, those of maps that are to be met again; None: as `extraction` says
            extraction: untrained, how videos become maps; of a run its workers, time limit, decoder and names of frames
                count, and its weights where they are not "default"
            test_views: of each video, whose embeddings are averaged; 0: all; None: as the run has it, all if untrained
            device: "auto", "cpu" or "cuda"

        Raises:
            InputError: if the run or the weights cannot be used, or there is no such device
        """
        on, extraction = choose_device(device), extraction or ExtractConfig()
        if run is not None:
            return cls._of_run(run, extraction, test_views, on)
        return cls._untrained(settings, extraction, test_views, on)

    @classmethod
    def _of_run(cls, run: str | Path, extraction: ExtractConfig, test_views: int | None, device: torch.device) -> Self:
        opened = Run(place_of(run), read_config(run))
        training, settings = opened.config.training, opened.config.cache["settings"]
        if training.method != HCL:
            raise InputError(
                f"{run}: a run of method {training.method}; videos are classified by runs of {HCL}: give one, or leave"
                " --run out to go untrained"
            )
        encoder = load_encoder(run).to(device)
        views = views_of_run(settings, training.test_views if test_views is None else test_views)
        if extraction.weights == "default" and training.weights != "auto":
            extraction = replace(extraction, weights=training.weights)
        config = config_of_cache(settings, views, extraction, device)
        backbone = backbone_of(config, settings, device)
        layer4 = load_layer4(settings, config.weights)
        return cls(encoder, backbone, config, settings, layer4=_on(layer4, device), run=opened)

    @classmethod
    def _untrained(
        cls, settings: Mapping[str, Any] | None, extraction: ExtractConfig, test_views: int | None, device: torch.device
    ) -> Self:
        if settings is None:
            backbone = plain_backbone(extraction, device)
            settings = maps_settings(extraction, backbone)
            config = config_of_cache(settings, views_of_run(settings, test_views or 0), extraction, device)
        else:
            config = config_of_cache(settings, views_of_run(settings, test_views or 0), extraction, device)
            backbone = backbone_of(config, settings, device)
        layer4 = load_layer4(settings, config.weights if extraction.weights == "default" else extraction.weights)
        encoder = Untrained(inputs=inputs_in(settings)).to(device)
        return cls(encoder, backbone, config, settings, layer4=_on(layer4, device))

    @cached_property
    def origin(self) -> Origin:
        """What the embeddings follow from."""
        sha256 = "" if self.run is None else file_hash(self.run.folder / WEIGHTS)
        folder = "" if self.run is None else _whole(self.run.folder)
        return Origin(folder, sha256, dict(self.settings), self.config.views)

    def embed(self, videos: Iterable[Video]) -> Iterator[EmbeddedVideo | BrokenVideo]:
        """Embed videos, each in its turn; a broken one is a result, too.

        Some videos are read ahead: of a source that makes one wait, such as a camera, give one video a call.

        Args:
            videos: paths of files or of folders of frames, or frames (T, H, W, 3) uint8 RGB; any number of them

        Yields:
            one result a video, in order
        """
        names: dict[int, str] = {}
        for record in map_videos(self._decoded(videos, names), self.backbone, self.config.batch_size):
            yield self._result(record, names.pop(record.row))

    def embed_one(self, video: Video) -> EmbeddedVideo | BrokenVideo:
        """Embed one video, as `embed`."""
        (result,) = self.embed([video])  # to its end: the decoding processes of a stream that is left end with it
        return result

    @torch.inference_mode()
    def embed_maps(self, views: NDArray[np.float16]) -> EmbeddedBatch:
        """Embed one video that is mapped already.

        Args:
            views: (views, T, P, C) as the backbone gives them, the canonical one first
        """
        kept = self._as_stored(views)
        return embed_views(self.encoder, (ViewMaps(torch.from_numpy(maps[None]), self) for maps in kept))

    @torch.inference_mode()
    def embed_clips(self, maps: NDArray[np.float16]) -> EmbeddedBatch:
        """Embed the canonical views of B videos that are mapped already.

        Args:
            maps: (B, T, P, C) as the backbone gives them
        """
        return embed_views(self.encoder, [ViewMaps(torch.from_numpy(self._as_stored(maps)), self)])

    def close(self) -> None:
        """End the decoding processes; the next video starts others."""
        self._idle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _result(self, record: MapRecord, name: str) -> EmbeddedVideo | BrokenVideo:
        if record.maps is None:
            return BrokenVideo(record.row, name, record.reason, record.source.content)
        further = np.empty((0, *record.maps.shape), np.float16) if record.views is None else record.views
        batch = self.embed_maps(np.concatenate([record.maps[None], further]))
        return EmbeddedVideo(record.row, name, batch, record.source.content, record.frame_count)

    def _as_stored(self, views: NDArray[np.float16]) -> NDArray[np.float16]:
        """Round maps as a cache of bytes does, if the run learned from one."""
        if self.config.cache_dtype != "uint8":
            return views
        rounded = np.empty_like(views)
        for maps, out in zip(views, rounded, strict=True):
            restore(*quantise(maps), out)
        return rounded

    def _decoded(self, videos: Iterable[Video], names: dict[int, str]) -> Iterator[Decoded | Failed]:
        """Decode some videos ahead, files in processes of their own; the names by number are kept for the caller."""
        waiting: deque[Decoded | Failed | None] = deque()  # None: the next one of the pool
        pool = self._idle.take(self.task, self.config.workers or cores())
        try:
            for number, video in enumerate(videos):
                names[number] = name_of(number, video)
                if is_path(video):
                    pool.add((number, as_path(video)))
                waiting.append(None if is_path(video) else decode_array(number, video, self.task))
                if len(waiting) > VIDEOS_AHEAD:
                    yield waiting.popleft() or pool.take()
            while waiting:
                yield waiting.popleft() or pool.take()
        except BaseException:  # what it still holds belongs to nobody
            pool.close()
            raise
        self._idle.give_back(pool)


class _Idle:
    """A pool of decoding processes that waits for the next videos."""

    def __init__(self) -> None:
        self._pool: DecodePool | None = None
        self._lock = threading.Lock()

    def take(self, task: DecodeTask, workers: int) -> DecodePool:
        """The pool that waits, or a new one."""
        with self._lock:
            pool, self._pool = self._pool, None
        return pool or DecodePool(task, workers)

    def give_back(self, pool: DecodePool) -> None:
        """Let a pool wait, unless another one does."""
        with self._lock:
            surplus, self._pool = self._pool, pool
        if surplus is not None:
            surplus.close()

    def close(self) -> None:
        """End the processes of the pool that waits."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()


def _whole(folder: Path) -> str:
    """A run's folder as it is found from any other, or its URL."""
    return str(folder) if is_remote(folder) else os.path.abspath(folder)


def _on(layer4: Layer4 | None, device: torch.device) -> Layer4 | None:
    return None if layer4 is None else layer4.to(device)
