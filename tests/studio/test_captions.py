import numpy as np

from mien.captions.compose import describe, describe_face
from mien.captions.words import hair, speaks_of_a_face, turning
from mien.faces.linear.expressions import preset_expression
from mien.faces.linear.state import ExpressionState
from mien.studio.captions import caption
from mien.studio.person import HAIR_LENGTHS, sample_person
from mien.studio.plans import plan_scene
from mien.studio.scene import attributes


def test_captions_are_varied_repeatable_and_from_a_small_vocabulary() -> None:
    texts, words = set(), set()
    for seed in range(300):
        person = sample_person(seed)
        picture = plan_scene(person, seed % 8)
        text = caption(person, picture, np.random.default_rng(seed))
        assert text == caption(person, picture, np.random.default_rng(seed))
        assert "  " not in text and " ," not in text and "{" not in text and not text.endswith(",")
        texts.add(text)
        words |= set(text.replace(",", "").split())
    assert len(texts) > 285 and len(words) < 180


def test_describe_mentions_what_is_known_only() -> None:
    person = sample_person(3)
    picture = plan_scene(person, 0)
    text = describe(attributes(person, picture))
    assert text.startswith("portrait of ") and picture.background in text and picture.hair_color in text
    assert describe({"hair_color": "brown", "hair_length": "short"}) == "portrait of a person with short brown hair"
    assert describe({}) == "portrait of a person"


def test_what_a_face_does_is_said_before_clothes_and_background() -> None:
    face = describe_face(preset_expression("sad"), (-25.0, 0.0, 0.0))
    assert face == "looking sad, head turned to the left"
    assert describe_face(ExpressionState(), (0.0, 0.0, 9.0)) == "neutral expression, head tilted to the right"
    known = {"hair_color": "brown", "hair_length": "short", "background": "blue"}
    assert describe(known, face) == f"portrait of a person with short brown hair, {face}, blue background"


def test_every_hair_style_has_words() -> None:
    for style in HAIR_LENGTHS:
        phrase = hair({"hair_style": style, "hair_color": "auburn", "hair_length": HAIR_LENGTHS[style]})
        assert phrase and (style == "bald" or "auburn" in phrase)
        assert "a auburn" not in phrase


def test_captions_speak_of_the_viewers_sides() -> None:
    assert turning((25.0, 0.0, 0.0)) == "head turned to the right"
    assert turning((-25.0, 0.0, 0.0)) == "head turned to the left"


def test_the_article_fits_the_word_that_follows() -> None:
    assert hair({"hair_style": "afro"}) == "an afro"
    assert hair({"hair_style": "afro", "hair_color": "black"}) == "a black afro"
    assert hair({"hair_style": "bob", "hair_color": "auburn"}) == "an auburn bob"


def test_words_of_a_face_are_known_as_such_and_looks_are_not() -> None:
    for seed in range(60):
        person = sample_person(seed)
        picture = plan_scene(person, seed % 8)
        face = describe_face(picture.expression, picture.pose)
        assert speaks_of_a_face(face) == bool(face), face
        assert not speaks_of_a_face(describe(attributes(person, picture)))
    assert speaks_of_a_face("She is Smiling") and not speaks_of_a_face("blue eyes, a straight nose, a big forehead")
