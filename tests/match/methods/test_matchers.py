"""Methods that compare through weights of their own, and the heads and losses of the systems beside HCL, by loops."""

from math import exp, log, sqrt

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hcl.extract.system.errors import InputError
from hcl.match.methods.frames.hyrsm import InterRelation, IntraRelation
from hcl.match.methods.frames.strm import EnrichedTupleHead, FrameEnrichment, PatchEnrichment, Strm
from hcl.match.methods.frames.tarn import SegmentComparison, SegmentHead, align
from hcl.match.methods.heads import Attention, in_blocks, sinusoids
from hcl.match.methods.matcher import MatcherWeights, bound, make_matcher
from hcl.match.methods.registry import BASELINES
from hcl.match.methods.video.cmn import AbstractKey, constituent_keys, margin_loss
from hcl.match.methods.video.maml import OUTPUTS, STEPS, FirstClassifier
from hcl.match.methods.video.pal import AttentivePrototypes, prototype_centred_loss

SIZES = [(1, 2, 1), (3, 2, 2), (2, 4, 3)]  # queries, classes, supports a class
every_size = pytest.mark.parametrize(("queries", "n_way", "k_shot"), SIZES)


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn(module: nn.Module) -> nn.Module:
    """The module in float64, with seeded weights that are nowhere 0."""
    for place, parameter in enumerate(module.double().eval().parameters()):
        parameter.data = 0.5 * random(100 + place, *parameter.shape)
    return module


def softmax(values: list[float]) -> list[float]:
    gains = [exp(value) for value in values]
    return [gain / sum(gains) for gain in gains]


def attention_by_loops(module: Attention, tokens: Tensor, others: Tensor) -> Tensor:
    """(n, D) and (m, D) to (n, D), head by head and token by token."""
    queries, keys, values = module.query(tokens), module.key(others), module.value(others)
    rows, size = [], tokens.shape[1] // module.heads
    for query in queries:
        heads = []
        for start in range(0, tokens.shape[1], size):
            some = slice(start, start + size)
            weights = softmax([(query[some] @ key[some]).item() / sqrt(size) for key in keys])
            heads.append(sum(weight * value[some] for weight, value in zip(weights, values, strict=True)))
        rows.append(torch.cat(heads))
    return module.out(torch.stack(rows))


@pytest.mark.parametrize(("width", "heads"), [(4, 1), (6, 3), (1, 1)])
def test_attention_equals_loops(width: int, heads: int) -> None:
    module, tokens, others = drawn(Attention(width, heads)), random(0, 3, width), random(1, 5, width)
    torch.testing.assert_close(module(tokens, others), attention_by_loops(module, tokens, others))
    with pytest.raises(ValueError, match="width = 6 is no multiple of heads = 4"):
        Attention(6, 4)


def cosine(left: Tensor, right: Tensor) -> Tensor:
    return left @ right / (left.norm() * right.norm())


def descended(
    module: FirstClassifier, supports: Tensor, *, second_order: bool, outputs: list[int]
) -> tuple[Tensor, Tensor]:
    """MAML's inner loop with the gradient of softmax regression written out."""
    weight, bias = module.linear.weight[outputs], module.linear.bias[outputs]
    for _ in range(STEPS):
        weight_step, bias_step = torch.zeros_like(weight), torch.zeros_like(bias)
        for label, videos in enumerate(supports):
            for video in videos:
                error = (weight @ video + bias).softmax(dim=0) - F.one_hot(torch.tensor(label), len(supports))
                error = error if second_order else error.detach()
                features = video if second_order else video.detach()
                weight_step = weight_step + error[:, None] * features / supports[..., 0].numel()
                bias_step = bias_step + error / supports[..., 0].numel()
        rate = module.log_rate.exp()
        weight, bias = weight - rate * weight_step, bias - rate * bias_step
    return weight, bias


