import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.core.io import sha256_of, write_json
from mien.core.progress import Step
from mien.core.stages.local import run_local
from mien.core.stages.trial import poisoned
from mien.data.rendering import dataset
from mien.data.rendering import request as dataset_request
from mien.data.rendering.dataset import RenderStage, RenderTools, render_dataset
from mien.data.rendering.request import DatasetRequest, claim_folder
from mien.data.shards import read_shard, shard_name, shard_paths
from mien.errors import BadInput, ConfigError, MienError
from mien.evaluation.control.settings import FIRST_PERSON, FIRST_REFERENCE, FIRST_TARGET
from mien.studio.person import sample_person
from mien.studio.plans import plan_portrait, plan_scene


@dataclass
class FakeRender:
    image: np.ndarray
    mask: np.ndarray
    matte: np.ndarray
    landmarks: np.ndarray


class FakeRenderer:
    """A picture that depends on the seeds only."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.rendered: list[tuple[int, int]] = []
        self.fail_at = fail_at

    def render(self, person: Any, picture: Any) -> FakeRender:
        if self.fail_at is not None and len(self.rendered) == self.fail_at:
            raise KeyboardInterrupt
        self.rendered.append((person.seed, picture.seed))
        rng = np.random.default_rng([person.seed, picture.seed])
        image = rng.integers(0, 256, (16, 16, 3), np.uint8)
        return FakeRender(image, image[..., 0], image[..., 1], rng.normal(size=(478, 3)).astype(np.float32))


@pytest.fixture
def renderer(monkeypatch: pytest.MonkeyPatch) -> FakeRenderer:
    fake = FakeRenderer()
    monkeypatch.setattr(dataset, "open_tools", lambda request, kit: RenderTools(fake, None))  # type: ignore[arg-type]
    monkeypatch.setattr("mien.data.rendering.request.SHARD_PICTURES", 12)
    return fake


def test_partition_follows_from_the_request() -> None:
    request = DatasetRequest(1000, 8, 500, 128, False, "x")
    assert request.people_per_shard == 64 and request.shards == 16 and request.pictures == 8000
    seeds = [seed for shard in range(request.shards) for seed in request.seeds(shard)]
    assert seeds == list(range(500, 1500))
    assert DatasetRequest(3, 700, 0, 128, False, "x").shards == 3
    for wrong in ({"people": 0}, {"per_person": 2000}, {"first_seed": -1}, {"size": 1}):
        values = {"people": 1, "per_person": 1, "first_seed": 0, "size": 128, "read": False, "kit_sha256": "x"}
        with pytest.raises(BadInput):
            DatasetRequest(**{**values, **wrong})


def test_first_pictures_look_like_photographs() -> None:
    for seed in range(60):
        person = sample_person(seed)
        pictures = [plan_scene(person, number) for number in range(6)]
        assert all(abs(p.pose[0]) < 15 for p in pictures[:3]) and abs(pictures[0].pose[0]) < 6
        assert pictures[0].expression.gaze == (0.0, 0.0) and "eyeBlink_L" not in pictures[0].expression.named()
        assert pictures == [plan_scene(person, number) for number in range(6)]


def test_render_is_complete_and_resumes(renderer: FakeRenderer, kit_path: Path, tmp_path: Path) -> None:
    seen: list[tuple[int | None, int]] = []

    @contextmanager
    def bar(total: int | None, label: str) -> Iterator[Step]:
        yield lambda count, note="", /: seen.append((total, count))

    arguments: dict[str, Any] = {
        "people": 5,
        "per_person": 6,
        "first_seed": 40,
        "workers": 1,
        "read": False,
        "kit": kit_path,
    }
    render_dataset(out=tmp_path / "a", bar=bar, **arguments)
    assert [p.name for p in shard_paths(tmp_path / "a")] == [f"shard-0000{i}.tar" for i in range(3)]
    assert seen[0] == (30, 0) and sum(count for _, count in seen) == 30
    entries = [e for p in shard_paths(tmp_path / "a") for e in read_shard(p)]
    assert [e.sample.key for e in entries] == [f"{s:07d}-{k:03d}" for s in range(40, 45) for k in range(6)]
    sample = entries[7].sample
    assert sample.caption and sample.landmarks_mediapipe is None
    assert sample.coefficients is not None and len(sample.coefficients) == 53
    settings = json.loads((tmp_path / "a" / "dataset.json").read_text())
    assert settings["request"]["people"] == 5 and settings["shards"] == 3

    renderer.rendered.clear()
    renderer.fail_at = 14
    with pytest.raises(KeyboardInterrupt):
        render_dataset(out=tmp_path / "b", **arguments)
    assert [p.name for p in (tmp_path / "b").iterdir() if p.suffix == ".tar"] == ["shard-00000.tar"]
    renderer.fail_at = None
    renderer.rendered.clear()
    render_dataset(out=tmp_path / "b", **arguments)
    assert len(renderer.rendered) == 18, "the finished shard is not rendered again"
    for a, b in zip(shard_paths(tmp_path / "a"), shard_paths(tmp_path / "b"), strict=True):
        assert a.read_bytes() == b.read_bytes()


def test_a_picture_that_cannot_be_rendered_is_left_out_and_told(
    renderer: FakeRenderer, kit_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, tries = FakeRenderer.render, []

    def render(self: FakeRenderer, person: Any, picture: Any) -> FakeRender:
        if person.seed == 41 and picture.seed == bad:
            tries.append(1)
            raise ValueError("no hair")
        return plain(self, person, picture)

    bad = plan_scene(sample_person(41), 3).seed
    monkeypatch.setattr(FakeRenderer, "render", render)
    arguments: dict[str, Any] = {"people": 4, "per_person": 6, "first_seed": 40, "read": False, "kit": kit_path}
    for part in (1, 2):
        render_dataset(out=tmp_path, workers=1, part=(part, 2), **arguments)
    render_dataset(out=tmp_path, finish=True, **arguments)
    keys = [entry.sample.key for path in shard_paths(tmp_path) for entry in read_shard(path)]
    assert len(keys) == 23 and "0000041-003" not in keys and len(tries) == 3
    assert [(line["sample"], line["reason"]) for line in poisoned(tmp_path)] == [("0000041-003", "ValueError: no hair")]


def test_pairs_show_the_expression_on_another_person(
    renderer: FakeRenderer, kit_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures: list[Any] = []
    plain = FakeRenderer.render
    monkeypatch.setattr(FakeRenderer, "render", lambda self, p, q: (pictures.append((p, q)), plain(self, p, q))[1])
    arguments: dict[str, Any] = {"people": 2, "per_person": 4, "workers": 1, "read": False, "kit": kit_path}
    render_dataset(out=tmp_path / "a", templates=True, **arguments)
    entries = [e for p in shard_paths(tmp_path / "a") for e in read_shard(p)]
    for entry, (_, own), (other, shown) in zip(entries, pictures[::2], pictures[1::2], strict=True):
        template = entry.sample.template
        assert template is not None and entry.template is not None and template.person == other.seed
        assert other.seed >= 5_000_000 and shown.expression == own.expression and shown.pose == own.pose
    people = {entry.sample.template.person for entry in entries if entry.sample.template}
    assert len(people) == len(entries)
    with pytest.raises(ConfigError, match="templates True instead of False"):
        render_dataset(out=tmp_path / "a", **arguments)


def test_a_portrait_is_the_pictures_look_as_a_photograph(
    renderer: FakeRenderer, kit_path: Path, tmp_path: Path
) -> None:
    person = sample_person(7)
    for number in range(3, 9):
        picture, portrait, photo = (
            plan_scene(person, number),
            plan_portrait(person, number),
            plan_scene(person, number % 3),
        )
        assert (
            (portrait.expression, portrait.pose) == (photo.expression, photo.pose) != (picture.expression, picture.pose)
        )
        assert portrait == picture.showing(photo)
    render_dataset(2, 5, tmp_path, workers=1, kit=kit_path, portraits=True, read=False)
    samples = [entry.sample for path in shard_paths(tmp_path) for entry in read_shard(path)]
    assert [(one.person, one.picture) for one in samples] == [(0, 3), (0, 4), (1, 3), (1, 4)]
    assert all(one.pose is not None and abs(one.pose[0]) < 15 for one in samples)
    with pytest.raises(ConfigError, match="portraits True instead of False"):
        render_dataset(2, 5, tmp_path, workers=1, kit=kit_path, read=False)
    with pytest.raises(BadInput, match="portraits themselves"):
        render_dataset(2, 3, tmp_path / "none", workers=1, kit=kit_path, portraits=True, read=False)


def test_another_request_is_refused(renderer: FakeRenderer, kit_path: Path, tmp_path: Path) -> None:
    render_dataset(2, 3, tmp_path, workers=1, read=False, kit=kit_path)
    with pytest.raises(ConfigError, match="people 2 instead of 4"):
        render_dataset(4, 3, tmp_path, workers=1, read=False, kit=kit_path)
    with pytest.raises(MienError, match="face kit"):
        render_dataset(4, 3, tmp_path / "new", workers=1, kit=tmp_path / "absent.npz")


def test_other_versions_do_not_finish_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = DatasetRequest(400, 6, 0, 64, False, "kit")
    now = {"mien": "1.0", "numpy": "2.0", "mediapipe": "0.1"}
    monkeypatch.setattr(dataset_request, "_versions", lambda: now)
    claim_folder(tmp_path, request)
    (tmp_path / shard_name(0)).touch()
    claim_folder(tmp_path, request)
    now["mediapipe"] = "0.2"  # which reads nothing here
    claim_folder(tmp_path, request)
    now["numpy"] = "3.0"
    with pytest.raises(ConfigError, match=r"begun with numpy 2\.0 \(here 3\.0\)"):
        claim_folder(tmp_path, request)
    for shard in range(request.shards):
        (tmp_path / shard_name(shard)).touch()
    claim_folder(tmp_path, request)  # nothing is left to mix


def test_another_reader_is_another_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_request, "_versions", lambda: {"mediapipe": "0.1"})
    request = DatasetRequest(2, 4, 0, 64, True, "kit", reader_sha256="one")
    claim_folder(tmp_path / "now", request)
    claim_folder(tmp_path / "now", request)
    with pytest.raises(ConfigError, match="reader_sha256"):
        claim_folder(tmp_path / "now", replace(request, reader_sha256="two"))
    monkeypatch.setattr(dataset_request, "_versions", lambda: {"mediapipe": "0.2"})
    with pytest.raises(ConfigError, match=r"mediapipe 0\.1"):
        claim_folder(tmp_path / "now", request)
    # as earlier releases wrote it
    asked = {name: value for name, value in asdict(request).items() if name not in ("reader_sha256", "portraits")}
    write_json(tmp_path / "before" / "dataset.json", {"format": 1, "request": asked, "shards": 1})
    claim_folder(tmp_path / "before", request)


def test_the_model_that_reads_is_part_of_the_request(
    renderer: FakeRenderer, kit_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "face_landmarker.task"
    model.write_bytes(b"model")
    monkeypatch.setenv("MIEN_ASSETS", str(tmp_path))
    arguments: dict[str, Any] = {"people": 2, "per_person": 4, "workers": 1, "kit": kit_path}
    assert render_dataset(out=tmp_path / "a", read=True, **arguments).reader_sha256 == sha256_of(model)
    assert render_dataset(out=tmp_path / "b", read=False, **arguments).reader_sha256 == ""


@pytest.mark.slow
def test_workers_give_the_same_bytes(kit_path: Path, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"people": 2, "per_person": 257, "kit": kit_path, "read": False}
    render_dataset(out=tmp_path / "one", workers=1, **arguments)
    render_dataset(out=tmp_path / "two", workers=2, **arguments)
    for a, b in zip(shard_paths(tmp_path / "one"), shard_paths(tmp_path / "two"), strict=True):
        assert a.read_bytes() == b.read_bytes()


def test_worker_errors_come_back_as_one_sentence(
    kit_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_ASSETS", str(tmp_path / "empty"))
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    with pytest.raises(MienError, match="MediaPipe's model is not"):
        render_dataset(200, 4, tmp_path / "out", workers=2, read=True, kit=kit_path)
    request = DatasetRequest(200, 4, 0, 128, True, "kit")
    with pytest.raises(MienError, match="MediaPipe's model is not"):
        run_local(RenderStage(tmp_path / "out", request, kit_path), [0, 1], 2, lambda done: None)
    assert shard_paths(tmp_path / "out") == []


@pytest.mark.parametrize("page", ["studio", "studio-training"])
def test_the_people_that_a_page_says_are_never_trained_on_show_no_expressions_either(page: str) -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / f"{page}.md").read_text(encoding="utf-8")
    (sentence,) = [part for part in " ".join(text.split()).split(". ") if "never trained on" in part]
    (stated,) = re.findall(r"([\d,]+) to ([\d,]+)", sentence)
    first, last = (int(number.replace(",", "")) for number in stated)
    assert first == FIRST_PERSON < FIRST_TARGET < FIRST_REFERENCE <= last
    templates = range(dataset._FIRST_TEMPLATE, dataset._FIRST_TEMPLATE + dataset._TEMPLATE_PEOPLE)
    assert last < templates[0] and f"{templates[0]:,} to {templates[-1]:,}" in text
