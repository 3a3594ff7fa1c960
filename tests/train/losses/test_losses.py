"""The losses against loops written from Eq. 7 to 10, their laws, and scores that would overflow."""

import math

import pytest
import torch
from torch import Tensor

from hcl.train.losses.losses import spatial_cycle, supervised_contrastive, temporal_cycle


def random(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b) / (math.sqrt(float(a @ a)) * math.sqrt(float(b @ b)))


def contrastive_by_loops(scores: Tensor, labels: list[int], temperature: float) -> float:
    videos, total = len(labels), 0.0
    for i in range(videos):
        for j in range(videos):
            if i != j and labels[i] == labels[j]:
                others = sum(math.exp(float(scores[i, k]) / temperature) for k in range(videos) if k != i)
                total += math.log(math.exp(float(scores[i, j]) / temperature) / others)
    return -total / videos**2


def return_loss_by_loops(start: int, starts: list[Tensor], others: Tensor, temperature: float) -> float:
    weights = [math.exp(cosine(starts[start], other) / temperature) for other in others]
    neighbour = sum(
        (weight / sum(weights) * other for weight, other in zip(weights, others, strict=True)),
        torch.zeros_like(others[0]),
    )
    back = [math.exp(cosine(neighbour, candidate) / temperature) for candidate in starts]
    return -math.log(back[start] / sum(back))


def temporal_by_loops(query: Tensor, support: Tensor, top_clips: int, temperature: float) -> float:
    best = [max(cosine(clip, other) for other in support) for clip in query]
    ranked = sorted(range(len(query)), key=lambda i: -best[i])[:top_clips]
    starts = [query[i] for i in ranked]
    return sum(return_loss_by_loops(i, starts, support, temperature) for i in range(len(starts))) / len(starts)


def spatial_by_loops(query: Tensor, support: Tensor, attention: Tensor, temperature: float) -> float:
    losses = [return_loss_by_loops(i, list(query), support, temperature) for i in range(len(query))]
    return sum(float(weight) * loss for weight, loss in zip(attention, losses, strict=True)) / len(query)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
