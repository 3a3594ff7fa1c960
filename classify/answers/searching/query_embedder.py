"""A query that is no video of the store is embedded as the store's videos were: by its run, or untrained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hcl.classify.embedding.embedder import VideoEmbedder
from hcl.extract.cache.formats import open_cache
from hcl.extract.config import ExtractConfig
from hcl.extract.system.errors import InputError
from hcl.match.embeddings import Embeddings
from hcl.match.store.batch import EmbeddedBatch
from hcl.match.store.embedding_store import REMEDY, EmbeddingStore
from hcl.train.encoders.untrained import centred_arrays
from hcl.train.runs.embed_cache import UNTRAINED
from hcl.train.runs.run_folder import read_config

ROWS_AT_A_TIME = 4096  # of mean maps


class QueryEmbedder:
    """Embeds videos for comparison with those of a store.

    Args:
        store: of method hcl
        run: whose encoder made it; None: the one that the store names
        extraction: workers and reading; None: the defaults
        device: "auto", "cpu" or "cuda"

    Raises:
        InputError: if the run or the settings of its maps are not at hand, or the run's encoder is another one
    """

    def __init__(
        self,
        store: EmbeddingStore,
        run: str | Path | None = None,
        *,
        extraction: ExtractConfig | None = None,
        device: str = "auto",
    ) -> None:
        self.store = store
        self._mean: Tensor | None = None
        origin = store.attributes.get("origin")
        self._origin: Mapping[str, Any] = origin if isinstance(origin, dict) else {}
        named = run or self._origin.get("run")
        if named == UNTRAINED:
            self.embedder = self._untrained(self._settings(), extraction, device)
            self._mean = self._mean_of_maps()
        else:
            folder = self._run(named)
            views = self._views(read_config(folder).cache["settings"])
            self.embedder = VideoEmbedder.load(folder, extraction=extraction, test_views=views, device=device)
            self._refuse_other_encoder()

    def embeddings(self, batch: EmbeddedBatch) -> Embeddings:
        """The embeddings of one video as they are compared with the store's."""
        arrays = {name: batch.arrays[name] for name in ("global", "clips", "patches")}
        if self._mean is not None and batch.clip_frames is not None:
            arrays = centred_arrays(arrays, batch.clip_frames, self._mean)
        return EmbeddedBatch(arrays, batch.mean_map, batch.clip_frames).embeddings()

    def _untrained(self, settings: Mapping[str, Any], extraction: ExtractConfig | None, device: str) -> VideoEmbedder:
        try:
            views = self._views(settings)
            return VideoEmbedder.load(settings=settings, extraction=extraction, test_views=views, device=device)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{self.store.path}: the settings of its maps cannot be read ({error!r}); {REMEDY}"
            ) from error

    def _views(self, settings: Mapping[str, Any]) -> int | None:
        """How many views of a query are embedded: as many as of the store's videos, as far as the run knows them."""
        views = self._origin.get("test_views")
        return min(views, int(settings.get("views", 1))) if isinstance(views, int) else None

    def _run(self, named: object) -> Path:
        if not isinstance(named, str | Path) or not named:
            raise InputError(
                f"{self.store.path}: it does not say which run embedded its videos; name it with --run, or query by a"
                " video of the store"
            )
        if not Path(named).is_dir():
            raise InputError(f"{named}: the run of the store is not there; name it with --run, wherever it is now")
        return Path(named)

    def _refuse_other_encoder(self) -> None:
        then, now = self._origin.get("encoder_sha256"), self.embedder.origin.encoder_sha256
        if then not in (None, now):
            raise InputError(
                f"{self.embedder.origin.run}: its encoder is not the one that embedded the store (SHA-256 {now[:12]}"
                f" here, {str(then)[:12]} there); name that run with --run, or embed anew with: hcl embed"
            )

    def _settings(self) -> Mapping[str, Any]:
        """Of the maps of an untrained store: as it says itself, or its cache does."""
        if isinstance(stored := self._origin.get("settings"), dict):
            return stored
        cache = str(self._origin.get("cache"))
        try:
            return open_cache(cache).settings
        except (InputError, OSError) as error:
            raise InputError(
                f"{self.store.path}: its cache {cache} is not there, which says how videos become maps; write the store"
                " anew with: hcl embed, or query by a video of the store"
            ) from error

    def _mean_of_maps(self) -> Tensor:
        """What untrained embeddings were centred by: the mean of the videos that are not novel, else of all, (C,)."""
        known = np.flatnonzero([split != "novel" for split in self.store.videos.split])
        rows = known if len(known) else np.arange(len(self.store.videos))
        blocks = (rows[start : start + ROWS_AT_A_TIME] for start in range(0, len(rows), ROWS_AT_A_TIME))
        sums = [self.store.arrays(("mean_map",), block)["mean_map"].double().sum(dim=0) for block in blocks]
        return (torch.stack(sums).sum(dim=0) / len(rows)).float()
