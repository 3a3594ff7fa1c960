"""Make the shipped lists from those of a folder for each benchmark: python benchmarks/pack_lists.py FOLDER.

FOLDER holds a folder of trainlist*.txt, vallist*.txt and testlist*.txt for each benchmark, named as in FOLDERS.
"""

import sys
from pathlib import Path

from hcl.extract.catalog.benchmarks.listing import SHIPPED, pack, read_listing

FOLDERS = {
    "kinetics-cmn": "kinetics_CMN",
    "ssv2-cmn": "ssv2_CMN",
    "ssv2-otam": "ssv2_OTAM",
    "hmdb-arn": "hmdb_ARN",
    "ucf-arn": "ucf_ARN",
}

if __name__ == "__main__":
    for name, folder in FOLDERS.items():
        packed = pack(read_listing(name, Path(sys.argv[1]) / folder).videos)
        (SHIPPED / f"{name}.tsv.gz").write_bytes(packed)
