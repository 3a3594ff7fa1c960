"""The class keys of supports: their classes' texts, embedded by the run's text model and projected by its encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hcl.classify.embedding.embedder import VideoEmbedder
from hcl.extract.hub import class_texts
from hcl.extract.system.errors import InputError
from hcl.train.encoders.video_encoder import VideoEncoder

NO_TEXT = "none"  # as a text model: no semantic attention


def text_model_of(embedder: VideoEmbedder, text_model: str = "auto") -> dict[str, str] | None:
    """What embeds class texts: the model of the run's cache, or None.

    Args:
        embedder: of a run, or untrained
        text_model: "none" goes without
    """
    encoder = embedder.encoder
    if text_model == NO_TEXT or embedder.run is None or not isinstance(encoder, VideoEncoder) or not encoder.reads_text:
        return None
    return embedder.run.config.text_model


def class_keys(embedder: VideoEmbedder, labels: Sequence[str], text_model: str = "auto") -> dict[str, Tensor] | None:
    """The keys W e_y (D,) of classes by label, as `hcl embed` makes them; None where there is no semantic attention.

    Args:
        embedder: of a run, or untrained
        labels: of the classes
        text_model: "auto": that of the run; a folder or name, where it cannot be found by that; "none": go without

    Raises:
        InputError: if the model is not at hand, or is another one
    """
    wanted = text_model_of(embedder, text_model)
    if wanted is None or not isinstance(embedder.encoder, VideoEncoder):
        return None
    name = model_argument(wanted["model"]) if text_model == "auto" else text_model
    remedy = "give it with --text-model FOLDER, or go without semantic attention: --text-model none"
    try:
        embedded = class_texts.embed_texts([class_texts.clean_name(label) for label in labels], name)
    except InputError as error:
        raise InputError(
            f"the run's classes are read by the text model {wanted['model']}: {error}; {remedy}"
        ) from error
    if embedded.sha256 != wanted["sha256"]:
        raise InputError(f"{embedded.model}: another text model than the run's, {wanted['model']}; {remedy}")
    with torch.inference_mode():
        keys = embedder.encoder.class_keys(torch.from_numpy(embedded.embeddings).to(embedder.device)).cpu()
    return dict(zip(labels, keys, strict=True))


def model_argument(shown: str) -> str:
    """What finds a text model again, given how a cache shows it."""
    return class_texts.PACKAGE if shown.startswith(class_texts.PACKAGED) else shown
