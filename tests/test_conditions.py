import math
import subprocess
import sys

import pytest

from mien.conditions import EMOTIONS, Emotion, Identity, Pose
from mien.errors import BadInput


def test_emotion_of_a_name() -> None:
    emotion = Emotion.of("happy", 0.8)
    assert emotion.label == "happy" and emotion.probabilities[1] == pytest.approx(0.8)
    assert emotion.valence == pytest.approx(0.8 * 0.85) and len(emotion.vector()) == 10
    assert Emotion.of("neutral").vector()[2] == 1.0
    assert Emotion.parse("Happy:0.8") == emotion
    mixed = Emotion.parse("surprise:0.9, fear:0.9")
    assert mixed.probabilities[EMOTIONS.index("fear")] == pytest.approx(0.5)


@pytest.mark.parametrize("text", ["joy", "happy:2", "happy:x", "happy:-0.1"])
def test_bad_emotions_are_one_sentence(text: str) -> None:
    with pytest.raises(BadInput):
        Emotion.parse(text)


def test_emotion_is_checked() -> None:
    with pytest.raises(BadInput, match="8 probabilities"):
        Emotion((1.0,), 0.0, 0.0)
    with pytest.raises(BadInput, match="sum to 1"):
        Emotion((0.1,) * 8, 0.0, 0.0)
    with pytest.raises(BadInput, match="Valence"):
        Emotion((1.0,) + (0.0,) * 7, 2.0, 0.0)
    with pytest.raises(BadInput, match="finite"):
        Emotion((math.nan,) + (0.0,) * 7, 0.0, 0.0)


def test_other_conditions_are_checked() -> None:
    assert Pose(20, -5).angles == (20, -5, 0.0)
    with pytest.raises(BadInput, match="yaw"):
        Pose(yaw=120)
    with pytest.raises(BadInput, match="512"):
        Identity((1.0,))
    with pytest.raises(BadInput, match="length 1"):
        Identity((1.0,) * 512)
    assert Identity((1.0,) + (0.0,) * 511).vector().shape == (512,)


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, mien.conditions; print(sorted({'torch', 'numpy', 'diffusers', 'pydantic'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_an_identity_at_a_prompt_is_short_and_no_embedding() -> None:
    assert repr(Identity((1.0, *[0.0] * 511))) == "Identity(<512 values>)"
