"""What adapting to a few clips brings: the other clips of their classes are asked for.

    python benchmarks/adaptation.py RUN CLIPS.zarr [--draws 3] [--shots 5] [--steps 60] [--rate 0.0005] [--apart]

RUN was trained on other classes of a cache that is still there. CLIPS is a cache of like maps, in more views, of the
classes that are to be learned. In each draw some clips of each class are the supports, all others the queries; with
--apart only those of people (groups) of whom no clip is a support.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from hcl.classify.adaptation.held_out import embedded_clips, recognised
from hcl.classify.answers.matcher import Matching
from hcl.classify.embedding.origin import Origin
from hcl.classify.support.support_set import SupportSet
from hcl.extract.cache.base import FrameMapCache
from hcl.extract.cache.formats import open_cache
from hcl.extract.cache.video_table import VideoTable
from hcl.train.adaptation.config import AdaptConfig
from hcl.train.adaptation.fitting import adapted_state
from hcl.train.adaptation.planning import Adaptation, open_base
from hcl.train.config import TrainConfig
from hcl.train.data.map_source import MapSource
from hcl.train.encoders.factory import Encoder, make_encoder
from hcl.train.encoders.layer4 import inputs_in
from hcl.train.encoders.untrained import Untrained
from hcl.train.runs.fit_run import fit_run
from hcl.train.runs.planning import make_run_config
from hcl.train.runs.run_folder import Run, load_encoder, read_config

VIEWS = 2  # of each clip that are embedded
UNTRAINED, ON_BASE, ADAPTED = "untrained", "trained on base", "base + adapted"
ALONE, FROM_START = "adapted on the clips alone", "clips alone, from the start"
NAMES = (UNTRAINED, ON_BASE, ADAPTED, ALONE, FROM_START)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--steps", type=int, default=AdaptConfig.steps)
    parser.add_argument("--rate", type=float, default=AdaptConfig.learning_rate)
    parser.add_argument("--apart", action="store_true")
    parser.add_argument("--only", nargs="*", default=NAMES)
    given = parser.parse_args()
    trained, cache = Run(given.run, read_config(given.run)), open_cache(given.clips)
    config = AdaptConfig(steps=given.steps, learning_rate=given.rate)
    results: dict[str, list[float]] = {}
    for draw in range(given.draws):
        supports = draw_supports(cache.videos, given.shots, draw, apart=given.apart)
        people = {cache.videos.group[row] for row in supports} if given.apart else set()
        others = np.setdiff1d(np.arange(len(cache.videos)), supports).tolist()
        queries = [row for row in others if cache.videos.group[row] not in people]
        for name in given.only:
            start = time.time()
            encoder = make(name, trained, cache, supports, config)
            seconds = time.time() - start
            embedded = embed(encoder.eval(), trained, cache)
            matching = Matching() if isinstance(encoder, Untrained) else Matching.of_run(trained)
            right = recognised(embedded, matching, supports.tolist(), queries)
            results.setdefault(name, []).append(100 * float(right.mean()))
            print(f"draw {draw}  {name:28s} {results[name][-1]:5.1f} %  of {len(queries)}  {seconds:.0f} s", flush=True)
    for name, values in results.items():
        print(f"{name:28s} {np.mean(values):5.1f} %  (draws: {', '.join(f'{value:.1f}' for value in values)})")


def draw_supports(videos: VideoTable, shots: int, draw: int, *, apart: bool) -> np.ndarray:
    """Draw some clips of each class; apart, of as few people as have that many of each class, so that others remain."""
    rng = np.random.default_rng([0, draw])
    labels, people = np.array(videos.label), sorted(set(videos.group))
    chosen = set(people)
    if apart:
        order = rng.permutation(people).tolist()
        for count in range(1, len(order)):
            chosen = set(order[:count])
            of_chosen = [label for label, group in zip(videos.label, videos.group, strict=True) if group in chosen]
            held = [of_chosen.count(name) for name in set(videos.label)]
            if min(held) >= shots:
                break
    allowed = np.array([group in chosen for group in videos.group])
    of_classes = [np.flatnonzero((labels == name) & allowed) for name in sorted(set(labels))]
    return np.sort(np.concatenate([rng.choice(rows, shots, replace=False) for rows in of_classes]))


def embed(encoder: Encoder, run: Run, cache: FrameMapCache) -> SupportSet:
    """Embed all clips."""
    trained = "" if isinstance(encoder, Untrained) else "trained"
    origin = Origin(str(run.folder), trained, cache.settings, VIEWS)
    return embedded_clips(encoder, MapSource(cache), np.arange(len(cache.videos)), origin)


def make(name: str, run: Run, cache: FrameMapCache, supports: np.ndarray, config: AdaptConfig) -> Encoder:
    """Make or train the encoder of a name."""
    if name == UNTRAINED:
        return Untrained(inputs=inputs_in(cache.settings))
    if name == ON_BASE:
        return load_encoder(run.folder)
    plan = Adaptation(run, open_base(run) if name == ADAPTED else None, cache, config)
    with tempfile.TemporaryDirectory() as folder:
        if name == FROM_START:
            joined, training = plan.learned_from(supports), replace(TrainConfig(), hold_out=False)
            return fit_run(Path(folder), MapSource(joined), make_run_config(joined, training), epochs=training.epochs)
        state = adapted_state(Path(folder), plan, supports)
    final = plan.run_config(supports)
    encoder = make_encoder(final.training, final.encoder, MapSource(cache).layer4)
    encoder.load_state_dict(state)
    return encoder


if __name__ == "__main__":
    main()
