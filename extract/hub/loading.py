"""Models of transformers from a folder, the hub's cache or one bounded download: no code, no pickles, no chatter."""

import hashlib
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hcl.extract.system.errors import InputError, first_line

HELLO_SECONDS = 12.0  # for the first small file: no network is noticed within this
FETCH_SECONDS = 900.0  # for the rest, once the hub has answered


class Unavailable(Exception):
    """A model is neither here nor to be had; the message is the reason."""


def model_folder(name: str, *, hello_seconds: float = HELLO_SECONDS) -> Path:
    """Find the folder of a model: a local folder as it is, a hub name in the cache, else by one download.

    Args:
        name: a folder or a hub name
        hello_seconds: how long the hub may take to answer at all

    Raises:
        Unavailable: with the reason
    """
    if Path(name).is_dir():
        return Path(name)
    return cached_folder(name) or _fetched_folder(name, hello_seconds)


def cached_folder(name: str) -> Path | None:
    """Find a complete hub model in the local cache, without using the network; None if there is none."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, cache_dir=constants.HF_HUB_CACHE, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError, OSError):
        return None
    return folder if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")) else None


def _fetched_folder(name: str, hello_seconds: float) -> Path:
    from huggingface_hub import constants

    if any(
        os.environ.get(key, "").upper() in ("1", "ON", "YES", "TRUE")
        for key in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    ):
        raise Unavailable("not in the local cache, and HF_HUB_OFFLINE forbids to download it")
    for only, seconds in (("config", hello_seconds), ("all", FETCH_SECONDS)):
        environment = {**os.environ, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        command = [sys.executable, "-m", "hcl.extract.hub.download", name, constants.HF_HUB_CACHE, only]
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"no answer from the model hub within {seconds:.0f} s") from None
        if done.returncode:
            raise Unavailable((done.stderr.strip().splitlines() or ["the download failed"])[-1][:200])
    folder = cached_folder(name)
    if folder is None:
        raise Unavailable("the model hub has no config.json or no safetensors weights for it")
    return folder


def load_pretrained(kind: str, folder: Path, **options: Any) -> Any:
    """Load one part of a model, such as kind "AutoModel" or "AutoTokenizer", from a folder alone."""
    with quiet():
        import transformers

        try:
            return getattr(transformers, kind).from_pretrained(
                str(folder), trust_remote_code=False, local_files_only=True, **options
            )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            reason = first_line(error)
            raise InputError(
                f"{folder}: transformers cannot load it ({reason}); it needs config.json and safetensors weights"
            ) from error


def files_hash(folder: Path) -> str:
    """A SHA-256 of a model's weights, as they lie in its files."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            while part := file.read(2**22):
                digest.update(part)
    return digest.hexdigest()


def load_model(folder: Path, **settings: Any) -> Any:
    """Load a model frozen, in float32, from safetensors alone; every weight that counts must be in its files.

    Args:
        folder: of the model
        settings: of its configuration, in place of those in its file
    """
    import torch

    options = {"use_safetensors": True, "dtype": torch.float32, "output_loading_info": True}
    model, info = load_pretrained("AutoModel", folder, **options, **settings)
    missing = sorted(key for key in info["missing_keys"] if "pooler" not in key)  # poolers are of no use here
    if missing:
        raise InputError(f"{folder}: its weights lack {missing[0]} ({len(missing)} in all); download the model again")
    return model.eval().requires_grad_(False)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from printing bars, reports and warnings, and put its settings back after."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers.utils import logging

        level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(level)
            if bar:
                logging.enable_progress_bar()
