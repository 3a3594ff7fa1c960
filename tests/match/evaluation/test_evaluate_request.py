"""What an evaluation is asked for: sorted by configuration, and refused where it contradicts itself."""

from pathlib import Path

import numpy as np
import pytest

from hcl.extract.system.errors import InputError
from hcl.match.config import EpisodeConfig, EvaluationConfig
from hcl.match.episodes.drawing import Episodes
from hcl.match.episodes.episode_file import EpisodeList, write_episodes
from hcl.match.evaluation.evaluate import EvaluationRequest


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A file of one 2-way 2-shot episode."""
    episodes = Episodes(np.array([[[0, 1], [3, 4]]]), np.array([[[2], [5]]]))
    write_episodes(tmp_path / "e.json", EpisodeList(tuple("uvwxyz"), tuple("aaabbb"), ("",) * 6, episodes), {})
    return tmp_path / "e.json"


def test_settings_are_sorted_by_what_they_configure() -> None:
    request = EvaluationRequest.of(n_way=3, shots=(1, 2), top_clips=4, seeds=(7, 2), score_cache="s.zarr")
    assert request.episodes == EpisodeConfig(n_way=3) and request.plan == EvaluationConfig(shots=(1, 2))
    assert request.scoring == {"top_clips": 4} and request.score_cache == Path("s.zarr")
    assert [draw.seed for draw in request.draws] == [7, 2] and {draw.n_way for draw in request.draws} == {3}
    assert [draw.seed for draw in EvaluationRequest.of(seed=5).draws] == [5]
    assert EvaluationRequest.of() == EvaluationRequest()


def test_listed_episodes_tell_their_shape(listed: Path) -> None:
    request = EvaluationRequest.of(episodes_file=listed)
    assert request.episodes == EpisodeConfig(n_way=2, k_shot=2, episodes=1) and request.plan.shots == (2,)
    assert EvaluationRequest.of(episodes_file=str(listed), shots=(1,)).plan.shots == (1,)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"n_way": 2}, "--way follows from --episodes-file; leave it out"),
        ({"seeds": (0, 1)}, "--seeds follows from --episodes-file"),
        ({"shots": (3,)}, "the listed episodes have 2 supports a class; lower --shot"),
    ],
)
def test_what_contradicts_listed_episodes_is_refused(listed: Path, settings: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        EvaluationRequest.of(episodes_file=listed, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"method": "tsn"}, "--method must be one of hcl, resnet, protonet, matchingnet, maml, fomaml, cmn"),
        ({"seeds": (1, 1)}, "--seeds must be distinct"),
        ({"seeds": (0, -1)}, "--seeds must be distinct numbers from 0"),
        ({"split": "test"}, "--split must be one of base, val, novel, got 'test'"),
        ({"shots": (1, 1)}, "--shot must be distinct numbers from 1"),
        ({"aggregates": ("median",)}, "--aggregate must be one of prototype, mean, max, got 'median'"),
    ],
)
def test_values_out_of_range_are_refused(settings: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        EvaluationRequest.of(**settings)  # type: ignore[arg-type]
