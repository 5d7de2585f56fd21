from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from mien.evaluation.control import people
from mien.evaluation.control.people import choose_people
from mien.evaluation.protocols import fairness
from tests.evaluation.fake_control import everybody
from tests.evaluation.test_weights_protocols import with_autoencoder

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))


def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    import weights  # type: ignore[import-not-found]

    with monkeypatch.context() as patch:
        patch.setattr(people, "sample_person", everybody)
        chosen = choose_people(2, range(48))
    monkeypatch.setattr(fairness, "choose_people", lambda least, seeds: chosen)
    monkeypatch.setattr(
        weights, "load_models", lambda specs, settings, kit, outside: {"embedded": (settings, with_autoencoder(0.5))}
    )
    app = typer.Typer()
    app.command()(weights.main)
    return app


def test_all_protocols_in_one_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = script(monkeypatch)
    words = ["--small", "--steps", "1", "--draws", "5", "-o", str(tmp_path / "results")]
    places = ["--pictures", str(tmp_path / "pictures"), "--reports", str(tmp_path / "pages")]
    told = CliRunner().invoke(app, [*words, *places])
    assert told.exit_code == 0, told.output
    found = {file.stem: json.loads(file.read_text()) for file in (tmp_path / "results").glob("*.json")}
    assert set(found) == {"control", "fairness", "text_only", "distribution", "autoencoder"}
    assert found["control"]["settings"]["people"] == 3 and found["fairness"]["people_a_group"] == 2
    assert found["control"]["conditions"] == ["identity", "landmarks", "emotion"]
    assert found["text_only"]["pairs"] == 12 and "text: 12 pictures" in told.output
    assert {page.parent.name for page in (tmp_path / "pages").glob("*/index.html")} == set(found) - {
        "control", "text_only"
    } | {"text"}  # fmt: skip


def test_the_report_is_there_before_its_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import weights  # type: ignore[import-not-found]

    app = script(monkeypatch)
    monkeypatch.setattr(weights, "run_control", lambda *arguments: {"pairs": 4})
    told = CliRunner().invoke(app, ["--small", "--only", "control", "-o", str(tmp_path)])
    assert isinstance(told.exception, KeyError), "this report has nothing to make tables of"
    assert json.loads((tmp_path / "control.json").read_text())["pairs"] == 4


@pytest.mark.parametrize(
    ("words", "said"), [(["--only", "beauty"], "not beauty"), (["--small"], "give -o FOLDER"), (["--model", "x"], "x")]
)
def test_refuses_in_one_sentence(words: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = CliRunner().invoke(script(monkeypatch), words)
    assert told.exit_code == 2 and said in told.output
