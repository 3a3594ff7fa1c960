"""What one step does to the weights, in which precision, and with which random numbers."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from hcl.train.config import TrainConfig
from hcl.train.encoders.video_encoder import VideoEncoder
from hcl.train.fitting.loop import fit
from hcl.train.fitting.step import Stepper, autocast_dtype, make_optimiser, seeded

World = Any
MakeConfig = Callable[..., TrainConfig]
MakeEncoder = Callable[..., VideoEncoder]

CPU = torch.device("cpu")


def test_averaged_weights_are_a_running_mean_and_do_not_change_the_training(
    world: World, make_config: MakeConfig, make_encoder: MakeEncoder
) -> None:
    plain, averaged = (
        Stepper(make_encoder(of), of, None) for of in (make_config(ema_decay=0.0), make_config(ema_decay=0.75))
    )
    assert plain.kept is plain.encoder
    expected: dict[str, Tensor] = {}
    for number, batch in enumerate(world.source(make_config()).batches(0, 6)):
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

    encoder, config = make_encoder(make_config()), make_config(ema_decay=0.75)
    fitted = fit(encoder, world.source(config), config, validate=validate)
    torch.testing.assert_close(fitted.state, states[-1], rtol=0, atol=0)
    torch.testing.assert_close(dict(encoder.state_dict()), states[-1], rtol=0, atol=0)


def test_clipping_limits_the_step_and_is_off_at_zero(
    world: World, make_config: MakeConfig, make_encoder: MakeEncoder
) -> None:
    def moved(clip: float) -> float:
        config = make_config(
            optimiser="sgd", epochs=1, steps_per_epoch=1, learning_rate=1.0, max_grad_norm=clip, weight_decay=0
        )
        encoder = make_encoder(config)
        before = torch.nn.utils.parameters_to_vector(encoder.parameters()).detach().clone()
        norm = fit(encoder, world.source(config), config).epochs[0].terms["gradient_norm"]
        after = torch.nn.utils.parameters_to_vector(encoder.parameters()).detach()
        assert (after - before).norm().item() == pytest.approx(min(norm, clip) if clip else norm, rel=1e-3)
        return norm

    assert moved(0.0) == moved(0.01) > 0.01


def test_only_weight_matrices_decay(make_config: MakeConfig, make_encoder: MakeEncoder) -> None:
    encoder = make_encoder(make_config(start="random"))
    decaying, others = make_optimiser(encoder, make_config(weight_decay=0.1)).param_groups
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    names = {id(parameter): name for name, parameter in encoder.named_parameters()}
    kept = {names[id(parameter)] for parameter in others["params"]}
    assert {"frame_position", "patch_position", "norm.weight", "projection.bias"} <= kept
    assert not any(name.endswith("projection.weight") for name in kept)
    assert len(decaying["params"]) + len(others["params"]) == len(names)


def test_precision_is_taken_as_asked_and_bfloat16_trains(
    world: World, make_config: MakeConfig, make_encoder: MakeEncoder
) -> None:
    assert autocast_dtype("float32", CPU) is None
    assert autocast_dtype("bfloat16", CPU) is torch.bfloat16
    assert autocast_dtype("auto", CPU) in (None, torch.bfloat16)
    config = make_config(precision="bfloat16", epochs=1, steps_per_epoch=2)
    assert fit(make_encoder(config), world.source(config), config, text=world.text).epochs[0].step == 2


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
