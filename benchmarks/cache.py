"""Time the reading of random batches from a cache, decoded and warm: python benchmarks/cache.py [CACHE.zarr].

The maps are those of the cache, or made up with as many zeros (86 %) and as much structure as real ones have. They are
written in every form, read once, and then read in turns, so that a busy machine slows all alike; the rate is bytes of
float16 maps by CPU seconds, the median over rounds.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray
from tabulate import tabulate

from hcl.extract.cache.layout import MapRecord
from hcl.extract.cache.zarr_cache import ZarrCache
from hcl.extract.catalog.videos import Video

BATCH = 48
SHAPE = (8, 49, 2048)
ZEROS = 0.86
Maps = NDArray[np.float16]


def invented(number: int) -> Maps:
    """Draw maps whose channels follow a few patterns that move slowly from frame to frame."""
    rng = np.random.default_rng(number)
    frames, patches, channels = SHAPE
    patterns = np.cumsum(rng.normal(size=(frames, patches, 24)), axis=0).astype(np.float32)
    values = patterns @ rng.normal(size=(24, channels)).astype(np.float32) + 3 * rng.normal(size=channels)
    return np.maximum(values - np.quantile(values[:, ::7], ZEROS), 0).astype(np.float16)


def write(path: Path, videos: list[Maps], store: str) -> ZarrCache:
    made = ZarrCache.create(path, {}, shape=videos[0].shape, dtype=store)  # type: ignore[arg-type]
    made.add_classes({"all": "base"}, {"all": "all"}, None)
    made.add_videos([Video(str(row), Path(), "all") for row in range(len(videos))])
    made.write([MapRecord(row, maps) for row, maps in enumerate(videos)])
    return made


def size(path: Path) -> int:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())


def readers(videos: list[Maps], folder: Path, out: Maps) -> dict[str, tuple[int, Callable[[list[int]], None]]]:
    """Bytes on the disk, and a function that reads a batch into `out`, by name."""
    np.save(folder / "raw.npy", np.stack(videos))
    raw = np.load(folder / "raw.npy", mmap_mode="r")
    caches = {store: write(folder / f"{store}.zarr", videos, store) for store in ("float16", "uint8")}
    array = zarr.open_group(caches["float16"].path, mode="r")["maps"]

    def from_memmap(rows: list[int]) -> None:
        for place, row in enumerate(rows):
            out[place] = raw[row]

    def from_zarr(rows: list[int]) -> None:
        for place, row in enumerate(rows):
            out[place] = array[row]

    def by_oindex(rows: list[int]) -> None:
        out[:] = array.oindex[rows]

    def from_cache(store: str) -> Callable[[list[int]], None]:
        def read(rows: list[int]) -> None:
            for place, row in enumerate(rows):
                caches[store].maps(row, out[place])

        return read

    stored = {store: size(cache.path / "maps") + size(cache.path / "scales") for store, cache in caches.items()}
    return {
        "np.memmap of raw float16": (size(folder / "raw.npy"), from_memmap),
        "zarr, z[i] in a loop": (stored["float16"], from_zarr),
        "zarr, z.oindex[list]": (stored["float16"], by_oindex),
        "hcl float16": (stored["float16"], from_cache("float16")),
        "hcl uint8": (stored["uint8"], from_cache("uint8")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", nargs="?", type=Path)
    parser.add_argument("--videos", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    if options.cache:
        source = ZarrCache.open(options.cache)
        videos = [source.maps(int(row)) for row in source.rows()[: options.videos]]
    else:
        videos = [invented(number) for number in range(options.videos)]
    print(f"{len(videos)} videos, {np.mean([(maps == 0).mean() for maps in videos]):.3f} of their values are zeros")
    out = np.empty((BATCH, *videos[0].shape), np.float16)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        found = readers(videos, Path(folder), out)
        rates: dict[str, list[float]] = {name: [] for name in found}
        for turn in range(options.rounds + 1):
            rows = rng.integers(0, len(videos), size=BATCH).tolist()
            for name, (_, read) in found.items():
                began = time.process_time()
                read(rows)
                if turn:  # the first one warms the page cache
                    rates[name].append(out.nbytes / 1e9 / (time.process_time() - began))
        raw = 2 * videos[0].size * len(videos)
        table = [(name, stored / raw, statistics.median(rates[name])) for name, (stored, _) in found.items()]
    print(tabulate(table, ("", "bytes of raw float16", "GB/s a core"), floatfmt=("", ".3f", ".2f"), tablefmt="github"))
    rounded = float(np.linalg.norm(out[0].astype(np.float32) - videos[rows[0]].astype(np.float32)))
    print(f"uint8: relative l2 error {rounded / float(np.linalg.norm(videos[rows[0]].astype(np.float32))):.4f}")


if __name__ == "__main__":
    main()
