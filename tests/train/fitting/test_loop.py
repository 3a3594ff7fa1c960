"""That training learns, repeats, resumes exactly, keeps the best, and stops when a loss is not finite."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from hcl.extract.system.errors import InputError
from hcl.match.scoring.scores import match
from hcl.train.config import TERMS, TrainConfig
from hcl.train.data.batches import Batch, BatchSource, ClassDraw
from hcl.train.encoders.video_encoder import VideoEncoder
from hcl.train.fitting.checkpoint import load_checkpoint, save_checkpoint
from hcl.train.fitting.loop import EpochRecord, StepRecord, fit
from hcl.train.fitting.step import Stepper, autocast_dtype, make_optimiser, seeded

FRAMES, PATCHES, CHANNELS, BASE, VAL, VIDEOS, SIGNAL = 3, 4, 24, 12, 5, 6, 8
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> Generator[None, None, None]:
    """Threads cost tiny products more than they bring."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class World:
    """Classes differ in a few channels, frame by frame; videos differ far more in all the others."""

    def __init__(self) -> None:
        rng = np.random.default_rng(7)
        self.labels = np.repeat(np.arange(BASE + VAL), VIDEOS).astype(np.int64)
        classes = rng.normal(size=(BASE + VAL, FRAMES, 1, SIGNAL))
        self.values = 0.3 * rng.normal(size=(len(self.labels), FRAMES, PATCHES, CHANNELS))
        self.values += 1.5 * rng.normal(size=(len(self.labels), 1, 1, CHANNELS)) * (np.arange(CHANNELS) >= SIGNAL)
        self.values[..., :SIGNAL] += classes[self.labels]
        self.text = torch.from_numpy(rng.normal(size=(BASE, 5))).float()

    n_views = 1
    shape = (FRAMES, PATCHES, CHANNELS)

    def view(self, row: int, view: int, out: NDArray[np.float16] | None = None) -> NDArray[np.float16]:
        maps = np.empty(self.shape, np.float16) if out is None else out
        maps[:] = self.values[row]
        return maps

    def source(self, config: TrainConfig) -> BatchSource:
        rows = np.flatnonzero(self.labels < BASE)
        draw = ClassDraw(
            self.labels[rows],
            [f"class {index}" for index in range(BASE)],
            classes_per_batch=config.classes_per_batch,
            videos_per_class=config.videos_per_class,
            seed=config.seed,
        )
        return BatchSource(self, rows, self.labels[rows], draw, device=CPU, num_workers=2)

    def val_accuracy(self, encoder: VideoEncoder) -> float:
        """Nearest other video among the val classes, by all three levels; chance is 0.17."""
        rows = self.labels >= BASE
        labels = torch.from_numpy(self.labels[rows])
        embeddings = encoder(torch.from_numpy(self.values[rows].astype(np.float16)))
        scores = match(embeddings, embeddings, top_clips=2, top_patches=2).total().fill_diagonal_(-torch.inf)
        return float((labels[scores.argmax(dim=1)] == labels).double().mean())


WORLD = World()


def settings(**changes: Any) -> TrainConfig:
    small = {"dim": 16, "heads": 2, "mlp_dim": 32, "top_clips": 2, "top_patches": 2, "classes_per_batch": 5}
    schedule = {"epochs": 3, "steps_per_epoch": 12, "learning_rate": 0.005, "lr_step_size": 1, "precision": "float32"}
    return TrainConfig(**{**small, **schedule, **changes})


def new_encoder(config: TrainConfig) -> VideoEncoder:
    return VideoEncoder(config, channels=CHANNELS, frames=FRAMES, patches=PATCHES, classes=BASE, text_width=5)


def test_training_learns_what_tells_new_classes_apart() -> None:
    config = settings(epochs=3, steps_per_epoch=40, lr_step_size=2)
    encoder, epochs, steps = new_encoder(config), list[EpochRecord](), list[StepRecord]()
    untrained = WORLD.val_accuracy(encoder.eval())
    fitted = fit(
        encoder,
        WORLD.source(config),
        config,
        text=WORLD.text,
        validate=WORLD.val_accuracy,
        on_steps=lambda records, waiting: steps.extend(records),
        on_epoch=epochs.append,
    )
    assert tuple(epochs) == fitted.epochs and [record.step for record in steps] == list(range(1, 121))
    assert set(steps[0].terms) == {"total", *TERMS, "gradient_norm"}
    assert epochs[-1].terms["total"] < 0.8 * epochs[0].terms["total"]
    assert untrained < 0.5 and WORLD.val_accuracy(encoder.eval()) > untrained + 0.2


