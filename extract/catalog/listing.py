"""The videos that a folder or a manifest names."""

from pathlib import Path

from hcl.extract.catalog.csv_files import read_manifest
from hcl.extract.catalog.folders import read_folder
from hcl.extract.catalog.videos import Catalog
from hcl.extract.system.errors import InputError, schema_of, what_stands_at
from hcl.extract.system.places.location import place_of

LISTS = (".csv", ".tsv")


def read_catalog(videos: str | Path, *, unlabelled: bool = False) -> Catalog:
    """List the videos of a folder of class folders, a folder with base/val/novel folders, or a CSV manifest.

    Args:
        videos: the folder or the manifest
        unlabelled: whether videos may be without a class: those of a folder of nothing but videos, or of a manifest
            without labels

    Raises:
        InputError: if nothing usable is there; the message says what was expected
    """
    videos = place_of(videos)
    if videos.is_dir() and schema_of(videos):
        raise InputError(
            f"{videos}: {what_stands_at(videos)}; expected videos: a folder of class folders or a .csv manifest"
        )
    if videos.is_dir():
        return read_folder(videos, unlabelled=unlabelled)
    if videos.is_file() and videos.suffix.lower() in LISTS:
        return read_manifest(videos, unlabelled=unlabelled)
    if videos.exists():
        raise InputError(
            f"{videos}: neither a folder of class folders nor a .csv manifest (path,label[,split][,group])"
        )
    raise InputError(f"{videos}: no such folder or manifest; give a folder of class folders or a .csv file")
