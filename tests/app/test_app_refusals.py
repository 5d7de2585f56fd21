"""What the server refuses, where it says so, and that nobody else notices."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from mien.app.limits import Limits, RateMeter
from mien.app.server import create_app, host_names
from mien.app.service import PortraitService, Warm
from mien.demo.examples import Examples
from mien.errors import BadInput
from tests.app.conftest import FEW, encoded

TINY = encoded(Image.new("RGB", (8, 8)))
FACELESS = encoded(Image.new("RGB", (64, 64), "grey"))
LIMITS = Limits(request_bytes=300_000, picture_pixels=90_000, pictures=2, count=3, steps=30, rate=1000, scored=2)


@pytest.fixture(scope="module")
def limited(warm: Warm) -> Iterator[TestClient]:
    service = PortraitService(LIMITS, reader="studio", load=lambda: warm)
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({}, "", "Nothing to draw"),
        ({"identity": "studio:Nobody"}, "identity", "no picture called 'Nobody'"),
        ({"identity": "not base64!"}, "identity", "base64"),
        ({"identity": base64.b64encode(b"nothing").decode()}, "identity", "not a picture"),
        ({"identity": TINY}, "identity", "8 x 8 pixels"),
        ({"identity": FACELESS}, "identity", "No face found"),
        ({"identity": "studio:Ada", "expression": FACELESS}, "expression", "No face found"),
        ({"identity": "studio:Ada", "identities": [FACELESS]}, "identities", "No face found"),
        ({"expression": "studio:laugh", "expressions": [FACELESS]}, "expressions", "No face found"),
        ({"identity": "studio:Ada", "mouth": FACELESS}, "mouth", "No face found"),
        ({"identity": "studio:Ada", "expression_strength": 3}, "expression_strength", "less than or equal to 2"),
        ({"identity": "studio:Ada", "expression_strength": 0.5}, "expression_strength", "is that of an expression"),
        ({"identity": ""}, "identity", "at least 1 character"),
        ({"identity": 3}, "identity", "string"),
        ({"identity": "studio:Ada", "yaw": 100}, "yaw", "less than or equal to 90"),
        ({"identity": "studio:Ada", "yaw": "left"}, "yaw", "number"),
        ({"identity": "studio:Ada", "yaw": None, "seed": -1}, "seed", "greater than or equal to 0"),
        ({"identity": "studio:Ada", "emotion": "gleeful"}, "emotion", "no emotion called 'gleeful'"),
        ({"identity": "studio:Ada", "blendshapes": {"jawOpn": 1}}, "blendshapes", "did you mean 'jawOpen'"),
        ({"identity": "studio:Ada", "blendshapes": {"jawOpen": 2}}, "blendshapes", "less than or equal to 1"),
        ({"identity": "studio:Ada", "speed": "warp"}, "speed", "'exact', 'fast' or 'few'"),
        ({"identity": "studio:Ada", "glasses": True}, "glasses", "glasses: there is no such field; "),
        ({"identity": "studio:Ada", "prompt": "x", "describe": "y"}, "describe", "not both"),
        ({"identity": "studio:Ada", "count": 4}, "count", "3 pictures, not 4"),
        ({"identity": "studio:Ada", "rows": [{"yaw": 1}] * 4}, "count", "3 pictures, not 4"),
        ({"identity": "studio:Ada", "rows": [{"yaw": 91}]}, "rows", "less than or equal to 90"),
        ({"identity": "studio:Ada", "steps": 31}, "steps", "30 steps"),
        ({"identity": "studio:Ada", "identities": ["studio:Bo", "studio:Eli"]}, "identities", "2 pictures, not 3"),
        ({"identity": "studio:Ada", "weights": [1, 2]}, "", "2 weights"),
        ({"identity": "studio:Ada", **FEW, "guidance": {"text": 9}}, "", "guidance inside"),
    ],
)  # fmt: skip
def test_a_bad_value_is_one_sentence_with_its_field(
    limited: TestClient, body: dict[str, Any], field: str, words: str
) -> None:
    answer = limited.post("/api/generate", json=body)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == field and words in error["message"], error
    assert error["message"].endswith(".") and "\n" not in error["message"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("read", {"picture": FACELESS}, "picture"),
        ("read", {}, "picture"),
        ("score", {"reference": ["studio:Ada"], "generated": ["studio:Ada", "studio:Bo"]}, "generated"),
        ("score", {"reference": ["studio:Ada"] * 3, "generated": ["studio:Ada"] * 3}, "reference"),
        ("score", {"reference": [], "generated": []}, "reference"),
        ("preview", {"faces": {"identity": [[[0, 0, 0]] * 478]}}, "faces"),
        ("preview", {"faces": {"identity": [[[0, 0, 0]]]}}, "faces"),
        ("preview", {"faces": {}}, ""),
    ],
)
def test_the_other_addresses_too(limited: TestClient, path: str, body: dict[str, Any], field: str) -> None:
    answer = limited.post(f"/api/{path}", json=body)
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == field, answer.text


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"yaw": NaN}', b"\xff\xfe", b"[" * 10_000])
def test_what_is_no_json_object_is_refused(limited: TestClient, content: bytes) -> None:
    answer = limited.post("/api/generate", content=content, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422) and answer.json()["errors"]
    assert answer.json()["errors"][0]["message"].endswith(".")


def test_several_pictures_are_no_png(limited: TestClient) -> None:
    answer = limited.post("/api/generate", json={"prompt": "x", "count": 2}, headers={"accept": "image/png"})
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == "count"


def test_pictures_and_requests_that_are_too_large(limited: TestClient) -> None:
    black = encoded(Image.new("RGB", (400, 400)))
    answer = limited.post("/api/read", json={"picture": black})
    assert answer.status_code == 422 and "400 x 400" in answer.json()["errors"][0]["message"]
    answer = limited.post("/api/read", json={"picture": "A" * 300_000})
    assert answer.status_code == 413 and "0.3 MB" in answer.json()["errors"][0]["message"]

    def unannounced() -> Iterator[bytes]:
        for _ in range(400):
            yield b" " * 1000

    answer = limited.post("/api/read", content=unannounced(), headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_unknown_addresses_and_methods(limited: TestClient) -> None:
    assert limited.get("/api/nothing").json()["errors"][0]["message"] == "There is nothing at this address."
    assert limited.get("/api/generate").status_code == 405
    assert limited.get("/page/../server.py").status_code == 404


def test_a_token_is_wanted_everywhere_but_for_the_page(warm: Warm) -> None:
    service = PortraitService(Limits(), reader="studio", load=lambda: warm)
    with TestClient(create_app(service, token="sesame")) as client:
        assert client.get("/").status_code == 200 and client.get("/api/health").status_code == 200
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer "}):
            answer = client.get("/api/options", headers=headers)
            assert answer.status_code == 401 and "token" in answer.json()["errors"][0]["message"]
        assert client.get("/api/options", headers={"authorization": "Bearer sesame"}).status_code == 200
        assert client.get("/api/studio/Ada.png").status_code == 401


def test_other_sites_and_other_names_are_kept_out(warm: Warm) -> None:
    service = PortraitService(Limits(), reader="studio", load=lambda: warm)
    with TestClient(create_app(service, hosts=frozenset({"127.0.0.1"})), base_url="http://127.0.0.1:7860") as client:
        assert client.get("/api/options", headers={"host": "evil.example"}).status_code == 421
        assert client.get("/api/options", headers={"origin": "https://evil.example"}).status_code == 403
        own = client.get("/api/options", headers={"origin": "http://127.0.0.1:7860"})
        assert own.status_code == 200
        assert "default-src 'self'" in own.headers["content-security-policy"]


@pytest.mark.parametrize("host", ["portraits.example.org", "portraits.example.org:8443", "127.0.0.1:7860"])
def test_a_proxy_passes_requests_on_with_its_name_or_ours(warm: Warm, host: str) -> None:
    service = PortraitService(LIMITS, reader="studio", load=lambda: warm)
    names = host_names(["Portraits.example.org"])
    app = create_app(service, hosts=frozenset({"127.0.0.1"}), proxied=names)
    with TestClient(app, base_url="http://127.0.0.1:7860") as client:
        page = {"host": host, "origin": "https://portraits.example.org"}
        assert client.get("/api/options", headers=page).status_code == 200
        assert client.get("/api/options", headers={**page, "origin": "https://evil.example"}).status_code == 403
        assert client.get("/api/options", headers={**page, "host": "evil.example"}).status_code == 421
    with pytest.raises(BadInput, match=r"write it as portraits\.example\.org"):
        host_names(["https://portraits.example.org/"])


def test_too_many_requests_wait_for_their_turn() -> None:
    now = [0.0]
    meter = RateMeter(60, lambda: now[0])
    assert all(meter.take("a") == 0 for _ in range(60))
    assert meter.take("a") == pytest.approx(1.0)
    assert meter.take("b") == 0  # each address has its own
    now[0] = 1.5
    assert meter.take("a") == 0 and meter.take("a") > 0
    assert all(RateMeter(1).take("c", 0.05) == 0 for _ in range(20))


def test_the_rate_is_answered_with_the_seconds_to_wait(warm: Warm) -> None:
    service = PortraitService(Limits(rate=2), reader="studio", load=lambda: warm)
    with TestClient(create_app(service)) as client:
        answers = [client.post("/api/generate", json={}) for _ in range(3)]
    assert [one.status_code for one in answers] == [422, 422, 429]
    assert int(answers[2].headers["retry-after"]) >= 1 and "2 requests a minute" in answers[2].text


def mutated(seed: int) -> bytes:
    """A PNG or JPEG with some of its bytes changed, cut off or doubled."""
    dice = random.Random(seed)
    stream = BytesIO()
    kind = dice.choice(["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
    Image.open(Examples.load().people[seed % 5].path).convert("RGB").resize((64, 64)).save(stream, kind)
    content = bytearray(stream.getvalue())
    for _ in range(dice.choice([1, 3, 30])):
        place = dice.randrange(min(len(content), dice.choice([40, 400, len(content)])))
        content[place] = dice.randrange(256)
    if dice.random() < 0.3:
        del content[dice.randrange(len(content)) :]
    if dice.random() < 0.1:
        content.extend(bytes(content))
    return bytes(content)


def mutated_pictures(client: TestClient, seeds: range) -> None:
    for seed in seeds:
        answer = client.post("/api/read", json={"picture": base64.b64encode(mutated(seed)).decode()})
        assert answer.status_code in (200, 422), (seed, answer.text)
        assert answer.status_code == 200 or answer.json()["errors"][0]["field"] == "picture"


def test_damaged_pictures_are_read_or_refused(limited: TestClient) -> None:
    mutated_pictures(limited, range(30))


@pytest.mark.slow
def test_five_hundred_damaged_pictures_are_read_or_refused(limited: TestClient) -> None:
    mutated_pictures(limited, range(30, 530))
