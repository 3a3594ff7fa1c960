"""The split and the text of each class of an extraction, beside those that the cache has."""

from collections.abc import Mapping
from pathlib import Path

from hcl.extract.catalog.csv_files import read_names
from hcl.extract.catalog.splits import split_classes
from hcl.extract.catalog.videos import Catalog
from hcl.extract.config import ExtractConfig
from hcl.extract.hub.class_texts import clean_name
from hcl.extract.system.errors import InputError


def split_origin(catalog: Catalog, config: ExtractConfig) -> str:
    """How the splits of a new cache come about: "all-novel", "given" or "seeded"."""
    if config.split_policy == "all-novel":
        return "all-novel"
    return "given" if any(video.split for video in catalog.videos) else "seeded"


def settle_splits(
    catalog: Catalog, config: ExtractConfig, settled: Mapping[str, str], origin: str | None
) -> dict[str, str]:
    """Decide the split of each class: as it is given now, else as it is settled, else the way the cache began.

    Args:
        catalog: whose classes they are
        config: of the extraction
        settled: splits that classes have already
        origin: how the cache's splits came about; None: there is no cache

    Raises:
        InputError: if there are too few classes to split, or one needs a split and has none
    """
    kind, names = split_origin(catalog, config), catalog.class_names
    if kind == "all-novel":
        return dict.fromkeys(names, "novel")
    if kind == "given":
        return catalog.class_splits()
    new = [name for name in names if name not in settled]
    if new and origin == "given":
        raise InputError(f"class {new[0]!r} has no split, but the cache's classes were given theirs; give it one")
    split = dict.fromkeys(names, "novel") if origin == "all-novel" else {}
    if new and not split:
        split = split_classes({*settled, *names}, config.split_seed, settled)
    return {name: settled.get(name) or split[name] for name in names}


def class_texts(catalog: Catalog, stored: Mapping[str, str], names: Path | None) -> dict[str, str]:
    """The text of each class: from the names file, else the cleaned label; no two alike.

    Args:
        catalog: whose classes they are
        stored: texts of the classes that the cache has, and keeps
        names: CSV file with label,name

    Raises:
        InputError: if two classes read alike, a class of the cache would get another text, or there is no such class
    """
    override = read_names(names) if names else {}
    unknown = sorted(set(override) - set(catalog.class_names))
    if unknown:
        raise InputError(f"{names}: {unknown[0]!r} is no class; the classes are {', '.join(catalog.class_names)}")
    texts = {name: override.get(name) or stored.get(name) or clean_name(name) for name in catalog.class_names}
    owner: dict[str, str] = {text: name for name, text in stored.items()}
    for name, text in texts.items():
        if stored.get(name, text) != text:
            raise InputError(
                f"class {name!r} has the text {stored[name]!r} in the cache and {text!r} now; keep the former"
            )
        if owner.setdefault(text, name) != name:
            raise InputError(
                f"classes {owner[text]!r} and {name!r} are both called {text!r};"
                " join their folders, or tell them apart in a CSV file (label,name) given by --names"
            )
    return texts
