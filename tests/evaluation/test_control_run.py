from __future__ import annotations

import json
import sys
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from mien.captions.compose import describe
from mien.errors import BadInput
from mien.evaluation.control.crosstalk import NOISE, cross_talk
from mien.evaluation.control.run import run_control
from mien.evaluation.control.scene import target_subjects
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.control.steer import gather_inputs, in_words
from mien.evaluation.report.tables import markdown
from mien.faces.types import OneFace
from tests.evaluation.fake_control import FakeModel, FakeReader, Repainted, fake_control_tools


def _settings(**changes: Any) -> ControlSettings:
    small: dict[str, Any] = {
        "people": 5,
        "targets": 4,
        "steps": 2,
        "batch": 8,
        "look_alikes": 1,
        "draws": 40,
        "cross_talk_people": 3,
    }
    small["target_choice"] = "first"
    return ControlSettings(**{**small, "target_choice": "first", **changes})


def _run(folder: Path, model: FakeModel, **changes: Any) -> dict[str, Any]:
    return run_control(_settings(**changes), fake_control_tools(model), folder)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("pictures")
    return folder, _run(folder, FakeModel(blank=1))


def test_a_model_that_does_as_it_is_told(done: tuple[Path, dict[str, Any]]) -> None:
    report = done[1]
    assert report["pairs"] == 20
    valence = report["control"]["judge.valence"]
    assert valence["transfer"]["value"] == pytest.approx(1, abs=0.05)
    # one failed of 20, and its square counts before the root
    assert valence["transfer_all"]["value"] == pytest.approx(1 - (1 / 20) ** 0.5, abs=0.05)
    assert (valence["n"], valence["n_failed"]) == (19, 1)
    assert report["control"]["fake.exp"]["transfer"]["value"] == pytest.approx(1, abs=0.05)
    # its readers see every face at one place: such a measure does not see the control and says so
    assert report["control"]["fake.lms"]["transfer"]["value"] is None
    assert report["faces"]["fake"]["model"]["value"] == pytest.approx(0.95)
    assert report["faces"]["fake"]["oracle"]["value"] == 1
    for gallery in ("look", "face"):
        first = report["identity"][gallery]["top1"]
        assert first["model"]["value"] == pytest.approx(0.95)
        assert first["oracle"]["value"] == 1
        assert report["identity"][gallery]["cosine"]["transfer"]["value"] == pytest.approx(1, abs=0.05)
    assert report["identity"]["look_alikes"]["decoys"] == 1
    assert abs(report["identity"]["donor"]["leak"]["value"]) < 0.2


