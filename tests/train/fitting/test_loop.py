"""A training learns, repeats, resumes exactly, keeps the best, and stops when a loss is not finite."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hcl.extract.system.errors import InputError
from hcl.train.config import TERMS, TrainConfig
from hcl.train.data.batches import Batch, BatchPrefetcher
from hcl.train.encoders.video_encoder import VideoEncoder
from hcl.train.fitting.loop import EpochRecord, StepRecord, fit

World = Any
MakeConfig = Callable[..., TrainConfig]
MakeEncoder = Callable[..., VideoEncoder]


@pytest.mark.parametrize("start", ["maps", "random"])
def test_training_learns_what_tells_new_classes_apart(
    world: World, make_config: MakeConfig, make_encoder: MakeEncoder, start: str
) -> None:
    config = make_config(epochs=3, steps_per_epoch=40, lr_step_size=2, start=start)
    encoder, epochs, steps = make_encoder(config), list[EpochRecord](), list[StepRecord]()
    encoder.fit_geometry(world.base_videos())
    untrained = world.val_accuracy(encoder.eval())
    fitted = fit(
        encoder,
        world.source(config),
        config,
        text=world.text,
        validate=world.val_accuracy,
        on_steps=lambda records, waiting: steps.extend(records),
        on_epoch=epochs.append,
    )
    assert fitted.start == EpochRecord(0, 0, 0.005, {}, untrained, True)
    assert tuple(epochs) == (fitted.start, *fitted.epochs)
    assert [record.step for record in steps] == list(range(1, 121))
    assert set(steps[0].terms) == {"total", *TERMS, "gradient_norm"}
    assert epochs[-1].terms["total"] < 0.8 * fitted.epochs[0].terms["total"]
    assert untrained < 0.5 and world.val_accuracy(encoder.eval()) > untrained + 0.2


@pytest.mark.parametrize(
    ("start", "measured", "best", "candidates"),
    [
        ("random", (0.0, 1.0, 3.0, 3.0), 2, [True, True, False]),
        ("random", (3.0, 1.0, 2.0, 2.5), 0, [False, False, False]),  # the encoder as it began
        ("random", (3.0, 1.0, 3.0, 3.0), 2, [False, True, False]),  # learned, and no worse for it
        ("maps", (1.0, 1.0, 0.5, 2.0), 3, [True, False, True]),
        ("maps", (3.0, 1.0, 2.0, 2.0), 0, [False, False, False]),
    ],
)
def test_the_best_weights_by_validation_are_kept_and_the_last_without(
    world: World,
    make_config: MakeConfig,
    make_encoder: MakeEncoder,
    start: str,
    measured: tuple[float, ...],
    best: int,
    candidates: list[bool],
) -> None:
    config, values = make_config(start=start), iter(measured)
    states: list[dict[str, Tensor]] = []

    def validate(encoder: VideoEncoder) -> float:
        assert not encoder.training and not torch.is_grad_enabled()
        states.append({name: value.clone() for name, value in encoder.state_dict().items()})
        return next(values)

    encoder = make_encoder(config)
    fitted = fit(encoder, world.source(config), config, validate=validate)
    assert fitted.best_epoch == best and [record.best for record in fitted.epochs] == candidates
    assert fitted.start is not None and fitted.start.validation == measured[0] and len(states) == len(measured)
    assert fitted.kept is not None and (fitted.kept.epoch, fitted.kept.validation) == (best, max(measured))
    torch.testing.assert_close(dict(encoder.state_dict()), states[best], rtol=0, atol=0)
    last = fit(make_encoder(config), world.source(config), config)
    assert last.best_epoch == 3 and last.epochs[-1].validation is None and last.start is None
    torch.testing.assert_close(last.state, states[-1], rtol=0, atol=0)


def test_a_killed_run_that_kept_its_start_resumes_to_the_same_end(
    world: World, make_config: MakeConfig, make_encoder: MakeEncoder, tmp_path: Path
) -> None:
    config, file = make_config(checkpoint_every=8), tmp_path / "checkpoint.pt"

    def falling(encoder: VideoEncoder) -> float:
        return -float(encoder.projection.weight.abs().sum())  # 0 at first

    whole = fit(make_encoder(config), world.source(config), config, validate=falling)
    assert whole.best_epoch == 0 and whole.kept == whole.start
    for last in (3, 12, 30):
        with pytest.raises(Killed):
            dying = DyingSource(world.source(config), last)
            fit(make_encoder(config), dying, config, checkpoint=file, validate=falling)
    told: list[EpochRecord] = []
    encoder = make_encoder(config)
    resumed = fit(encoder, world.source(config), config, checkpoint=file, validate=falling, on_epoch=told.append)
    assert (resumed.start, resumed.epochs, resumed.best_epoch) == (whole.start, whole.epochs, 0)
    assert tuple(told) == (whole.start, *whole.epochs)
    torch.testing.assert_close(resumed.state, whole.state, rtol=0, atol=0)
    torch.testing.assert_close(dict(encoder.state_dict()), whole.state, rtol=0, atol=0)


def test_learning_rate_falls_by_the_factor_every_few_epochs(
    world: World, make_config: MakeConfig, make_encoder: MakeEncoder
) -> None:
    config = make_config(epochs=5, steps_per_epoch=1, lr_step_size=2, lr_gamma=0.5, learning_rate=0.008)
    fitted = fit(make_encoder(config), world.source(config), config)
    assert [record.learning_rate for record in fitted.epochs] == [0.008, 0.008, 0.004, 0.004, 0.002]


class Killed(Exception):
    """Stands for the end of the process."""


class DyingSource:
    """Batches until a step at which the process ends."""

    def __init__(self, source: BatchPrefetcher, last: int) -> None:
        self.source, self.last = source, last

    def batches(self, start: int, stop: int) -> Generator[Batch, None, None]:
        for step, batch in enumerate(self.source.batches(start, stop), start=start):
            if step == self.last:
                raise Killed
            yield batch


@pytest.mark.parametrize("start", ["maps", "random"])
@pytest.mark.parametrize(
    ("kills", "optimiser", "ema_decay"), [((5,), "sgd", 0.0), ((12, 25), "adamw", 0.9), ((23, 24, 35), "adamw", 0.0)]
)
def test_a_killed_run_resumes_exactly(
    world: World,
    make_config: MakeConfig,
    make_encoder: MakeEncoder,
    tmp_path: Path,
    kills: tuple[int, ...],
    optimiser: str,
    ema_decay: float,
    start: str,
) -> None:
    config = make_config(
        optimiser=optimiser, checkpoint_every=8, dropout=0.3, lr_step_size=2, ema_decay=ema_decay, start=start
    )
    arguments: dict[str, Any] = {"text": world.text, "validate": world.val_accuracy}
    whole = fit(make_encoder(config), world.source(config), config, **arguments)
    file = tmp_path / "checkpoint.pt"
    for last in kills:
        torch.rand(last)  # other random numbers were drawn in the meantime
        with pytest.raises(Killed):
            dying = DyingSource(world.source(config), last)
            fit(make_encoder(config), dying, config, checkpoint=file, **arguments)
    epochs: list[EpochRecord] = []
    resumed = fit(
        make_encoder(config), world.source(config), config, checkpoint=file, on_epoch=epochs.append, **arguments
    )
    assert resumed.epochs == whole.epochs and resumed.start == whole.start
    assert tuple(epochs) == (whole.epochs if whole.start is None else (whole.start, *whole.epochs))
    torch.testing.assert_close(resumed.state, whole.state, rtol=0, atol=0)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_checkpoint_within_an_epoch_saves_its_steps(
    world: World, make_config: MakeConfig, make_encoder: MakeEncoder, tmp_path: Path
) -> None:
    config, file, steps = make_config(checkpoint_every=8), tmp_path / "checkpoint.pt", list[StepRecord]()
    with pytest.raises(Killed):
        fit(make_encoder(config), DyingSource(world.source(config), 23), config, checkpoint=file)
    fit(
        make_encoder(config),
        world.source(config),
        config,
        checkpoint=file,
        on_steps=lambda records, waiting: steps.extend(records),
    )
    assert steps[0].step == 21


def test_another_seed_gives_another_run_and_dropout_is_at_work(
    world: World, make_config: MakeConfig, make_encoder: MakeEncoder
) -> None:
    def first_total(**changes: Any) -> float:
        config = make_config(epochs=1, steps_per_epoch=2, **changes)
        return fit(make_encoder(config), world.source(config), config).epochs[0].terms["total"]

    assert first_total() == first_total()
    assert len({first_total(), first_total(seed=1), first_total(dropout=0.5)}) == 3


def test_a_finished_run_is_not_trained_again(
    world: World, make_config: MakeConfig, make_encoder: MakeEncoder, tmp_path: Path
) -> None:
    config, file = make_config(epochs=1, steps_per_epoch=2), tmp_path / "checkpoint.pt"
    first = fit(make_encoder(config), world.source(config), config, checkpoint=file)
    again = fit(make_encoder(config), DyingSource(world.source(config), 0), config, checkpoint=file)
    assert again.epochs == first.epochs
    torch.testing.assert_close(again.state, first.state, rtol=0, atol=0)


def test_checkpoints_of_other_settings_or_damaged_ones_are_refused(
    world: World, make_config: MakeConfig, make_encoder: MakeEncoder, tmp_path: Path
) -> None:
    config, file = make_config(epochs=1, steps_per_epoch=1), tmp_path / "checkpoint.pt"
    fit(make_encoder(config), world.source(config), config, checkpoint=file)
    other = make_config(epochs=1, steps_per_epoch=1, temperature=0.2)
    with pytest.raises(InputError, match=r"temperature 0.1 there, 0.2 now\); give the same or name another --run"):
        fit(make_encoder(other), world.source(other), other, checkpoint=file)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(InputError, match="remove it to train from the start"):
        fit(make_encoder(config), world.source(config), config, checkpoint=file)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_with_step_terms_and_remedy(
    world: World, make_config: MakeConfig, make_encoder: MakeEncoder, value: float
) -> None:
    config = make_config()

    class Broken:
        def batches(self, start: int, stop: int) -> Generator[Batch, None, None]:
            for step, batch in enumerate(world.source(config).batches(start, stop), start=start):
                maps = torch.full_like(batch.maps, value) if step == 14 else batch.maps
                yield Batch(maps, batch.labels, batch.waited)

    seen: list[EpochRecord] = []
    with pytest.raises(InputError, match=r"step 15: not finite: total nan, cross_entropy nan.*lower --learning-rate"):
        fit(make_encoder(config), Broken(), config, on_epoch=seen.append)
    assert len(seen) == 1
