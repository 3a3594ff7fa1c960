"""Few-shot action recognition from cached frame maps: hierarchical matching and contrastive learning (HCL).

The names below are the library's face; each is loaded when it is first used, so that `import hcl` loads no torch.

    import hcl

    maps = hcl.CachedMaps("cache.zarr", split="novel")  # a torch Dataset of frame maps
    encoder = hcl.load_encoder("runs/latest")  # a torch Module: maps to embeddings
    result = hcl.evaluate("runs/latest", way=5, shot=1)  # accuracies with intervals
    print(result.to_dict())

Functions return values and print nothing. Lines for a person go to the logger "hcl"; progress bars are shown where that
logger lets INFO through.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hcl.classify.answers.classifier import FewShotClassifier
    from hcl.classify.answers.searching.searcher import Searcher, near_duplicates, search
    from hcl.extract.cache.formats import open_cache
    from hcl.extract.system.errors import InputError
    from hcl.match.embeddings import Embeddings
    from hcl.match.episodes.drawing import draw_episodes
    from hcl.match.evaluation.evaluate import evaluate
    from hcl.match.scoring.scores import match
    from hcl.train.data.cached_maps import CachedMaps
    from hcl.train.runs.run_folder import load_encoder

__all__ = [
    "CachedMaps",
    "Embeddings",
    "FewShotClassifier",
    "InputError",
    "Searcher",
    "draw_episodes",
    "evaluate",
    "load_encoder",
    "match",
    "near_duplicates",
    "open_cache",
    "search",
]

_HOMES = {
    "CachedMaps": "hcl.train.data.cached_maps",
    "Embeddings": "hcl.match.embeddings",
    "FewShotClassifier": "hcl.classify.answers.classifier",
    "InputError": "hcl.extract.system.errors",
    "Searcher": "hcl.classify.answers.searching.searcher",
    "draw_episodes": "hcl.match.episodes.drawing",
    "evaluate": "hcl.match.evaluation.evaluate",
    "load_encoder": "hcl.train.runs.run_folder",
    "match": "hcl.match.scoring.scores",
    "near_duplicates": "hcl.classify.answers.searching.searcher",
    "open_cache": "hcl.extract.cache.formats",
    "search": "hcl.classify.answers.searching.searcher",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; its names are {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