class Listener(FakeModel):
    """Remembers what it was told in words."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def __call__(self, *, generator: Any, **given: Any) -> Any:
        self.heard += given["prompt"]
        assert given.get("landmarks") is None and given.get("emotion") is None
        return super().__call__(generator=generator, **given)


def test_words_say_what_the_targets_face_does_and_need_no_branch(tmp_path: Path) -> None:
    model = Listener()
    report = _run(tmp_path, model, conditions=("words",), look_alikes=0, cross_talk_people=0)
    assert report["conditions"] == ["words"] and len(model.heard) == 20
    targets = [in_words(one) for one in target_subjects(_settings())]
    assert model.heard == [describe({}, face) for face in targets] * 5  # all targets of the first person, and so on
    assert len(set(targets)) > 1


class Says(FakeReader):
    """Sees the same hair on everybody."""

    def __init__(self, color: str) -> None:
        self.color = color

    def read(self, image: Any, source: str = "the picture") -> Any:
        attributes = {"hair_color": self.color, "hair_style": "bob", "hair_length": "short"}
        seen = super().read(image)
        assert isinstance(seen, OneFace)
        return OneFace(replace(seen.only, attributes=attributes), source)


def test_prompts_of_another_reader_are_drawn_elsewhere(tmp_path: Path) -> None:
    settings = _settings(conditions=("prompt",), look_alikes=0, cross_talk_people=0)
    for color in ("brown", "ginger"):
        model = Listener()
        readers, judges = {"mediapipe": FakeReader(), "studio": Says(color)}, {"reader/face/x.safetensors": color}
        tools = replace(fake_control_tools(model), readers=readers, judges=judges)
        run_control(settings, tools, tmp_path)
        assert len(model.heard) == 20 and color in model.heard[0]


def test_words_are_not_known_of_a_users_own_targets() -> None:
    with pytest.raises(BadInput, match="words needs studio targets"):
        gather_inputs(fake_control_tools(FakeModel()), _settings(conditions=("words",)), [], [], [], [])


def test_cross_talk_of_independent_dials(done: tuple[Path, dict[str, Any]]) -> None:
    matrix = done[1]["cross_talk"]["dials"]
    assert list(matrix) == [
        "landmark pose", "landmark expression", "identity", "emotion", "expression picture", "prompt's background",
        NOISE,
    ]  # fmt: skip
    assert matrix["identity"]["identity"]["value"] > 0.2
    assert matrix["identity"]["valence"]["value"] == 0
    assert matrix["emotion"]["valence"]["value"] > 0.2
    assert matrix["emotion"]["identity"]["value"] == pytest.approx(0, abs=1e-5)
    assert all(one["value"] == pytest.approx(0, abs=1e-5) for one in matrix[NOISE].values())


def test_the_report_is_json_and_markdown(done: tuple[Path, dict[str, Any]]) -> None:
    assert json.loads(json.dumps(done[1], allow_nan=False)) == done[1]
    text = markdown(done[1])
    for words in ("5 held-out studio people x 4 targets", "| judge.valence |", "right person first", "| emotion |"):
        assert words in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(len(line) < 400 for line in rows)


def test_the_same_run_draws_nothing_again_and_others_draw_elsewhere(done: tuple[Path, dict[str, Any]]) -> None:
    folder, report = done
    model = FakeModel()
    again = _run(folder, model, cross_talk_people=0)
    assert model.calls == []
    assert again["control"] == report["control"]
    assert again["identity"] == report["identity"]
    for copy in folder.glob("*/0002-001*.png"):  # drawn and exact; of the second batch of eight
        copy.unlink()
    _run(folder, model, cross_talk_people=0, look_alikes=0)
    assert model.calls == [8]
    _run(folder, model, cross_talk_people=0, look_alikes=0, steps=3)
    assert model.calls == [8, 8, 8, 4]


def test_only_what_a_changed_renderer_draws_otherwise_is_drawn_anew(tmp_path: Path) -> None:
    settings = _settings(batch=4, cross_talk_people=0, look_alikes=0)

    def calls(seed: int, **changes: Any) -> list[int]:
        model = FakeModel()
        tools = replace(fake_control_tools(model), renderer=Repainted(seed))
        run_control(replace(settings, **changes), tools, tmp_path)
        return model.calls

    def files(name: str) -> int:
        return len(list(tmp_path.glob(f"*/{name}*.png")))  # drawn, and as many exact renders

    assert calls(0, people=3) == [4] * 3 and calls(0) == [4] * 2, "a bigger run goes on from a smaller one"
    assert calls(900_002) == [4]
    assert files("0002-") == 16 and files("0001-") == files("0003-") == 8
    assert calls(950_001) == [4] * 5
    assert files("0001-001") == 4 and files("0001-002") == 2
    assert calls(0) == calls(900_002) == []


def test_cross_talk_is_drawn_anew_for_other_people_and_donors(tmp_path: Path) -> None:
    def calls(seed: int) -> list[int]:
        model = FakeModel()
        tools = replace(fake_control_tools(model), renderer=Repainted(seed))
        cross_talk(_settings(batch=1), tools, tmp_path)
        return model.calls

    assert len(calls(0)) == 24 and calls(0) == []
    assert len(calls(950_001)) == 8, "one of three people takes another's expression, in each of eight pictures"
    assert len(calls(900_002)) == 16, "who lends the next one an identity besides"


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path, FakeModel(interrupted_at=2), cross_talk_people=0, look_alikes=0)
    rest = FakeModel()
    _run(tmp_path, rest, cross_talk_people=0, look_alikes=0)
    assert rest.calls == [4]


def test_conditions_can_be_left_out(tmp_path: Path) -> None:
    report = _run(
        tmp_path, FakeModel(), conditions=("identity",), cross_talk_people=2, pairs_per_person=2, look_alikes=0
    )
    assert report["conditions"] == ["identity"]
    assert report["pairs"] == 10
    assert abs(report["control"]["judge.valence"]["transfer"]["value"]) < 0.9
    assert list(report["cross_talk"]["dials"]) == ["identity", "prompt's background", NOISE]


def test_bones_of_the_identity_in_the_landmarks(tmp_path: Path) -> None:
    report = _run(tmp_path, FakeModel(), people=2, targets=2, retarget=True, look_alikes=0, cross_talk_people=0)
    assert report["settings"]["retarget"]
    assert "look_alikes" not in report["identity"]
    assert "cross_talk" not in report


sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts import from beside themselves


def _command() -> Any:
    file = Path(__file__).resolve().parents[2] / "benchmarks" / "control.py"
    spec = spec_from_file_location("benchmark_control", file)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_writes_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = _command()
    app = typer.Typer()
    app.command()(module.main)
    monkeypatch.setattr(module, "load_tools", lambda model, kit: fake_control_tools(FakeModel()))
    small = [
        "--people",
        "2",
        "--targets",
        "2",
        "--steps",
        "1",
        "--look-alikes",
        "0",
        "--cross-talk-people",
        "0",
        "--draws",
        "5",
    ]
    where = ["-o", str(tmp_path / "control.json"), "--pictures", str(tmp_path / "pictures")]
    told = CliRunner().invoke(app, [*small, *where, "--scales", "landmarks=1.5"])
    assert told.exit_code == 0, told.output
    assert json.loads((tmp_path / "control.json").read_text())["settings"]["scales"] == {"landmarks": 1.5}
    assert "| judge.valence |" in (tmp_path / "control.md").read_text()
    wrong = CliRunner().invoke(app, [*small, *where, "--conditions", "mood"])
    assert wrong.exit_code == 2
    assert "mood" in wrong.output
