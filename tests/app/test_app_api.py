"""The HTTP API: what each address answers, and that it draws what `mien.generate` draws."""

from __future__ import annotations

import base64
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

import mien
from mien.app.service import Warm
from mien.demo.examples import Examples
from mien.media.pictures import open_picture
from mien.provenance.png import examine, read_record
from tests.app.conftest import FEW, decoded, encoded


def events_of(client: TestClient, **body: Any) -> list[tuple[str, dict[str, Any]]]:
    with client.stream("POST", "/api/generate", json=body, headers={"accept": "text/event-stream"}) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        text = "".join(answer.iter_text())
    found = []
    for block in text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def test_a_picture_is_that_of_the_library_with_its_record(client: TestClient, warm: Warm, tmp_path: Path) -> None:
    ada = Examples.load().people[0].path
    photo = base64.b64encode(ada.read_bytes()).decode()
    body = {"identity": photo, "yaw": 15, "emotion": "happy:0.8", "seed": 3, **FEW}
    answer = client.post("/api/generate", json=body, headers={"accept": "image/png"})
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/png"
    # given as a picture, so that the record names the same hash, of pixels, and the watermark is the same
    (same,) = mien.generate(
        identity=open_picture(ada), yaw=15, emotion="happy:0.8", seed=3, speed="few", pipeline=warm.pipeline
    )
    assert answer.content == mien.save(same, tmp_path / "same.png").read_bytes()  # the same computation
    (tmp_path / "page.png").write_bytes(answer.content)
    record = read_record(tmp_path / "page.png")
    assert record.settings["yaw"] == 15 and record.settings["speed"] == "few" and "identity" in record.inputs


def test_json_tells_seeds_lines_and_what_was_read(client: TestClient) -> None:
    found = client.post("/api/generate", json={"identity": "studio:Bo", "count": 2, "seed": 5, **FEW}).json()
    assert [one["seed"] for one in found["pictures"]] == [5, 6]
    assert decoded(found["pictures"][0]["image"]).size == (256, 256)
    assert found["words"].startswith("read as: ")
    assert found["command"] == "mien generate --identity me.jpg --reader studio -n 2 --seed 5 --speed few"
    assert found["pictures"][1]["command"] == "mien generate --identity me.jpg --reader studio --seed 6 --speed few"
    assert "identity='me.jpg'" in found["python"]


def test_events_tell_progress_and_intermediate_pictures(client: TestClient) -> None:
    told = events_of(client, identity="studio:Ada", speed="exact", steps=6, previews=2)
    names = [name for name, _ in told]
    assert names[:2] == ["queued", "read"] and names[-2:] == ["picture", "done"]
    assert [values["step"] for name, values in told if name == "progress"] == [1, 2, 3, 4, 5, 6]
    previews = [decoded(values["image"]) for name, values in told if name == "preview"]
    assert [one.size for one in previews] == [(256, 256)] * 2
    final = np.asarray(decoded(next(values["image"] for name, values in told if name == "picture")), float)
    near = [np.abs(np.asarray(one.convert("RGB"), float) - final).mean() for one in previews]
    assert near[1] < near[0] and near[1] < 25  # the sampler's estimates come nearer


def test_parts_of_the_face_come_from_their_own_pictures(client: TestClient) -> None:
    body = {"identity": "studio:Ada", "expression": "studio:anger", "expressions": ["studio:laugh"]}
    body |= {"expression_weights": [1, 3], "expression_strength": 0.8, "mouth": "studio:kiss", "eyes": "studio:wink"}
    found = client.post("/api/generate", json={**body, **FEW}).json()
    assert [part.partition(":")[0] for part in found["words"].split("; ")][1:] == [
        "template",
        "template-2",
        "mouth",
        "eyes",
    ]
    assert "--expression expression.jpg:1 --expression expression-2.jpg:3 --mouth mouth.jpg" in found["command"]
    assert "expression_strength=0.8," in found["python"]


