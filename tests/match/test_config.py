"""Settings of matching: each is refused outside its range, by the name of its option."""

import pytest

from hcl.extract.system.errors import InputError
from hcl.match.config import EpisodeConfig, EvaluationConfig, ScoreConfig


@pytest.mark.parametrize(
    ("config", "name", "value", "message"),
    [
        (EpisodeConfig, "n_way", 1, "--way must be at least 2, got 1"),
        (EpisodeConfig, "k_shot", 0, "--shot must be at least 1, got 0"),
        (EpisodeConfig, "n_query", 0, "--queries must be at least 1, got 0"),
        (EpisodeConfig, "seed", -1, "--seed must be at least 0, got -1"),
        (ScoreConfig, "top_clips", 0, "--top-clips must be at least 1, got 0"),
        (ScoreConfig, "attention_scale", "loud", "--attention-scale must be one of mean_one, paper, got 'loud'"),
        (
            *(ScoreConfig, "patch_selection", "best"),
            "--patch-selection must be one of similarity, weighted, salient, moving, mutual, centred, got 'best'",
        ),
        (ScoreConfig, "aggregate", "median", "--aggregate must be one of prototype, mean, max, got 'median'"),
        (EvaluationConfig, "shots", (), "--shot must be distinct numbers from 1"),
        (EvaluationConfig, "shots", (0, 1), "--shot must be distinct numbers from 1"),
    ],
)
def test_bad_settings_are_refused(config: type, name: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        config(**{name: value})
