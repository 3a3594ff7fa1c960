"""Eq. 11 against its parts, its switches, and the pairs that it averages over."""

from dataclasses import fields, replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hcl.match.config import LEVELS
from hcl.match.embeddings import Embeddings
from hcl.match.scoring.scores import match, semantic_attention
from hcl.train.config import TERMS, TrainConfig
from hcl.train.encoders.video_encoder import all_clips
from hcl.train.losses.losses import spatial_cycle, supervised_contrastive, temporal_cycle
from hcl.train.losses.objective import Objective, objective, term_weights, trained_levels

FRAMES, PATCHES, WIDTH, CLASSES = 4, 3, 6, 5
ALL = ("total", *TERMS)


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def some_embeddings(videos: int, sizes: tuple[int, ...] = (2,), *, keys: bool = True) -> Embeddings:
    clips = all_clips(FRAMES, sizes)
    return Embeddings(
        global_=random(0, videos, WIDTH),
        clips=random(1, videos, len(clips), WIDTH),
        patches=random(2, videos, FRAMES, PATCHES, WIDTH),
        clip_frames=clips,
        class_keys=3 * random(3, videos, WIDTH) if keys else None,
    )


def config(**settings: Any) -> TrainConfig:
    return TrainConfig(**{"top_clips": 3, "top_patches": 2, **settings})


def spatial_cycle_by_loops(embeddings: Embeddings, labels: list[int], settings: TrainConfig) -> float:
    """Eq. 10 on every clip pair that Eq. 3 chooses, in every ordered pair of videos of one class."""
    total, count, clip_frames = 0.0, 0, embeddings.clip_frames
    for i in range(len(labels)):
        for j in range(len(labels)):
            if i == j or labels[i] != labels[j]:
                continue
            cosines = F.normalize(embeddings.clips[i], dim=1) @ F.normalize(embeddings.clips[j], dim=1).T
            ranked = sorted(range(len(clip_frames)), key=lambda c: -cosines[c].max().item())[: settings.top_clips]
            for clip in ranked:
                partner = int(cosines[clip].argmax())
                query = torch.cat([embeddings.patches[i, frame] for frame in clip_frames[clip]])
                support = torch.cat([embeddings.patches[j, frame] for frame in clip_frames[partner]])
                attention = torch.ones(len(query), dtype=torch.float64)
                if embeddings.class_keys is not None:
                    attention = semantic_attention(query, embeddings.class_keys[j], settings.attention_scale)
                total += spatial_cycle(query[None], support[None], attention[None], settings.cycle_temperature).item()
                count += 1
    return total / count


@pytest.mark.parametrize("scale", ["mean_one", "paper"])
@pytest.mark.parametrize("keys", [True, False])
@pytest.mark.parametrize("sizes", [(2,), (2, 3)])
@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [2, 0, 2, 2, 1]])
def test_terms_are_the_losses_on_the_scores_of_match(
    labels: list[int], sizes: tuple[int, ...], keys: bool, scale: str
) -> None:
    embeddings, settings = some_embeddings(len(labels), sizes, keys=keys), config(attention_scale=scale)
    logits, classes = random(4, len(labels), CLASSES), torch.tensor(labels)
    found = objective(embeddings, logits, classes, settings)
    scores = match(embeddings, embeddings, top_clips=3, top_patches=2, attention_scale=scale)
    pairs = [(i, j) for i, a in enumerate(labels) for j, b in enumerate(labels) if i != j and a == b]
    rescaled = len(labels) ** 2 / len(pairs)
    queries, supports = map(list, zip(*pairs, strict=True))
    expected = {
        "cross_entropy": F.cross_entropy(logits.float(), classes).item(),
        "global_contrast": rescaled * supervised_contrastive(scores.global_, classes, 0.1).item(),
        "temporal_contrast": rescaled * supervised_contrastive(scores.temporal, classes, 0.1).item(),
        "spatial_contrast": rescaled * supervised_contrastive(scores.spatial, classes, 0.1).item(),
        "temporal_cycle": temporal_cycle(
            embeddings.clips[queries], embeddings.clips[supports], 3, settings.cycle_temperature
        )
        .mean()
        .item(),
        "spatial_cycle": spatial_cycle_by_loops(embeddings, labels, settings),
    }
    values = {name: value.item() for name, value in found.values().items()}
    total = values.pop("total")
    assert values == pytest.approx(expected, rel=1e-5)
    contrasts = 0.5 * expected["global_contrast"] + 0.3 * (expected["temporal_contrast"] + expected["temporal_cycle"])
    contrasts += 0.3 * (expected["spatial_contrast"] + expected["spatial_cycle"])
    assert total == pytest.approx(expected["cross_entropy"] + contrasts, rel=1e-5)


def test_literal_normalisation_divides_by_the_batch_squared() -> None:
    embeddings, logits, labels = some_embeddings(6), random(5, 6, CLASSES), torch.tensor([0, 0, 1, 1, 2, 2])
    mean = objective(embeddings, logits, labels, config()).global_contrast
    literal = objective(embeddings, logits, labels, config(contrast_normalisation="literal")).global_contrast
    assert mean is not None and literal is not None
    torch.testing.assert_close(literal, mean * 6 / 36)