@every_size
@pytest.mark.parametrize("second_order", [True, False])
def test_maml_equals_loops_with_its_gradients(queries: int, n_way: int, k_shot: int, second_order: bool) -> None:
    module = drawn(FirstClassifier(4, second_order=second_order))
    asked, given = random(0, queries, 4).requires_grad_(), random(1, n_way, k_shot, 4).requires_grad_()
    weight, bias = descended(module, given, second_order=second_order, outputs=list(range(n_way)))
    expected, found = asked @ weight.T + bias, module({"global": asked}, {"global": given})
    torch.testing.assert_close(found, expected)
    learned = [*module.parameters(), asked, given]
    ways = [torch.autograd.grad(scores.square().sum(), learned, allow_unused=True) for scores in (found, expected)]
    for ours, by_loops in zip(*ways, strict=True):
        torch.testing.assert_close(
            torch.zeros(1) if ours is None else ours, torch.zeros(1) if by_loops is None else by_loops
        )
    assert (ways[0][-1] is None or not ways[0][-1].any()) != second_order  # supports teach through the steps alone


def test_maml_takes_other_outputs_for_each_episode_while_training() -> None:
    module, asked, given = drawn(FirstClassifier(4)), {"global": random(0, 2, 6, 4)}, {"global": random(1, 2, 3, 2, 4)}
    fixed = module(asked, given)
    torch.testing.assert_close(module(asked, given), fixed)
    module.train()
    seen = []
    for seed in (0, 0, 1):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            seen.append(module(asked, given))
    torch.testing.assert_close(seen[0], seen[1])
    assert not torch.allclose(seen[0], seen[2]) and not torch.allclose(seen[0], fixed)
    module.linear.weight.data.zero_(), module.linear.bias.data.zero_()  # without first weights all outputs are alike
    torch.testing.assert_close(module(asked, given), module.eval()(asked, given))
    turned = module(asked, {"global": given["global"][:, [2, 0, 1]]})
    torch.testing.assert_close(turned, module(asked, given)[..., [2, 0, 1]])


def test_maml_refuses_more_classes_than_it_has_outputs() -> None:
    module = FirstClassifier(3)
    with pytest.raises(InputError, match=f"{OUTPUTS} classes apart at most, got {OUTPUTS + 1}: lower --way"):
        module({"global": torch.zeros(1, 3)}, {"global": torch.zeros(OUTPUTS + 1, 1, 3)})


@every_size
def test_pal_equals_loops(queries: int, n_way: int, k_shot: int) -> None:
    module, asked, given = drawn(AttentivePrototypes(4)), random(0, queries, 4), random(1, n_way, k_shot, 4)
    flat = given.flatten(0, 1)
    attended = flat + attention_by_loops(module.attention, flat, flat)
    prototypes = [sum(attended[place * k_shot + shot] for shot in range(k_shot)) / k_shot for place in range(n_way)]
    updated = asked + attention_by_loops(module.attention, asked, attended)
    expected = torch.stack([torch.stack([cosine(query, one) / 0.1 for one in prototypes]) for query in updated])
    torch.testing.assert_close(module({"global": asked}, {"global": given}), expected)


@pytest.mark.parametrize(("counts"), [(1, 1), (2, 2, 2), (3, 1)])
def test_the_losses_of_pal_equal_loops(counts: tuple[int, ...]) -> None:
    truth = torch.tensor([place for place, count in enumerate(counts) for _ in range(count)])
    scores = random(0, len(truth), len(counts))
    expected = 0.0
    for place in range(len(counts)):
        shares = softmax(scores[:, place].tolist())
        own = sum(share for share, label in zip(shares, truth.tolist(), strict=True) if label == place)
        expected -= log(own) / len(counts)
    assert prototype_centred_loss(scores, truth).item() == pytest.approx(expected)
    module = drawn(AttentivePrototypes(4))
    asked, given = {"global": random(1, len(truth), 4)}, {"global": random(2, len(counts), 2, 4)}
    of_scores = module(asked, given)
    both = F.cross_entropy(of_scores, truth) + prototype_centred_loss(of_scores, truth)
    torch.testing.assert_close(module.episode_loss(asked, given, truth), both)


