"""Time the extraction, each part alone and all together, or show its memory.

    python benchmarks/extract.py FOLDER [--videos 160] [--workers 0] [--cache-dtype uint8]
    python benchmarks/extract.py --memory 2000

The first takes the videos of a folder, over and over until there are enough. What the machine allows is cores /
(CPU seconds of decoding and of the backbone, for a video, each measured alone); the ratio to it is what counts. It is
the product of two: the share of the cores' time that the run got, less on a busy machine, and the share of that time
which went into decoding and the backbone. --memory extracts links to small drawn videos and prints the resident
memory of all processes on the way.
"""

import argparse
import tempfile
from pathlib import Path


def main() -> None:
    """Choose; nothing heavy is imported above, since decoding processes read this file, too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--videos", type=int, default=160)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--cache-dtype", default="float16")
    parser.add_argument("--memory", type=int, metavar="N", help="show the memory of extracting N small videos")
    parser.add_argument("--frames", type=int, default=8, help="with --memory")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.memory:
            import extraction_memory

            extraction_memory.show(options, Path(folder))
        else:
            import extraction_speed

            extraction_speed.show(options, Path(folder))


if __name__ == "__main__":
    main()
