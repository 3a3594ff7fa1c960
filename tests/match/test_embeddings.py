"""What may and may not be called the embeddings of some videos."""

from typing import Any

import pytest
import torch

from hcl.match.embeddings import Embeddings

FRAMES = ((0, 1), (0, 2), (0, 1, 2))


def arrays() -> dict[str, Any]:
    return {
        "global_": torch.zeros(2, 5),
        "clips": torch.zeros(2, 3, 5),
        "patches": torch.zeros(2, 3, 4, 5),
        "clip_frames": FRAMES,
    }


def test_five_fields_alone_make_embeddings() -> None:
    given = arrays()
    keys = torch.ones(2, 5)
    embeddings = Embeddings(given["global_"], given["clips"], given["patches"], FRAMES, keys)
    assert embeddings.patches is given["patches"] and embeddings.class_keys is keys and len(embeddings) == 2
    assert Embeddings(**given).class_keys is None


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("global_", torch.zeros(5), r"global_ must have 2 axes.*\(5,\)"),
        ("clips", torch.zeros(2, 5), r"clips must have 3 axes.*\(2, 5\)"),
        ("patches", torch.zeros(2, 3, 5), r"patches must have 4 axes.*\(2, 3, 5\)"),
        ("class_keys", torch.zeros(2, 1, 5), r"class_keys must have 2 axes"),
        ("global_", torch.zeros(3, 5), r"\(3, 5\).*\(2, 3, 5\)"),
        ("class_keys", torch.zeros(3, 5), r"videos .* differ.*'class_keys': \(3, 5\)"),
        ("clips", torch.zeros(2, 3, 6), r"width .* differ.*\(2, 3, 6\)"),
        ("patches", torch.zeros(2, 3, 0, 5), r"empty.*\(2, 3, 0, 5\)"),
        ("clip_frames", FRAMES[:2], r"names 2 clips.*\(2, 3, 5\)"),
        ("clip_frames", ((0, 1), (0, 2), (0, 3)), r"\(0, 3\) is not of the 3 frames"),
        ("clip_frames", ((0, 1), (0, 2), ()), r"\(\) is not of the 3 frames"),
    ],
)
def test_shapes_that_disagree_are_refused(field: str, value: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Embeddings(**(arrays() | {field: value}))


def test_rows_take_some_videos() -> None:
    keys = torch.arange(10.0).view(2, 5)
    embeddings = Embeddings(**arrays(), class_keys=keys)
    assert torch.equal(embeddings.rows(torch.tensor([1, 1])).class_keys, keys[[1, 1]])  # type: ignore[arg-type]
    assert embeddings.rows(slice(1, None)).patches.data_ptr() == embeddings.patches[1:].data_ptr()