def gru_by_loops(gru: nn.GRU, steps: Tensor, suffix: str = "") -> list[Tensor]:
    """The states after each step of (T, I), gate by gate (Cho et al., 2014, in torch's form)."""
    of_input, of_state = (getattr(gru, f"weight_{kind}_l0{suffix}").chunk(3) for kind in ("ih", "hh"))
    input_bias, state_bias = (getattr(gru, f"bias_{kind}_l0{suffix}").chunk(3) for kind in ("ih", "hh"))
    states, state = [], torch.zeros(gru.hidden_size, dtype=steps.dtype)
    for step in steps:
        ours = [weight @ step + bias for weight, bias in zip(of_input, input_bias, strict=True)]
        before = [weight @ state + bias for weight, bias in zip(of_state, state_bias, strict=True)]
        reset, update = (ours[0] + before[0]).sigmoid(), (ours[1] + before[1]).sigmoid()
        state = (1 - update) * (ours[2] + reset * before[2]).tanh() + update * state
        states.append(state)
    return states


def tarn_relation_by_loops(module: SegmentComparison, query: Tensor, support: Tensor) -> Tensor:
    table = [[(module.alignment(s) @ q).item() for q in query] for s in support]
    steps = []
    for t, q in enumerate(query):
        weights = softmax([row[t] for row in table])  # a column of A: how much of each segment of the support
        aligned = sum(weight * s for weight, s in zip(weights, support, strict=True))
        steps.append(torch.stack([(q - aligned).norm(), cosine(q, aligned)]))
    return module.relation(gru_by_loops(module.gru, torch.stack(steps))[-1])[0]


@pytest.mark.parametrize(("queries", "n_way", "k_shot", "frames", "others"), [(1, 2, 1, 1, 1), (2, 3, 2, 4, 3)])
def test_tarn_equals_loops(queries: int, n_way: int, k_shot: int, frames: int, others: int) -> None:
    module = drawn(SegmentComparison(4))
    asked, given = random(0, queries, frames, 4), random(1, n_way, k_shot, others, 4)
    logits = torch.stack(
        [
            torch.stack(
                [torch.stack([tarn_relation_by_loops(module, query, one) for one in of_class]) for of_class in given]
            )
            for query in asked
        ]
    )
    torch.testing.assert_close(module.relations(asked, given), logits)
    arrays = {"segments": asked}, {"segments": given}
    torch.testing.assert_close(module(*arrays), logits.sigmoid().mean(dim=-1))
    truth = torch.arange(queries) % n_way
    expected = -sum(
        (logit.sigmoid() if place == truth[row] else 1 - logit.sigmoid()).log()
        for row, of_query in enumerate(logits)
        for place, of_class in enumerate(of_query)
        for logit in of_class
    )
    torch.testing.assert_close(module.episode_loss(*arrays, truth), expected / logits.numel())


def test_tarn_aligns_by_weighted_means_of_the_support() -> None:
    """Rows of H are means of support segments; where one segment wins every column, all rows are that segment."""
    supports, queries = random(0, 1, 3, 4), random(1, 1, 5, 4)
    spread = align(queries, supports, torch.zeros_like(supports))
    torch.testing.assert_close(spread, supports.mean(dim=1, keepdim=True).expand(-1, 5, -1))
    keys = torch.stack([torch.zeros(4), torch.full((4,), 200.0), torch.zeros(4)]).double()[None]
    torch.testing.assert_close(align(queries.abs() + 1, supports, keys), supports[:, [1] * 5])


@pytest.mark.parametrize("width", [4, 5])
def test_segments_are_read_in_both_directions(width: int) -> None:
    head, frames = drawn(SegmentHead(width)).float(), random(0, 2, 3, width).float()
    forth, back = gru_by_loops(head.gru, frames[1]), gru_by_loops(head.gru, frames[1].flip(0), "_reverse")
    expected = torch.cat([torch.stack(forth), torch.stack(back).flip(0)], dim=1)
    torch.testing.assert_close(head(frames)["segments"][1], expected)


