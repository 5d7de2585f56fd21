import numpy as np
import pytest

from mien.conditions import CIRCUMPLEX, EMOTIONS
from mien.faces.linear.emotions import emotion_of
from mien.faces.linear.expressions import preset_expression
from mien.faces.linear.recipes import EMOTION_RECIPES
from mien.faces.linear.state import ExpressionState
from mien.studio.expression_sampling import sample_expression


def test_neutral_is_neutral() -> None:
    emotion = emotion_of(ExpressionState())
    assert emotion.label == "neutral" and emotion.probabilities[0] > 0.99
    assert (emotion.valence, emotion.arousal) == pytest.approx((0.0, 0.0), abs=0.01)


@pytest.mark.parametrize("emotion", EMOTIONS[1:])
def test_presets_are_recognised_and_grow(emotion: str) -> None:
    index = EMOTIONS.index(emotion)
    for variant in range(len(EMOTION_RECIPES[emotion])):
        shares = [emotion_of(preset_expression(emotion, i, variant)).probabilities[index] for i in (0.1, 0.3, 0.6, 1.0)]
        assert shares == sorted(shares) and shares[0] < 0.3 and shares[3] > 0.85
        full = emotion_of(preset_expression(emotion, 1.0, variant))
        assert full.label == emotion
        valence, arousal = CIRCUMPLEX[emotion]
        assert abs(full.valence - valence) < 0.2 and abs(full.arousal - arousal) < 0.3


@pytest.mark.parametrize("emotion", EMOTIONS[1:])
def test_sampled_emotions_are_named_after_their_recipe(emotion: str) -> None:
    rng = np.random.default_rng(5)
    labels = [emotion_of(sample_expression(rng, emotion)).label for _ in range(120)]
    assert labels.count(emotion) + labels.count("neutral") > 0.9 * len(labels)
    assert labels.count(emotion) > 0.6 * len(labels)


def test_speech_is_no_emotion() -> None:
    rng = np.random.default_rng(6)
    labels = [emotion_of(sample_expression(rng, "speech")).label for _ in range(100)]
    assert labels.count("neutral") > 85


def test_what_landmarks_do_not_show_counts() -> None:
    angry = preset_expression("anger", 0.6)
    pale = ExpressionState(angry.coefficients, flush=0.0)
    assert (
        emotion_of(angry).probabilities[EMOTIONS.index("anger")]
        > emotion_of(pale).probabilities[EMOTIONS.index("anger")]
    )
    sneer = ExpressionState.build({"noseSneer_L": 0.9, "noseSneer_R": 0.9})
    assert emotion_of(sneer).label == "disgust"


def test_sampled_labels_are_valid() -> None:
    rng = np.random.default_rng(7)
    vectors = np.array([emotion_of(sample_expression(rng)).vector() for _ in range(500)])
    assert np.isfinite(vectors).all() and vectors.shape == (500, 10)
    assert set(vectors[:, 2:].argmax(1)) == set(range(8))
