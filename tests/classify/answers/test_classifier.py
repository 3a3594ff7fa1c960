"""The classifier keeps scikit-learn's conventions, and its confidence is what loops over the supports give."""

import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hcl
from hcl.classify.answers.confidence import UNCALIBRATED, Confidence, fit_confidence, left_out_classes, left_out_scores
from hcl.classify.answers.matcher import Matcher
from hcl.classify.support.embedding import labelled_videos
from hcl.extract.config import ExtractConfig
from hcl.extract.video.reading import read_chosen_frames
from hcl.match.confidence.calibration import fit_temperature
from hcl.match.config import ScoreConfig


@pytest.fixture(scope="module")
def config(small_config: ExtractConfig) -> ExtractConfig:
    return replace(small_config, frames=4, views=1)


@pytest.fixture(scope="module")
def fitted(small_videos: Path, config: ExtractConfig) -> Iterator[hcl.FewShotClassifier]:
    """Untrained, on two videos of three classes."""
    given = [each for each in labelled_videos(small_videos / "novel") if each.name.endswith(("0.mp4", "1.mp4"))]
    classifier = hcl.FewShotClassifier(device="cpu", extraction=config)
    yield classifier.fit([each.video for each in given], [each.label for each in given])
    classifier.close()


def queries(small_videos: Path) -> list[Path]:
    return sorted((small_videos / "novel").glob("*/2.mp4"))


def test_predictions_follow_classes_and_probabilities(fitted: hcl.FewShotClassifier, small_videos: Path) -> None:
    videos = queries(small_videos)
    assert fitted.classes_.tolist() == ["clap2", "jump2", "wave2"]
    shares, scores = fitted.predict_proba(videos), fitted.decision_function(videos)
    assert shares.shape == scores.shape == (3, 3)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert fitted.predict(videos).tolist() == fitted.classes_[shares.argmax(axis=1)].tolist()
    assert (shares.argsort(axis=1) == scores.argsort(axis=1)).all()
    assert fitted.score(videos, fitted.predict(videos)) == 1
    arrays = [read_chosen_frames(path, lambda count: tuple(range(count))).images for path in videos]
    np.testing.assert_allclose(fitted.decision_function(arrays), scores, atol=1e-4)


def test_adding_and_removing_is_fitting_at_once(
    fitted: hcl.FewShotClassifier, small_videos: Path, tmp_path: Path, config: ExtractConfig
) -> None:
    videos, support = queries(small_videos), fitted.support_
    grown = hcl.FewShotClassifier(device="cpu", extraction=config)
    for number, name in ((3, "wave2"), (1, "clap2"), (2, "jump2")):
        grown.add(number, [small_videos / "novel" / name / f"{copy}.mp4" for copy in (0, 1)])
    assert grown.classes_.tolist() == [1, 2, 3] and grown.predict(videos).dtype.kind == "i"
    np.testing.assert_allclose(grown.decision_function(videos), fitted.decision_function(videos), atol=1e-4)
    grown.remove(3)
    assert grown.classes_.tolist() == [1, 2] and len(support) == 6
    fitted.save(tmp_path / "x.support")
    loaded = hcl.FewShotClassifier.load(tmp_path / "x.support", device="cpu", extraction=config)
    np.testing.assert_allclose(loaded.predict_proba(videos), fitted.predict_proba(videos), atol=1e-5)
    for each in (grown, loaded):
        each.close()
    again = pickle.loads(pickle.dumps(loaded))
    assert again.classes_.tolist() == loaded.classes_.tolist() and again.get_params() == loaded.get_params()


def test_scikit_learn_takes_it_for_a_classifier(fitted: hcl.FewShotClassifier, config: ExtractConfig) -> None:
    base = pytest.importorskip("sklearn.base")
    copy = base.clone(fitted)
    assert copy.get_params() == fitted.get_params() and not hasattr(copy, "support_")
    assert base.is_classifier(fitted) and copy.set_params(reject=0.5).reject == 0.5


def test_what_a_classifier_refuses(fitted: hcl.FewShotClassifier, small_videos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    cases: list[tuple[str, Callable[[], Any]]] = [
        ("no supports yet; call fit(videos, labels)", lambda: hcl.FewShotClassifier().predict(["a.mp4"])),
        ("2 videos and 1 labels", lambda: hcl.FewShotClassifier().fit(["a.mp4", "b.mp4"], ["a"])),
        ("empty.mp4: the file is empty (0 bytes); leave it out", lambda: fitted.predict([tmp_path / "empty.mp4"])),
        ("no parameter 'rejct'; its parameters are run, ", lambda: fitted.set_params(rejct=1)),
        ("no such support set", lambda: hcl.FewShotClassifier.load(tmp_path / "nothing")),
        ("no class or video of the support set", lambda: fitted.remove("nobody")),
    ]
    for message, call in cases:
        with pytest.raises(hcl.InputError, match=re.escape(message)):
            call()


def test_confidence_is_fitted_on_supports_that_are_left_out(fitted: hcl.FewShotClassifier) -> None:
    matching = replace(fitted.answerer.matcher.matching, scoring=ScoreConfig(aggregate="mean"))
    matcher = Matcher(fitted.support_, matching)
    total, classes = matcher.of_supports.total, matcher.support.classes
    scores, truth = left_out_scores(matcher)
    for row in range(len(classes)):
        for number in range(3):
            members = [other for other in range(len(classes)) if classes[other] == number and other != row]
            assert scores[row, number] == pytest.approx(np.mean([total[row, other] for other in members]))
    assert truth.tolist() == classes.tolist()
    confidence = fit_confidence(matcher, None, None)
    assert confidence.temperature == pytest.approx(fit_temperature(scores, truth)) and confidence.threshold is None
    best = left_out_classes(matcher)
    for row, own in enumerate(classes):
        others = [np.mean(total[row, classes == number]) for number in range(3) if number != own]
        assert best[row] == pytest.approx(max(others))
    rejecting = fit_confidence(matcher, None, 0.2)
    assert rejecting.threshold in best and (best > rejecting.threshold).mean() <= 0.2
    alone = type(matcher)(matcher.support.take([0, 2, 4]), matcher.matching)
    assert fit_confidence(alone, None, None).calibrated_on == UNCALIBRATED
    with pytest.raises(hcl.InputError, match="cannot be known from 3 clips outside the classes"):
        fit_confidence(alone, None, 0.05)


def test_a_rejected_video_is_of_class_none(fitted: hcl.FewShotClassifier, small_videos: Path) -> None:
    video, answerer = queries(small_videos)[0], fitted.answerer
    before = answerer.confidence
    score = fitted.decision_function([video]).max()
    for threshold, expected in ((score + 1, "none"), (score - 1, fitted.predict([video])[0])):
        answerer.confidence = Confidence(1.0, "", threshold, "a test")
        assert fitted.predict([video]).tolist() == [expected]
    answerer.confidence = before


SCRIPT = """
import hcl, sys
from hcl.extract.config import ExtractConfig
config = ExtractConfig(size=64, frames=4, views=1, weights=sys.argv[1], precision="float32")
classifier = hcl.FewShotClassifier(device="cpu", extraction=config).fit(sys.argv[2:4], ["a", "b"])
print(*classifier.predict(sys.argv[2:4]))
"""


def test_a_script_needs_no_guard(small_videos: Path, small_config: ExtractConfig, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    paths = [small_videos / "novel" / name / "0.mp4" for name in ("clap2", "jump2")]
    done = subprocess.run(
        [sys.executable, script, small_config.weights, *paths], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and len(done.stdout.split()) == 2, done.stderr
