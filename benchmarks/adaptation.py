"""What adapting to a few clips brings: the other clips of their classes are asked for.

    python benchmarks/adaptation.py RUN CLIPS.zarr [DRAWS] [SHOTS] [STEPS] [RATE]

RUN was trained on other classes of a cache that is still there. CLIPS is a cache of like maps, in more views, of the
classes that are to be learned. In each draw SHOTS clips of each class are the supports, all others the queries.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from hcl.classify.adaptation.held_out import embedded_clips, recognised
from hcl.classify.answers.matcher import Matching
from hcl.classify.embedding.origin import Origin
from hcl.extract.cache.formats import open_cache
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


def main(run: str, clips: str, draws: str = "3", shots: str = "5", steps: str = "60", rate: str = "0.0005") -> None:
    trained = Run(Path(run), read_config(run))
    cache = open_cache(Path(clips))
    config = AdaptConfig(steps=int(steps), learning_rate=float(rate))
    source, base = MapSource(cache), open_base(trained)
    results: dict[str, list[float]] = {}
    for draw in range(int(draws)):
        supports = draw_supports(cache.videos.label, int(shots), draw)
        queries = np.setdiff1d(np.arange(len(cache.videos)), supports)
        for name, (encoder, seconds) in encoders(trained, base, source, supports, config).items():
            origin = Origin(run, "", cache.settings, VIEWS)
            if not isinstance(encoder, Untrained):
                origin = replace(origin, encoder_sha256=name)
            embedded = embedded_clips(encoder.eval(), source, np.arange(len(cache.videos)), origin)
            matching = Matching() if isinstance(encoder, Untrained) else Matching.of_run(trained)
            right = recognised(embedded, matching, supports.tolist(), queries.tolist())
            results.setdefault(name, []).append(100 * float(right.mean()))
            print(f"draw {draw}  {name:28s} {results[name][-1]:5.1f} %  of {len(queries)}  {seconds:.0f} s", flush=True)
    for name, values in results.items():
        print(f"{name:28s} {np.mean(values):5.1f} %  (draws: {', '.join(f'{value:.1f}' for value in values)})")


def draw_supports(labels: tuple[str, ...], shots: int, draw: int) -> np.ndarray:
    """Draw some clips of each class."""
    rng = np.random.default_rng([0, draw])
    of = np.array(labels)
    return np.sort(
        np.concatenate([rng.choice(np.flatnonzero(of == name), shots, False) for name in sorted(set(labels))])
    )


def encoders(run, base, source, supports, config) -> dict[str, tuple[Encoder, float]]:  # type: ignore[no-untyped-def]
    """The encoders that are compared, and the seconds that each took to train."""
    made: dict[str, tuple[Encoder, float]] = {
        "untrained": (Untrained(inputs=inputs_in(source.cache.settings)), 0.0),
        "trained on base": (load_encoder(run.folder), 0.0),
    }
    for name, of_base in (("base + adapted", base), ("adapted on the clips alone", None)):
        plan, start = Adaptation(run, of_base, source.cache, config), time.time()
        with tempfile.TemporaryDirectory() as folder:
            state = adapted_state(Path(folder), plan, supports)
        final = plan.run_config(supports)
        encoder = make_encoder(final.training, final.encoder, source.layer4)
        encoder.load_state_dict(state)
        made[name] = encoder, time.time() - start
    plan, start = Adaptation(run, None, source.cache, config), time.time()
    joined = plan.learned_from(supports)
    training = replace(TrainConfig(), hold_out=False)
    with tempfile.TemporaryDirectory() as folder:
        alone = fit_run(Path(folder), MapSource(joined), make_run_config(joined, training), epochs=training.epochs)
    made["clips alone, from the start"] = alone, time.time() - start
    return made


if __name__ == "__main__":
    main(*sys.argv[1:])
