"""Compare the speed of training from a bucket, whose every answer takes 50 ms longer, with that from disk.

    python benchmarks/buckets.py cache.zarr --epochs 4 --steps 20

A process of its own answers the S3 protocol's requests for objects from the files of the cache, each after the latency.
(That the protocol is spoken rightly is for the tests: moto's server would take the processor from what is measured.)
Epochs of both are taken in turns, so that whatever else the machine does slows both; the first of each is left out.
Then batches are read without any step between them: what a bucket can give, whatever a step takes.
Both ways of `hcl train --map-storage`: disk reads each batch anew; host reads maps once, its first epoch alone waits.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tabulate import tabulate

BUCKET, NAME = "measured", "cache.zarr"


@dataclass(frozen=True)
class Epoch:
    """What some steps took."""

    seconds: float  # a step
    waited: float  # share of the time that steps waited for batches


def main() -> None:
    """Serve the cache, or measure and print a table."""
    given = parse()
    if given.serve:
        asyncio.run(serve(given.cache, given.latency))
        return
    command = [sys.executable, __file__, str(given.cache), "--latency", str(given.latency), "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            keys = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_REGION": "us-east-1"}
            os.environ |= keys | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
            if given.epochs:
                show(given)
            show_supply(given)
        finally:
            server.kill()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds, before each answer")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--steps", type=int, default=20, help="in an epoch")
    parser.add_argument("--batches", type=int, default=20, help="that are read without steps")
    parser.add_argument("--splits", type=Path, help="CSV file (label,split) in place of the cache's splits")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def show(given: argparse.Namespace) -> None:
    """Measure with the maps on disk, or in the bucket, and with maps that are kept in memory."""
    rows = []
    for map_storage in ("disk", "host"):
        found = measure(given, map_storage)
        local, remote = (statistics.median(epoch.seconds for epoch in epochs[1:]) for epochs in found)
        rows.append(
            (
                "each batch read anew" if map_storage == "disk" else "read once, then in memory",
                *(epochs[0].seconds for epochs in found),
                *(local, remote),
                local / remote,
                *(f"{100 * statistics.mean(each.waited for each in epochs[1:]):.1f} %" for epochs in found),
            )
        )
    headers = ("maps", "first, disk", "first, bucket", "later, disk", "later, bucket", "speed", "waiting", "in bucket")
    print(f"seconds a step, {given.steps} steps an epoch, {1000 * given.latency:.0f} ms before each answer")
    print(tabulate(rows, headers=headers, floatfmt=".3f", tablefmt="github"))


def show_supply(given: argparse.Namespace) -> None:
    """Read batches anew from disk and from the bucket, in turns, without steps between them."""
    trainings = prepare(given, "disk")
    seconds: list[list[float]] = [[], []]
    for number in range(3):
        for (_, batches), taken in zip(trainings, seconds, strict=True):
            began = time.perf_counter()
            with closing(batches.batches(number * given.batches, (number + 1) * given.batches)) as some:
                videos = sum(len(batch.labels) for batch in some)
            taken.append((time.perf_counter() - began) / given.batches)
    local, remote = (statistics.median(taken[1:]) for taken in seconds)
    print(
        f"without steps, seconds a batch of {videos // given.batches} videos: {local:.3f} from disk, {remote:.3f} from"
        f" the bucket with {1000 * given.latency:.0f} ms before each answer"
    )


def measure(given: argparse.Namespace, map_storage: str) -> list[list[Epoch]]:
    """Epochs from disk, and epochs from the bucket, taken in turns."""
    trainings = prepare(given, map_storage)
    epochs: list[list[Epoch]] = [[], []]
    for number in range(given.epochs):
        for (stepper, batches), taken in zip(trainings, epochs, strict=True):
            began, waited = time.perf_counter(), 0.0
            with closing(batches.batches(number * given.steps, (number + 1) * given.steps)) as some:
                for step, batch in enumerate(some, start=number * given.steps):
                    waited += batch.waited
                    stepper.step(step, batch)
            seconds = time.perf_counter() - began
            taken.append(Epoch(seconds / given.steps, waited / seconds))
    return epochs


def prepare(given: argparse.Namespace, map_storage: str) -> list[tuple[Any, Any]]:
    """What trains, and its batches, from disk and from the bucket."""
    import torch

    from hcl.train.config import preset_config
    from hcl.train.data.map_source import MapSource
    from hcl.train.encoders.factory import make_encoder
    from hcl.train.fitting.step import Stepper
    from hcl.train.runs.fit_run import base_batches, base_texts
    from hcl.train.runs.planning import make_run_config, open_with_splits

    config = preset_config("quick", map_storage=map_storage, device="cpu")
    trainings = []
    for place in (given.cache, f"s3://{BUCKET}/{NAME}"):
        source = MapSource(open_with_splits(place, given.splits), device=torch.device("cpu"))
        run = make_run_config(source.cache, config)
        encoder = make_encoder(config, run.encoder, source.layer4)
        trainings.append((Stepper(encoder, config, base_texts(source, run)), base_batches(source, config)))
    return trainings


async def serve(folder: Path, latency: float) -> None:
    """Answer GET and HEAD of the objects that are the files of a cache; the port is printed first."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
                await asyncio.sleep(latency)
                file = folder / unquote(path).partition("?")[0].removeprefix(f"/{BUCKET}/{NAME}/")
                found = file.is_file()
                body = file.read_bytes() if found else b""
                writer.write(
                    b'HTTP/1.1 %s\r\nContent-Length: %d\r\nETag: "x"\r\nLast-Modified: Thu, 01 Jan 1970 00:00:00 GMT'
                    b"\r\n\r\n" % (b"200 OK" if found else b"404 Not Found", len(body))
                )
                if method == "GET":
                    writer.write(body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    main()