@pytest.mark.parametrize("labels", [[0], [0, 0], [3, 1, 3], [0, 0, 1, 1, 2], [5, 5, 5, 2]])
def test_contrastive_equals_loops(labels: list[int], temperature: float) -> None:
    scores = random(0, len(labels), len(labels))
    loss = supervised_contrastive(scores, torch.tensor(labels), temperature)
    assert loss.dtype == scores.dtype
    assert float(loss) == pytest.approx(contrastive_by_loops(scores, labels, temperature), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("labels", [[0], [0, 1, 2]])
def test_a_batch_without_positives_costs_nothing(labels: list[int]) -> None:
    scores = random(1, len(labels), len(labels)).requires_grad_()
    loss = supervised_contrastive(scores, torch.tensor(labels), 0.1)
    loss.backward()
    assert loss.item() == 0
    assert scores.grad is not None and not scores.grad.any()


def test_a_video_is_never_compared_with_itself() -> None:
    scores, labels = random(2, 4, 4), torch.tensor([0, 0, 1, 1])
    other = scores.clone().fill_diagonal_(1e6)
    torch.testing.assert_close(supervised_contrastive(scores, labels, 0.1), supervised_contrastive(other, labels, 0.1))


def test_contrastive_does_not_change_with_the_order_of_the_batch() -> None:
    scores, labels, order = random(3, 6, 6), torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([4, 1, 5, 0, 3, 2])
    torch.testing.assert_close(
        supervised_contrastive(scores[order][:, order], labels[order], 0.1),
        supervised_contrastive(scores, labels, 0.1),
    )


def test_scores_far_beyond_the_range_of_exp_stay_finite() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    scores = (random(4, 4, 4) * 500).float().requires_grad_()
    loss = supervised_contrastive(scores, labels, 0.1)
    loss.backward()
    assert torch.isfinite(loss) and loss > 0
    assert scores.grad is not None and torch.isfinite(scores.grad).all()
    exact = supervised_contrastive(scores.detach().double(), labels, 0.1)
    torch.testing.assert_close(loss.detach().double(), exact, rtol=1e-5, atol=0)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
@pytest.mark.parametrize(
    ("clips", "others", "top"), [(1, 1, 1), (3, 5, 2), (6, 6, 6), (5, 2, 10), (1, 4, 3), (7, 3, 1)]
)
def test_temporal_cycle_equals_loops(clips: int, others: int, top: int, temperature: float) -> None:
    query, support = random(5, 3, clips, 4), random(6, 3, others, 4)
    losses = temporal_cycle(query, support, top, temperature)
    expected = [temporal_by_loops(q, s, top, temperature) for q, s in zip(query, support, strict=True)]
    torch.testing.assert_close(losses, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("temperature", [0.1, 1.0])
@pytest.mark.parametrize(("patches", "others"), [(1, 1), (4, 4), (6, 3), (2, 7)])
def test_spatial_cycle_equals_loops(patches: int, others: int, temperature: float) -> None:
    query, support, attention = random(7, 3, patches, 4), random(8, 3, others, 4), random(9, 3, patches).exp()
    losses = spatial_cycle(query, support, attention, temperature)
    rows = zip(query, support, attention, strict=True)
    expected = [spatial_by_loops(q, s, a, temperature) for q, s, a in rows]
    torch.testing.assert_close(losses, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_keep_the_dtype_and_need_a_gradient_only_if_the_inputs_do(dtype: torch.dtype) -> None:
    query, support = random(10, 2, 5, 4, dtype=dtype), random(11, 2, 5, 4, dtype=dtype)
    losses = (temporal_cycle(query, support, 3), spatial_cycle(query, support, torch.ones(2, 5, dtype=dtype)))
    assert all(loss.dtype == dtype and loss.shape == (2,) and not loss.requires_grad for loss in losses)
    query.requires_grad_()
    assert temporal_cycle(query, support, 3).requires_grad
    assert spatial_cycle(query, support, torch.ones(2, 5, dtype=dtype)).requires_grad


def test_the_cycle_through_an_equal_video_costs_least() -> None:
    """Distinct clips that find themselves in the other video return surely; through strange ones they do not."""
    query = torch.eye(8, dtype=torch.float64)[None] * 3
    strange, ones = random(12, 1, 8, 8), torch.ones(1, 8, dtype=torch.float64)
    assert temporal_cycle(query, query, 8, 0.1) < 0.01 < temporal_cycle(query, strange, 8, 0.1)
    assert spatial_cycle(query, query, ones, 0.1) < 0.01 < spatial_cycle(query, strange, ones, 0.1)


def test_cycles_do_not_depend_on_the_order_of_clips_and_patches() -> None:
    query, support, attention = random(13, 2, 6, 4), random(14, 2, 5, 4), random(15, 2, 6).exp()
    order, other = torch.tensor([3, 0, 5, 1, 4, 2]), torch.tensor([4, 2, 0, 3, 1])
    torch.testing.assert_close(
        temporal_cycle(query[:, order], support[:, other], 3, 0.1), temporal_cycle(query, support, 3, 0.1)
    )
    torch.testing.assert_close(
        spatial_cycle(query[:, order], support[:, other], attention[:, order], 0.1),
        spatial_cycle(query, support, attention, 0.1),
    )


def test_gradients_of_the_cycles_are_right() -> None:
    query, support, attention = random(16, 2, 4, 3), random(17, 2, 5, 3), random(18, 2, 4).exp()
    inputs = [tensor.requires_grad_() for tensor in (query, support, attention)]
    torch.autograd.gradcheck(lambda q, s, a: spatial_cycle(q, s, a, 0.5), inputs)
    torch.autograd.gradcheck(lambda q, s: temporal_cycle(q, s, 2, 0.5), inputs[:2])


def test_cold_cycles_stay_finite() -> None:
    query, support = random(19, 2, 6, 4, dtype=torch.float32).requires_grad_(), random(20, 2, 6, 4, dtype=torch.float32)
    loss = (temporal_cycle(query, support, 4, 1e-3) + spatial_cycle(query, support, torch.ones(2, 6), 1e-3)).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert query.grad is not None and torch.isfinite(query.grad).all()


def test_wrong_shapes_and_temperatures_are_refused() -> None:
    with pytest.raises(ValueError, match="labels.shape"):
        supervised_contrastive(torch.zeros(3, 3), torch.zeros(2), 0.1)
    with pytest.raises(ValueError, match="temperature must be above 0"):
        supervised_contrastive(torch.zeros(2, 2), torch.zeros(2), 0.0)
    with pytest.raises(ValueError, match="same M and D"):
        temporal_cycle(torch.zeros(2, 3, 4), torch.zeros(1, 3, 4), 2)
    with pytest.raises(ValueError, match="top_clips must be at least 1"):
        temporal_cycle(torch.zeros(2, 3, 4), torch.zeros(2, 3, 4), 0)
    with pytest.raises(ValueError, match="attention.shape"):
        spatial_cycle(torch.zeros(2, 3, 4), torch.zeros(2, 3, 4), torch.zeros(2, 4))
