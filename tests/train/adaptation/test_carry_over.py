"""Weights of classes are found by their names, whatever their order and versions."""

import pytest
import torch

from hcl.train.adaptation.carry_over import carry_over, class_rows
from hcl.train.adaptation.fitting import widened

OLD, NEW = ("a", "b", "c"), ("d", "c", "a")


def rows_of(classes: tuple[str, ...], versions: int, start: float) -> torch.Tensor:
    """Rows that say their class and version: start + letter + 100 per version."""
    return torch.tensor([[start + ord(name) + 100.0 * k] for k in range(versions) for name in classes])


def weights(classes: tuple[str, ...], versions: int, start: float) -> dict[str, torch.Tensor]:
    rows = rows_of(classes, versions, start)
    return {"classifier.weight": rows, "classifier.bias": rows[:, 0], "base_texts": rows, "body": torch.tensor([start])}


@pytest.mark.parametrize("versions", [1, 2, 4])
def test_rows_of_known_classes_are_carried_and_others_stay_fresh(versions: int) -> None:
    state = carry_over(weights(NEW, versions, 0.5), weights(OLD, versions, 0.0), OLD, NEW, versions)
    assert state["body"].tolist() == [0.0]
    for name in ("classifier.weight", "classifier.bias", "base_texts"):
        found = state[name].flatten().tolist()
        for place, value in enumerate(found):
            version, label = divmod(place, len(NEW))
            fresh = 0.5 if NEW[label] not in OLD else 0.0
            assert value == fresh + ord(NEW[label]) + 100 * version


def test_the_fresh_and_the_trained_weights_stay_as_they_are() -> None:
    fresh, trained = weights(NEW, 1, 0.5), weights(OLD, 1, 0.0)
    carry_over(fresh, trained, OLD, NEW, 1)["classifier.weight"].zero_()
    assert fresh["classifier.weight"].all() and trained["classifier.weight"].all()


@pytest.mark.parametrize("versions", [1, 2])
def test_widened_weights_know_all_classes_and_the_later_training_counts(versions: int) -> None:
    before, now = weights(OLD, versions, 0.0), weights(("c", "d"), versions, 0.5)
    state = widened(now, ("c", "d"), before, OLD, ("a", "b", "c", "d"), versions)
    for place, value in enumerate(state["classifier.bias"].tolist()):
        version, label = divmod(place, 4)
        learned = 0.5 if "abcd"[label] in "cd" else 0.0
        assert value == learned + ord("abcd"[label]) + 100 * version
    assert state["body"].tolist() == [0.5]


def test_no_class_in_common() -> None:
    to, since = class_rows(("a",), ("b",), 2)
    assert not len(to) and not len(since)