def test_the_best_weights_by_validation_are_kept_and_the_last_without() -> None:
    config, values = settings(), iter([1.0, 3.0, 3.0])
    states: list[dict[str, Tensor]] = []

    def validate(encoder: VideoEncoder) -> float:
        assert not encoder.training and not torch.is_grad_enabled()
        states.append({name: value.clone() for name, value in encoder.state_dict().items()})
        return next(values)

    encoder = new_encoder(config)
    fitted = fit(encoder, WORLD.source(config), config, validate=validate)
    assert fitted.best_epoch == 2 and [record.best for record in fitted.epochs] == [True, True, False]
    torch.testing.assert_close(dict(encoder.state_dict()), states[1], rtol=0, atol=0)
    last = fit(new_encoder(config), WORLD.source(config), config)
    assert last.best_epoch == 3 and last.epochs[-1].validation is None
    torch.testing.assert_close(last.state, states[2], rtol=0, atol=0)


def test_averaged_weights_are_a_running_mean_and_do_not_change_the_training() -> None:
    plain, averaged = (Stepper(new_encoder(of), of, None) for of in (settings(ema_decay=0.0), settings(ema_decay=0.75)))
    assert plain.kept is plain.encoder
    expected: dict[str, Tensor] = {}
    for number, batch in enumerate(WORLD.source(settings()).batches(0, 6)):
        plain.step(number, batch)
        averaged.step(number, batch)
        for name, value in plain.encoder.state_dict().items():
            expected[name] = value.clone() if number == 0 else 0.75 * expected[name] + 0.25 * value
    torch.testing.assert_close(averaged.encoder.state_dict(), plain.encoder.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(dict(averaged.kept.state_dict()), expected)
    states: list[dict[str, Tensor]] = []

    def validate(encoder: VideoEncoder) -> float:
        states.append({name: value.clone() for name, value in encoder.state_dict().items()})
        return float(len(states))

    encoder, config = new_encoder(settings()), settings(ema_decay=0.75)
    fitted = fit(encoder, WORLD.source(config), config, validate=validate)
    torch.testing.assert_close(fitted.state, states[-1], rtol=0, atol=0)
    torch.testing.assert_close(dict(encoder.state_dict()), states[-1], rtol=0, atol=0)


def test_learning_rate_falls_by_the_factor_every_few_epochs() -> None:
    config = settings(epochs=5, steps_per_epoch=1, lr_step_size=2, lr_gamma=0.5, learning_rate=0.008)
    fitted = fit(new_encoder(config), WORLD.source(config), config)
    assert [record.learning_rate for record in fitted.epochs] == [0.008, 0.008, 0.004, 0.004, 0.002]


class Killed(Exception):
    """Stands for the end of the process."""


class DyingSource:
    """Batches until a step at which the process ends."""

    def __init__(self, source: BatchSource, last: int) -> None:
        self.source, self.last = source, last

    def batches(self, start: int, stop: int) -> Generator[Batch, None, None]:
        for step, batch in enumerate(self.source.batches(start, stop), start=start):
            if step == self.last:
                raise Killed
            yield batch


@pytest.mark.parametrize(
    ("kills", "optimiser", "ema_decay"), [((5,), "sgd", 0.0), ((12, 25), "adamw", 0.9), ((23, 24, 35), "adamw", 0.0)]
)
def test_a_killed_run_goes_on_exactly(tmp_path: Path, kills: tuple[int, ...], optimiser: str, ema_decay: float) -> None:
    config = settings(optimiser=optimiser, checkpoint_every=8, dropout=0.3, lr_step_size=2, ema_decay=ema_decay)
    arguments: dict[str, Any] = {"text": WORLD.text, "validate": WORLD.val_accuracy}
    whole = fit(new_encoder(config), WORLD.source(config), config, **arguments)
    file = tmp_path / "checkpoint.pt"
    for last in kills:
        torch.rand(last)  # other random numbers were drawn in the meantime
        with pytest.raises(Killed):
            dying = DyingSource(WORLD.source(config), last)
            fit(new_encoder(config), dying, config, checkpoint=file, **arguments)
    epochs: list[EpochRecord] = []
    resumed = fit(
        new_encoder(config), WORLD.source(config), config, checkpoint=file, on_epoch=epochs.append, **arguments
    )
    assert resumed.epochs == whole.epochs == tuple(epochs)
    torch.testing.assert_close(resumed.state, whole.state, rtol=0, atol=0)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_checkpoint_within_an_epoch_saves_its_steps(tmp_path: Path) -> None:
    config, file, steps = settings(checkpoint_every=8), tmp_path / "checkpoint.pt", list[StepRecord]()
    with pytest.raises(Killed):
        fit(new_encoder(config), DyingSource(WORLD.source(config), 23), config, checkpoint=file)
    fit(
        new_encoder(config),
        WORLD.source(config),
        config,
        checkpoint=file,
        on_steps=lambda records, waiting: steps.extend(records),
    )
    assert steps[0].step == 21


def test_another_seed_gives_another_run_and_dropout_is_at_work() -> None:
    def first_total(**changes: Any) -> float:
        config = settings(epochs=1, steps_per_epoch=2, **changes)
        return fit(new_encoder(config), WORLD.source(config), config).epochs[0].terms["total"]

    assert first_total() == first_total()
    assert len({first_total(), first_total(seed=1), first_total(dropout=0.5)}) == 3


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    config, file = settings(epochs=1, steps_per_epoch=2), tmp_path / "checkpoint.pt"
    first = fit(new_encoder(config), WORLD.source(config), config, checkpoint=file)
    again = fit(new_encoder(config), DyingSource(WORLD.source(config), 0), config, checkpoint=file)
    assert again.epochs == first.epochs
    torch.testing.assert_close(again.state, first.state, rtol=0, atol=0)


def test_checkpoints_of_other_settings_or_damaged_ones_are_refused(tmp_path: Path) -> None:
    config, file = settings(epochs=1, steps_per_epoch=1), tmp_path / "checkpoint.pt"
    fit(new_encoder(config), WORLD.source(config), config, checkpoint=file)
    other = settings(epochs=1, steps_per_epoch=1, temperature=0.2)
    with pytest.raises(InputError, match=r"temperature 0.1 there, 0.2 now\); give the same or name another --run"):
        fit(new_encoder(other), WORLD.source(other), other, checkpoint=file)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(InputError, match="remove it to train from the start"):
        fit(new_encoder(config), WORLD.source(config), config, checkpoint=file)


class Malice:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("malice"),)