def test_rows_are_several_settings_of_one_request(client: TestClient) -> None:
    rows = [{"yaw": -25}, {"yaw": 25}, {"blendshapes": {"jawOpen": 0.8}}]
    found = client.post(
        "/api/generate", json={"identity": "studio:Ada", "blendshapes": {"mouthPucker": 0.2}, "rows": rows, **FEW}
    ).json()
    pictures = [np.asarray(decoded(one["image"]), float) for one in found["pictures"]]
    assert len(pictures) == 3
    assert all(np.abs(one - other).mean() > 3 for one, other in itertools.pairwise(pictures))


def test_an_edit_changes_the_face_of_a_portrait(client: TestClient) -> None:
    answer = client.post("/api/generate", json={"edit": "studio:Ada", "emotion": "happy", **FEW})
    assert answer.status_code == 200, answer.text
    assert decoded(answer.json()["pictures"][0]["image"]).size == (256, 256)


def test_reading_gives_landmarks_pose_emotion_and_mask_but_no_identity(client: TestClient) -> None:
    found = client.post("/api/read", json={"picture": "studio:laugh"}).json()
    (face,) = found["faces"]
    assert found["size"] == [256, 256] and len(face["landmarks"]) == 478
    assert set(face["pose"]) == {"yaw", "pitch", "roll"} and face["emotion"]["happy"] > 0.3
    assert decoded(face["mask"]).mode == "LA"
    assert "identity" not in face and face["attributes"]


def test_the_preview_is_the_landmark_image_of_the_drawing(client: TestClient, warm: Warm) -> None:
    from mien.generation.conditioning import build_inputs, open_inputs
    from mien.generation.request import GenerateRequest
    from mien.pipelines.load import branch_kinds

    read = {name: client.post("/api/read", json={"picture": f"studio:{name}"}).json() for name in ("Ada", "laugh")}
    faces = {"identity": [read["Ada"]["faces"][0]["landmarks"]], "expression": [read["laugh"]["faces"][0]["landmarks"]]}
    settings = {"yaw": 12.0, "blendshapes": {"eyeBlinkLeft": 1.0}}
    found = client.post("/api/preview", json={"faces": faces, **settings}).json()
    examples = {one.name: one.path for one in (*Examples.load().people, *Examples.load().templates)}
    request = GenerateRequest(identity=examples["Ada"], expression=examples["laugh"], **settings)  # pyright: ignore[reportArgumentType]
    inputs = build_inputs(request, open_inputs(request), warm.tools, 256, branch_kinds(warm.pipeline))
    assert inputs.landmarks is not None
    # the API rounds the landmarks of the photographs to a hundredth of a pixel
    assert np.abs(np.asarray(found["landmarks"]) - inputs.landmarks[:, :2]).max() < 0.05
    assert found["size"] == 256 and "--blendshape eyeBlinkLeft=1" in found["command"]


def test_words_alone_have_no_landmarks(client: TestClient) -> None:
    found = client.post("/api/preview", json={"prompt": "portrait of a smiling woman"}).json()
    assert found["landmarks"] is None


def test_scores_are_those_of_the_command(client: TestClient) -> None:
    body = {"reference": ["studio:Ada", "studio:Bo"], "generated": ["studio:Ada", "studio:Cleo"]}
    found = client.post("/api/score", json=body).json()
    assert found["pairs"] == 2 and found["metrics"]["yaw"]["unit"] == "degree"


def test_frames_that_were_drawn_here_become_one_film_with_its_record(client: TestClient, tmp_path: Path) -> None:
    body = {"identity": "studio:Ada", **FEW, "rows": [{"yaw": 0}, {"yaw": 15}, {"yaw": 30}]}
    frames = [one["image"] for one in client.post("/api/generate", json=body).json()["pictures"]]
    answer = client.post("/api/video", json={"frames": frames, "rate": 5})
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/webp"
    (tmp_path / "film.webp").write_bytes(answer.content)
    found = examine(tmp_path / "film.webp")
    assert found.video and found.digital_source_type is not None and found.watermark_fits
    assert found.record is not None and found.record.settings["yaw"] == 0
    with Image.open(tmp_path / "film.webp") as film:
        assert getattr(film, "n_frames", 1) == 3 and film.size == (256, 256)
    for given, words in (
        (["studio:Ada", frames[0]], "base64"),
        ([frames[0], encoded(Image.new("RGB", (256, 256)))], "Frame 2 carries no record of mien"),
        ([frames[0], "bm90aGluZw=="], "not a picture"),
    ):
        (error,) = client.post("/api/video", json={"frames": given}).json()["errors"]
        assert error["field"] == "frames" and words in error["message"]