@pytest.mark.parametrize("off", TERMS)
def test_a_switch_takes_out_its_term_and_no_other(off: str) -> None:
    embeddings, logits, labels = some_embeddings(4), random(6, 4, CLASSES), torch.tensor([0, 0, 1, 1])
    full, weights = objective(embeddings, logits, labels, config()), term_weights(config())
    less = objective(embeddings, logits, labels, config(**{off: False}))
    assert getattr(less, off) is None and set(less.values()) == set(ALL) - {off}
    for name in set(TERMS) - {off}:
        torch.testing.assert_close(getattr(less, name), getattr(full, name))
    torch.testing.assert_close(less.total, full.total - weights[off] * getattr(full, off))


@pytest.mark.parametrize("alone", TERMS)
def test_each_term_alone_trains_something(alone: str) -> None:
    embeddings = some_embeddings(4)
    tensors = {
        field.name: getattr(embeddings, field.name).requires_grad_()
        for field in fields(embeddings)
        if field.name != "clip_frames"
    }
    logits = random(7, 4, CLASSES).requires_grad_()
    switches = dict.fromkeys(TERMS, False) | {alone: True}
    objective(embeddings, logits, torch.tensor([0, 0, 1, 1]), config(**switches)).total.backward()
    reached = {name for name, tensor in {**tensors, "logits": logits}.items() if tensor.grad is not None}
    expected = {
        "cross_entropy": {"logits"},
        "global_contrast": {"global_"},
        "temporal_contrast": {"clips"},
        "temporal_cycle": {"clips"},
        "spatial_contrast": {"patches", "class_keys"},
        "spatial_cycle": {"patches", "class_keys"},
    }[alone]
    assert {name for name in reached if ({**tensors, "logits": logits}[name].grad != 0).any()} == expected


def test_without_semantic_attention_class_keys_do_not_matter() -> None:
    logits, labels = random(8, 4, CLASSES), torch.tensor([0, 0, 1, 1])
    off = objective(some_embeddings(4), logits, labels, config(semantic_attention=False))
    none = objective(some_embeddings(4, keys=False), logits, labels, config())
    torch.testing.assert_close(off.values(), none.values())
    on = objective(some_embeddings(4), logits, labels, config())
    assert not torch.isclose(on.values()["spatial_cycle"], none.values()["spatial_cycle"])


def test_a_batch_without_positives_leaves_cross_entropy_alone() -> None:
    embeddings = replace(some_embeddings(3), patches=random(9, 3, FRAMES, PATCHES, WIDTH).requires_grad_())
    found = objective(embeddings, random(10, 3, CLASSES), torch.tensor([0, 1, 2]), config())
    assert {name for name, value in found.values().items() if value != 0} == {"total", "cross_entropy"}
    found.total.backward()
    assert embeddings.patches.grad is not None and not embeddings.patches.grad.any()


def test_the_objective_does_not_depend_on_the_order_of_the_batch() -> None:
    embeddings, logits, labels = some_embeddings(5), random(11, 5, CLASSES), torch.tensor([0, 1, 0, 1, 1])
    order = torch.tensor([3, 0, 4, 2, 1])
    shuffled = objective(embeddings.rows(order), logits[order], labels[order], config())
    torch.testing.assert_close(shuffled.values(), objective(embeddings, logits, labels, config()).values())


@pytest.mark.parametrize(
    "changes", [{}, {"spatial_weight": 0.0}, {"contrast_normalisation": "literal", "semantic_attention": False}]
)
def test_parts_of_a_batch_add_up(changes: dict[str, Any]) -> None:
    embeddings, logits, labels = some_embeddings(6, (2, 3)), random(12, 6, CLASSES), torch.tensor([0, 1, 0, 1, 1, 2])
    whole = objective(embeddings, logits, labels, config(**changes)).values()
    shares = [slice(0, 2), slice(2, 5), slice(5, 6)]  # the last has no other video of its class
    parts = [objective(embeddings, logits[rows], labels, config(**changes), rows=rows).values() for rows in shares]
    torch.testing.assert_close({name: torch.stack([part[name] for part in parts]).sum() for name in whole}, whole)


def test_weight_zero_is_off() -> None:
    assert set(term_weights(config(spatial_weight=0.0))) == set(TERMS) - {"spatial_contrast", "spatial_cycle"}
    assert Objective(total=torch.zeros(())).values().keys() == {"total"}


@pytest.mark.parametrize(
    ("on", "weights", "levels"),
    [
        (("cross_entropy",), {}, ("global",)),
        (("global_contrast",), {}, ("global",)),
        (("temporal_cycle",), {}, ("temporal",)),
        (("cross_entropy", "spatial_contrast"), {}, ("global", "spatial")),
        (("cross_entropy", "spatial_cycle"), {"spatial_weight": 0}, ("global",)),
        (TERMS, {"temporal_weight": 0}, ("global", "spatial")),
        (TERMS, {}, LEVELS),
        (("cross_entropy",), {"epochs": 0}, LEVELS),
        (("spatial_cycle",), {"spatial_weight": 0}, LEVELS),
    ],
)
def test_the_trained_levels_are_those_with_a_loss_that_counts(
    on: tuple[str, ...], weights: dict[str, float], levels: tuple[str, ...]
) -> None:
    """Where nothing is trained no level is better than another: all are left."""
    assert trained_levels(config(**{term: term in on for term in TERMS}, **weights)) == levels
