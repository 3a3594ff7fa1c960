"""Several stores at once: each is named once, and copies of one another are told."""

from collections.abc import Sequence
from pathlib import Path

from hcl.extract.system.errors import InputError
from hcl.extract.system.progress import logger
from hcl.match.store.embedding_store import EmbeddingStore


def refuse_twice(stores: Sequence[EmbeddingStore]) -> None:
    """Refuse a store that stands twice among several, by whatever path, and warn of copies: their deviation is 0.

    Raises:
        InputError: the message names both paths
    """
    seen: dict[Path, Path] = {}
    contents: dict[str, Path] = {}
    for store in stores:
        place = store.path.resolve()
        if place in seen:
            same = f" ({store.path} is {seen[place]})" if store.path != seen[place] else ""
            raise InputError(f"{store.path}: named twice{same}; name each run or store once")
        seen[place] = store.path
        if store.identity in contents:
            logger.warning(
                f"{contents[store.identity]} and {store.path} hold the same embeddings, as two trainings with the same"
                " seed do: no deviation between them says anything"
            )
        contents.setdefault(store.identity, store.path)