def test_options_and_studio_pictures(client: TestClient) -> None:
    found = client.get("/api/options").json()
    assert found["people"][0] == "Ada" and found["limits"]["queue"] == 128
    assert found["scales"] == {"landmarks": 1, "expression": 0, "emotion": 1}  # as the bundled base has them
    assert found["guidance"].keys() == {"identity", "text"} and min(found["guidance"].values()) > 0
    assert client.get("/api/studio/Ada.png").content == Examples.load().people[0].path.read_bytes()
    assert client.get("/api/studio/Nobody.png").status_code == 404
    assert client.get("/api/health").json()["ready"] is True


def test_the_openapi_document_names_every_field_with_its_range(client: TestClient) -> None:
    document = client.get("/api/openapi.json").json()
    body = document["components"]["schemas"]["GenerateBody"]["properties"]
    assert {"identity", "yaw", "blendshapes", "rows", "previews"} <= set(body)
    yaw = body["yaw"]["anyOf"][0]
    assert (yaw["minimum"], yaw["maximum"]) == (-90, 90)
    assert body["retarget"]["description"] and body["previews"]["description"]


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 95}), ("WEBP", {"lossless": True}), ("PNG", {})])
def test_usual_formats_are_read(client: TestClient, kind: str, options: dict[str, Any]) -> None:
    photo = encoded(Image.open(Examples.load().people[2].path).convert("RGB"), kind, **options)
    answer = client.post("/api/read", json={"picture": f"data:image/{kind.lower()};base64,{photo}"})
    assert answer.status_code == 200 and len(answer.json()["faces"]) == 1


@pytest.mark.parametrize(
    ("media_type", "ending"), [("image/jpeg", "jpg"), ("image/webp", "webp"), ("image/png", "png")]
)
def test_a_picture_in_another_format_is_the_file_that_mien_writes(
    client: TestClient, warm: Warm, tmp_path: Path, media_type: str, ending: str
) -> None:
    ada = Examples.load().people[0].path
    body = {"identity": base64.b64encode(ada.read_bytes()).decode(), "seed": 3, **FEW}
    at_once = client.post("/api/generate", json=body, headers={"accept": media_type})
    assert at_once.status_code == 200 and at_once.headers["content-type"] == media_type
    drawn = client.post("/api/generate", json=body).json()["pictures"][0]["image"]
    later = client.post("/api/save", json={"picture": f"data:image/png;base64,{drawn}", "format": media_type})
    assert later.headers["content-type"] == media_type and later.content == at_once.content
    (same,) = mien.generate(identity=open_picture(ada), seed=3, speed="few", pipeline=warm.pipeline)
    written = mien.save(same, tmp_path / f"same.{ending}")
    assert later.content == written.read_bytes()  # the same computation
    found = examine(written)
    assert found.digital_source_type is not None and found.watermark_fits


def test_only_what_was_drawn_here_is_saved_again(client: TestClient) -> None:
    photo = encoded(Image.new("RGB", (64, 64), "grey"))
    answer = client.post("/api/save", json={"picture": photo, "format": "image/jpeg"})
    assert answer.status_code == 422 and "no record of mien" in answer.json()["errors"][0]["message"]
    drawn = client.post("/api/generate", json={"identity": "studio:Ada", **FEW}, headers={"accept": "image/webp"})
    body = {"picture": base64.b64encode(drawn.content).decode(), "format": "image/jpeg"}
    answer = client.post("/api/save", json=body)
    assert answer.status_code == 422 and "a WEBP file" in answer.json()["errors"][0]["message"]
    assert answer.json()["errors"][0]["field"] == "picture"