def test_loading_a_checkpoint_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"steps": Malice()}, tmp_path / "checkpoint.pt")
    with pytest.raises(InputError, match="no checkpoint"):
        load_checkpoint(tmp_path / "checkpoint.pt")
    assert not (tmp_path / "malice").exists()


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    save_checkpoint(file, {"steps": 1})
    file.with_name("checkpoint.pt.new").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        save_checkpoint(file, {"steps": 2})
    assert load_checkpoint(file) == {"steps": 1}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_with_step_terms_and_remedy(value: float) -> None:
    config = settings()

    class Broken:
        def batches(self, start: int, stop: int) -> Generator[Batch, None, None]:
            for step, batch in enumerate(WORLD.source(config).batches(start, stop), start=start):
                maps = torch.full_like(batch.maps, value) if step == 14 else batch.maps
                yield Batch(maps, batch.labels, batch.waited)

    seen: list[EpochRecord] = []
    with pytest.raises(InputError, match=r"step 15: not finite: total nan, cross_entropy nan.*lower --learning-rate"):
        fit(new_encoder(config), Broken(), config, on_epoch=seen.append)
    assert len(seen) == 1


def test_clipping_limits_the_step_and_is_off_at_zero() -> None:
    def moved(clip: float) -> float:
        config = settings(
            optimiser="sgd", epochs=1, steps_per_epoch=1, learning_rate=1.0, max_grad_norm=clip, weight_decay=0
        )
        encoder = new_encoder(config)
        before = torch.nn.utils.parameters_to_vector(encoder.parameters()).detach().clone()
        norm = fit(encoder, WORLD.source(config), config).epochs[0].terms["gradient_norm"]
        after = torch.nn.utils.parameters_to_vector(encoder.parameters()).detach()
        assert (after - before).norm().item() == pytest.approx(min(norm, clip) if clip else norm, rel=1e-3)
        return norm

    assert moved(0.0) == moved(0.01) > 0.01


def test_only_weight_matrices_decay() -> None:
    encoder = new_encoder(settings())
    decaying, others = make_optimiser(encoder, settings(weight_decay=0.1)).param_groups
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    names = {id(parameter): name for name, parameter in encoder.named_parameters()}
    kept = {names[id(parameter)] for parameter in others["params"]}
    assert {"frame_position", "patch_position", "norm.weight", "projection.bias"} <= kept
    assert not any(name.endswith("projection.weight") for name in kept)
    assert len(decaying["params"]) + len(others["params"]) == len(names)


def test_precision_is_taken_as_asked_and_bfloat16_trains() -> None:
    assert autocast_dtype("float32", CPU) is None
    assert autocast_dtype("bfloat16", CPU) is torch.bfloat16
    assert autocast_dtype("auto", CPU) in (None, torch.bfloat16)
    config = settings(precision="bfloat16", epochs=1, steps_per_epoch=2)
    assert fit(new_encoder(config), WORLD.source(config), config, text=WORLD.text).epochs[0].step == 2


def test_random_numbers_of_a_step_are_its_own() -> None:
    state = torch.random.get_rng_state()
    with seeded(0, 5, CPU):
        first = torch.rand(3)
    torch.rand(1)
    with seeded(0, 5, CPU):
        torch.testing.assert_close(torch.rand(3), first)
    with seeded(0, 6, CPU):
        assert not torch.equal(torch.rand(3), first)
    torch.random.set_rng_state(state)
    with seeded(0, 5, CPU):
        torch.rand(1)
    assert torch.equal(torch.random.get_rng_state(), state)