@every_size
@pytest.mark.parametrize("width", [8, 5])
def test_hyrsm_equals_loops(queries: int, n_way: int, k_shot: int, width: int) -> None:
    module, frames = drawn(InterRelation(width)), 3
    asked, given = random(0, queries, frames, width), random(1, n_way, k_shot, frames, width)
    classes, rows = [sum(videos) / k_shot for videos in given], []
    for query in asked:
        tokens = torch.stack([sum(video) / frames for video in (*classes, query)])
        tokens = module.norm(tokens + attention_by_loops(module.attention, tokens, tokens)).relu()
        fused = [
            [module.fusion(torch.cat([frame, token])) for frame in video]
            for video, token in zip((*classes, query), tokens, strict=True)
        ]
        distances = [[[1 - cosine(q, s) for s in one] for q in fused[-1]] for one in fused[:-1]]
        rows.append([-sum(map(min, table)) - sum(map(min, zip(*table, strict=True))) for table in distances])
    expected = torch.stack([torch.stack(row) for row in rows])
    torch.testing.assert_close(module({"frames": asked}, {"frames": given}), expected)


def test_the_intra_relation_of_hyrsm_equals_loops() -> None:
    head, frames = drawn(IntraRelation(3, 4)), random(0, 2, 3, 4)
    for video, found in zip(frames, head(frames)["frames"], strict=True):
        placed = video + 0.1 * sinusoids(3, 4)
        normed = head.norm(placed)
        expected = placed + attention_by_loops(head.attention, normed, normed)
        torch.testing.assert_close(found, expected.clamp(min=0))


@pytest.mark.parametrize(("frames", "saliencies"), [(1, 1), (3, 2), (2, 4)])
def test_constituent_keys_of_cmn_equal_loops(frames: int, saliencies: int) -> None:
    width, video, hidden = 4, random(0, frames, 4), random(1, saliencies, 4)
    expected = [torch.zeros(width, dtype=torch.float64) for _ in range(saliencies)]
    for frame in video:
        for place, share in enumerate(softmax([(frame @ one).item() / sqrt(width) for one in hidden])):
            expected[place] = expected[place] + share * (frame - hidden[place])
    torch.testing.assert_close(constituent_keys(video, hidden), torch.stack(expected))
    head = drawn(AbstractKey(width, saliencies))
    joined = torch.cat([key / key.norm() for key in constituent_keys(video, head.hidden)])
    key = head.projection(joined)
    torch.testing.assert_close(head(video[None])["abstract_key"][0], key / key.norm())


def test_the_margin_loss_of_cmn_equals_loops() -> None:
    scores, truth = random(0, 5, 3), torch.tensor([0, 2, 1, 1, 0])
    expected = 0.0
    for row, label in zip(scores.tolist(), truth.tolist(), strict=True):
        expected += max(0.0, max(row[:label] + row[label + 1 :]) - row[label] + 0.5) / 5
    assert margin_loss(scores, truth).item() == pytest.approx(expected)
    assert margin_loss(scores[:, :1], torch.zeros(5, dtype=torch.int64)) == 0  # one class: nothing to be told apart


def test_the_enrichments_of_strm_equal_loops() -> None:
    enrich, patches = drawn(PatchEnrichment(4)), random(0, 1, 2, 3, 4)
    for frame, found in zip(patches[0], enrich(patches)[0], strict=True):
        rows = []
        for patch in frame:
            weights = softmax([(enrich.query(patch) @ enrich.key(other)).item() for other in frame])
            gathered = sum(weight * enrich.value(other) for weight, other in zip(weights, frame, strict=True))
            attended = patch + enrich.gate * gathered
            rows.append(attended + enrich.network(attended))
        torch.testing.assert_close(found, torch.stack(rows))
    mix, frames = drawn(FrameEnrichment(3, 4)), random(1, 1, 3, 4)
    placed = frames[0] + 0.1 * sinusoids(3, 4)
    over_time = torch.stack([placed[:, channel] + mix.over_time(placed[:, channel]) for channel in range(4)], dim=1)
    expected = torch.stack([frame + mix.over_channels(frame) for frame in over_time])
    torch.testing.assert_close(mix(frames)[0], expected)


