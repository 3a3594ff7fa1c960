r"""Our scores beside those of the authors' own code, on random embeddings and the same weights.

    python benchmarks/authors_code.py --few-shot few-shot-action-recognition/ --hyrsm HyRSM/ --strm strm/ \
        --tarn TARN/ --fsl-video FSL-Video/

Each option names a checkout on this machine, of the repositories tobyperrett/few-shot-action-recognition (OTAM, TRX,
PAL), alibaba-mmai-research/HyRSM, Anirudh257/strm, Seleucia/TARN (unofficial) and MCG-NJU/FSL-Video (CMN, unofficial);
those that are not named are left out. Of their files, the classes and functions that are compared are run, and nothing
else: you run their code. HyRSM and PAL need einops. What we do otherwise on purpose (docs/reference/methods.md) is set
to theirs or to nothing on their side, as the comments say. Prints the largest difference of scores (of a part that has
none, of what it gives), beside their range.
"""

import argparse
import ast
import contextlib
import math
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tabulate import tabulate
from torch import Tensor, nn

from hcl.match.methods.frames import hyrsm, otam, strm, tarn, trx
from hcl.match.methods.video import cmn, pal
from hcl.match.scoring.cosines import l2_normalise

QUERIES, WAY, SHOT, FRAMES, WIDTH = 6, 3, 2, 8, 32


def main() -> None:
    """Compare all that a checkout is named for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in COMPARED:
        parser.add_argument(f"--{name}", type=Path)
    given = vars(parser.parse_args())
    torch.manual_seed(0)
    rows = []
    for name, compare in COMPARED.items():
        checkout = given[name.replace("-", "_")]
        if checkout is not None:
            with torch.no_grad(), without_cuda():
                rows += [
                    (what, f"{theirs.max() - theirs.min():.1e}", f"{(ours - theirs).abs().max():.1e}")
                    for what, ours, theirs in compare(checkout)
                ]
    headers = ("what", "range of theirs", "largest difference")
    print(tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True))


Found = Iterator[tuple[str, Tensor, Tensor]]  # what, ours, theirs


def definitions(path: Path, *names: str, **given: Any) -> SimpleNamespace:
    """Run some classes and functions of a file, without the file's imports and everything else in it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kept = [node for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name in names]
    for node in kept:
        node.decorator_list = []  # their registries
    missing = set(names) - {node.name for node in kept}
    if missing:
        raise SystemExit(f"{path}: no {', '.join(sorted(missing))} there; is it the repository that the help names?")
    world = {"torch": torch, "nn": nn, "F": F, "math": math, "np": np, "combinations": combinations, **given}
    world |= {"Variable": lambda tensor, **_: tensor, "device": torch.device("cpu"), "einsum": torch.einsum}
    exec(compile(ast.Module(kept, []), str(path), "exec"), world)
    return SimpleNamespace(**{name: world[name] for name in names})


@contextlib.contextmanager
def without_cuda() -> Iterator[None]:
    """Let `.cuda()` do nothing: some of their modules call it when they are made."""
    before = torch.Tensor.cuda
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        torch.Tensor.cuda = before  # type: ignore[method-assign]


def rearrange() -> Callable[..., Any]:
    """That of einops, where it is installed."""
    try:
        from einops import rearrange as of_einops  # type: ignore[import-not-found]
    except ImportError as error:
        raise SystemExit("their code needs einops: pip install einops") from error
    return of_einops  # type: ignore[no-any-return]


def episode(*shape: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random queries (Q, *), supports (N, K, *) and the labels (N * K) of the flat supports."""
    labels = torch.arange(WAY).repeat_interleave(SHOT)
    return torch.randn(QUERIES, *shape), torch.randn(WAY, SHOT, *shape), labels


def copied(module: nn.Module, **weights: Tensor) -> nn.Module:
    """A module in evaluation mode, with some weights replaced, by names with __ for dots."""
    state = {name.replace("__", "."): value for name, value in weights.items()}
    module.load_state_dict(module.state_dict() | state)
    return module.eval()


def few_shot(checkout: Path) -> Found:
    """OTAM, TRX and PAL."""
    helpers = definitions(checkout / "utils.py", "extract_class_indices", "cos_sim")
    names = ("PositionalEncoding", "TemporalCrossTransformer", "OTAM_cum_dist", "CNN_FSHead", "CNN_PAL")
    theirs = definitions(checkout / "model.py", *names, rearrange=rearrange(), **vars(helpers))
    distances = torch.rand(QUERIES, WAY * SHOT, FRAMES, FRAMES)
    yield "otam, one direction", otam.alignment_distance(distances, 0.1), theirs.OTAM_cum_dist(distances)
    yield from tuple_attention("trx", theirs, (2, 3))
    queries, supports, labels = episode(FRAMES, WIDTH)
    ours = pal.AttentivePrototypes(WIDTH)
    attention = nn.MultiheadAttention(WIDTH, 1)
    parts = torch.cat([ours.attention.query.weight, ours.attention.key.weight, ours.attention.value.weight])
    out = ours.attention.out
    copied(
        attention,
        in_proj_weight=parts,
        in_proj_bias=torch.zeros(3 * WIDTH),
        out_proj__weight=out.weight,
        out_proj__bias=out.bias,
    )
    other = theirs.CNN_PAL.__new__(theirs.CNN_PAL)
    nn.Module.__init__(other)
    other.mha, other.get_feats = attention, lambda supports, targets: (supports, targets)
    scores = other(supports.flatten(0, 1), labels, queries)["logits"]  # cosines; 0.01 is added to each divisor
    means = {"global": queries.mean(dim=1)}, {"global": supports.mean(dim=2)}
    yield "pal (theirs adds 0.01 to each divisor)", pal.TEMPERATURE * ours(*means), scores


def tuple_attention(name: str, theirs: SimpleNamespace, sizes: tuple[int, ...]) -> Found:
    """Attention over tuples of each size."""
    queries, supports, labels = episode(FRAMES, WIDTH)
    head = trx.TupleHead(FRAMES, WIDTH, sizes, name=name).eval()
    args = SimpleNamespace(
        seq_len=FRAMES, trans_linear_in_dim=WIDTH, trans_linear_out_dim=WIDTH, trans_dropout=0.0, way=WAY
    )
    asked, given = head(queries), {key: a.unflatten(0, (WAY, SHOT)) for key, a in head(supports.flatten(0, 1)).items()}
    for size in map(str, sizes):
        other = copied(
            theirs.TemporalCrossTransformer(args, int(size)),
            **{f"k_linear__{key}": value for key, value in head.keys[size].state_dict().items()},
            **{f"v_linear__{key}": value for key, value in head.values[size].state_dict().items()},
            **{f"norm_k__{key}": value for key, value in head.norms[size].state_dict().items()},
        )
        ours = trx.tuple_scores(*(of[f"{kind}_{size}"] for of in (asked, given) for kind in ("keys", "values")))
        yield f"{name}, tuples of {size}", ours, other(supports.flatten(0, 1), labels, queries)["logits"]


def of_hyrsm(checkout: Path) -> Found:
    """HyRSM of one shot and of several: both relations and the metric."""
    path = checkout / "models" / "base" / "few_shot.py"
    names = (
        "PreNormattention",
        "Attention",
        "ScaledDotProductAttention",
        "MultiHeadAttention",
        "extract_class_indices",
    )
    theirs = definitions(path, *names, "CNN_FSHead", "CNN_HyRSM_1shot", "CNN_HyRSM_5shot", rearrange=rearrange())
    intra, inter = hyrsm.IntraRelation(FRAMES, WIDTH).eval(), hyrsm.InterRelation(WIDTH).eval()
    heads, size, first, second = hyrsm.HEADS, WIDTH // hyrsm.HEADS, intra.attention, inter.attention
    before = copied(
        theirs.PreNormattention(WIDTH, theirs.Attention(WIDTH, heads, size)),
        norm__weight=intra.norm.weight,
        norm__bias=intra.norm.bias,
        fn__to_qkv__weight=torch.cat([first.query.weight, first.key.weight, first.value.weight]),
        fn__to_out__0__weight=first.out.weight,
        fn__to_out__0__bias=first.out.bias,
    )
    among = copied(
        theirs.MultiHeadAttention(heads, WIDTH, size, size),
        w_qs__weight=second.query.weight,
        w_ks__weight=second.key.weight,
        w_vs__weight=second.value.weight,
        fc__weight=second.out.weight,
        fc__bias=second.out.bias,
        layer_norm__weight=inter.norm.weight,
        layer_norm__bias=inter.norm.bias,
    )
    for shot, kind in ((1, theirs.CNN_HyRSM_1shot), (SHOT, theirs.CNN_HyRSM_5shot)):
        queries, supports, _ = episode(FRAMES, WIDTH)
        supports = supports[:, :shot]
        other = kind.__new__(kind)
        nn.Module.__init__(other)
        other.args = SimpleNamespace(
            DATA=SimpleNamespace(NUM_INPUT_FRAMES=FRAMES), TRAIN=SimpleNamespace(NUM_CLASS=4, WAY=WAY)
        )
        other.backbone, other.relu, other.classification_layer = nn.Identity(), nn.ReLU(), nn.Linear(WIDTH, 4)
        other.pe = intra.positions  # ours: theirs also scales the frames
        other.temporal_atte_before, other.temporal_atte = before, among
        convolution = nn.Conv1d(2 * WIDTH, WIDTH, 1)
        other.layer2 = copied(convolution, weight=inter.fusion.weight[..., None], bias=inter.fusion.bias)
        flat = supports.flatten(0, 2)
        inputs = {"support_set": flat, "target_set": queries.flatten(0, 1)}
        inputs["support_labels"] = torch.arange(WAY).repeat_interleave(shot)
        asked = intra(queries)
        given = {"frames": intra(supports.flatten(0, 1))["frames"].unflatten(0, (WAY, shot))}
        yield f"hyrsm, {shot} shot(s), with bimhm", inter(asked, given), other(inputs)["logits"]


def of_strm(checkout: Path) -> Found:
    """STRM: both enrichments, both classifiers."""
    names = ("PositionalEncoding", "DistanceLoss", "TemporalCrossTransformer", "Token_Perceptron", "MLP_Mix_Enrich")
    names += ("Bottleneck_Perceptron_2_layer", "Bottleneck_Perceptron_3_layer_res", "Self_Attn_Bot")
    theirs = definitions(checkout / "model.py", *names)
    enrich, patches = strm.PatchEnrichment(WIDTH).eval(), torch.randn(5, 1, 16, WIDTH)
    enrich.gate.fill_(0.7)
    other = theirs.Self_Attn_Bot(WIDTH, 16)
    copied(
        other,
        gamma=enrich.gate,
        key_proj__bias=torch.zeros(WIDTH),
        **{f"query_proj__{key}": value for key, value in enrich.query.state_dict().items()},
        **{f"key_proj__{key}": value for key, value in enrich.key.state_dict().items()},
        **{f"value_conv__{key}": value for key, value in enrich.value.state_dict().items()},
        **{
            f"Bot_MLP__{layer}__{key}": value
            for layer, place in (("inp_fc", 0), ("hid_fc", 2), ("out_fc", 4))
            for key, value in enrich.network[place].state_dict().items()
        },
    )
    other.pe = nn.Identity()  # ours are those of the encoder
    yield "strm, patches", enrich(patches)[:, 0], other(patches[:, 0])
    mix, frames = strm.FrameEnrichment(FRAMES, WIDTH).eval(), torch.randn(5, FRAMES, WIDTH)
    layers = {"Tok_MLP": mix.over_time, "Bot_MLP": mix.over_channels}
    other = copied(
        theirs.MLP_Mix_Enrich(WIDTH, FRAMES),
        **{
            f"{theirs_name}__{layer}__{key}": value
            for theirs_name, ours in layers.items()
            for layer, place in (("inp_fc", 0), ("out_fc", 2))
            for key, value in ours[place].state_dict().items()
        },
    )
    yield "strm, frames", mix(frames), other(frames)
    yield from tuple_attention("strm", theirs, (2,))
    queries, supports, labels = episode(FRAMES, WIDTH)
    head = strm.EnrichedTupleHead(FRAMES, WIDTH).eval()
    args = SimpleNamespace(seq_len=FRAMES, trans_linear_in_dim=WIDTH, way=WAY)
    latent = {f"clsW__{key}": value for key, value in head.latent.state_dict().items()}
    other = copied(theirs.DistanceLoss(args, 2), **latent)
    both = (head.latent(head.tuples.tuples_of(videos, 2)).relu() for videos in (queries, supports.flatten(0, 1)))
    asked, given = both
    ours = strm.nearest_tuple_scores(asked, given.unflatten(0, (WAY, SHOT)))
    yield "strm, similarity", ours, other(supports.flatten(0, 1), labels, queries)["logits"]


def of_tarn(checkout: Path) -> Found:
    """TARN's comparison."""
    theirs = definitions(checkout / "tarn.py", "TARN")
    ours = tarn.SegmentComparison(WIDTH).eval()
    turned = ours.gru.weight_ih_l0[:, [1, 0]]  # theirs reads the cosine first
    other = copied(
        theirs.TARN(WIDTH, WIDTH // 2, tarn.COMPARING),
        W__weight=ours.alignment.weight,
        bias=torch.zeros(WIDTH),
        dml_gru__weight_ih_l0=turned,
        **{f"dml_gru__{key}": value for key, value in ours.gru.state_dict().items() if key != "weight_ih_l0"},
        **{f"dml_fc__{key}": value for key, value in ours.relation.state_dict().items()},
    )
    other.sft = nn.Softmax(dim=-2)  # over the support's segments: theirs runs over the query's
    queries, supports = torch.randn(4, FRAMES, WIDTH), torch.randn(4, FRAMES, WIDTH)
    pairs = ours.relations(queries[:, None], supports[:, None, None])[:, 0, 0, 0].sigmoid()
    read = other.align_and_computelogits([q[None] for q in queries], [s[None] for s in supports])[:, 0]
    yield "tarn, comparison (its softmax turned)", pairs, read


def of_fsl_video(checkout: Path) -> Found:
    """The multi-saliency descriptors of CMN, with as many variables as frames, as there."""
    theirs = definitions(checkout / "cmn.py", "cmn")
    ours, frames = cmn.AbstractKey(WIDTH, FRAMES).eval(), torch.randn(WAY, SHOT, FRAMES, WIDTH)
    model = SimpleNamespace(n_support=1, h=ours.hidden, sqrtd=WIDTH**0.5, feat_dim=WIDTH, fc=ours.projection)
    found = l2_normalise(theirs.cmn(frames, model))  # theirs compares keys of any length
    yield "cmn, abstract key", ours(frames.flatten(0, 1))["abstract_key"], found


COMPARED: dict[str, Callable[[Path], Found]] = {
    "few-shot": few_shot,
    "hyrsm": of_hyrsm,
    "strm": of_strm,
    "tarn": of_tarn,
    "fsl-video": of_fsl_video,
}

if __name__ == "__main__":
    main()