def test_the_head_of_strm_puts_its_parts_together() -> None:
    head, patches = drawn(EnrichedTupleHead(3, 4)), random(0, 2, 3, 5, 4)
    found, frames = head(patches), head.patches(patches).mean(dim=2)
    for place, (left, right) in enumerate([(0, 1), (0, 2), (1, 2)]):
        latent = head.latent(torch.cat([frames[:, left], frames[:, right]], dim=1)).clamp(min=0)
        torch.testing.assert_close(found["latents_2"][:, place], latent)
    mixed = head.frames(frames) + 0.1 * sinusoids(3, 4)
    value = head.tuples.values["2"](torch.cat([mixed[:, 1], mixed[:, 2]], dim=1))
    torch.testing.assert_close(found["values_2"][:, 2], value)
    with pytest.raises(InputError, match="method strm compares tuples of 2 frames, the cache has 1 a video"):
        EnrichedTupleHead(1, 4)


def test_both_classifiers_of_strm_learn() -> None:
    arrays = {"keys_2": (3, 4), "values_2": (3, 4), "latents_2": (3, 2)}
    asked = {name: random(place, 2, *shape) for place, (name, shape) in enumerate(arrays.items())}
    given = {name: random(place + 9, 3, 2, *shape) for place, (name, shape) in enumerate(arrays.items())}
    truth, far = torch.tensor([2, 0]), {"latents_2": torch.zeros_like(given["latents_2"])}
    matching = Strm().class_scores({**asked, "latents_2": torch.zeros_like(asked["latents_2"])}, given | far)
    similarity = (Strm().class_scores(asked, given) - matching) / 0.1
    expected = F.cross_entropy(matching, truth) + 0.1 * F.cross_entropy(similarity, truth)
    torch.testing.assert_close(Strm().episode_loss(asked, given, truth), expected)


def test_blocks_of_episodes_change_nothing() -> None:
    queries, supports = random(0, 2, 3, 4, 5), random(1, 2, 3, 6, 5)

    def score(asked: Tensor, given: Tensor) -> Tensor:
        return asked @ given.mT

    for episodes in (0, 1, 4, 100):
        found = in_blocks(score, queries, supports, leading=2, episodes=episodes)
        torch.testing.assert_close(found, queries @ supports.mT)


@pytest.mark.parametrize("name", ["maml", "pal", "tarn", "hyrsm"])
def test_weights_of_a_matcher_come_back(name: str) -> None:
    method = BASELINES[name]
    matcher = make_matcher(method, 3, 4)
    assert matcher is not None
    weights, before = MatcherWeights.of(matcher, 3, 4), torch.random.get_rng_state()
    again = weights.bind(method, name, "s.zarr")
    assert torch.equal(torch.random.get_rng_state(), before)
    axes = next(iter(method.axes.values()))
    asked, given = (
        {key: torch.randn(*shape, *(3, 4)[-len(axes) + 1 :]) for key in method.axes} for shape in ((5,), (2, 3))
    )
    with torch.no_grad():
        expected = bound(method, matcher.eval()).class_scores(asked, given)
    torch.testing.assert_close(again.class_scores(asked, given), expected)


def test_weights_of_another_matcher_are_refused() -> None:
    matcher = make_matcher(BASELINES["pal"], 3, 4)
    assert matcher is not None
    weights = MatcherWeights.of(matcher, 3, 4)
    told = r"s.zarr: its matcher weights are not those of method {} \({}.*; write the store anew with: hcl embed"
    for method, frames, width, reason in (
        ("hyrsm", 3, 4, "fusion.bias differs"),
        ("pal", 3, 8, "attention.key.weight differs"),
        ("pal", 3, 10**9, "made for"),
        ("otam", 3, 4, "it has no matcher"),
    ):
        with pytest.raises(InputError, match=told.format(method, reason)):
            MatcherWeights(frames, width, weights.values).bind(BASELINES[method], method, "s.zarr")
    with pytest.raises(ValueError, match="Pal scores through its matcher"):
        BASELINES["pal"].class_scores({}, {})
