"""The section on what is asked of the weights, from reports of small runs."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mien.core.io import read_json, write_json
from mien.evaluation.control import people
from mien.evaluation.control.people import choose_people
from mien.evaluation.control.run import run_control
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.protocols import EvaluationRun, fairness, protocol_named
from tests.evaluation.fake_control import FakeModel, everybody, fake_control_tools
from tests.evaluation.test_weights_protocols import tools, with_autoencoder

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "benchmarks"))  # the scripts import from beside themselves
SETTINGS = ControlSettings(people=3, targets=3, steps=2, batch=8, look_alikes=1, draws=20, cross_talk_people=0)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "results"
    write_json(folder / "control.json", run_control(SETTINGS, fake_control_tools(FakeModel()), tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(people, "sample_person", everybody)
        chosen = choose_people(2, range(48))
    monkeypatch.setattr(fairness, "choose_people", lambda least, seeds: chosen)
    for protocol, model, name in (
        ("fairness", tools(FakeModel()), "fairness"),
        ("distribution", tools(FakeModel()), "distribution"),
        ("autoencoder", with_autoencoder(0.5), "autoencoder"),
    ):
        settings = replace(SETTINGS, conditions=protocol_named(protocol).conditions)
        report, _ = protocol_named(protocol).run(EvaluationRun(settings, {"embedded": (settings, model)}, tmp_path))
        write_json(folder / f"{name}.json", report)
    return folder


def section(folder: Path) -> list[str]:
    from docs_weights import section as of  # type: ignore[import-not-found]

    return of(folder)


def test_every_bound_is_told_and_what_is_missing_too(results: Path) -> None:
    text = "\n\n".join(section(results))
    for words in ("face found (fake) | 1.000", "emotion class right",
                  "right person before look-alikes", "worst group by skin", "autoencoder's PSNR, dB", "at least 33",
                  "| Group | people |", "## Pictures as a set", "kid.studio",
                  "no `headline.json`, `text_only.json`"):  # fmt: skip
        assert words in text, words
    assert "--speed" not in text and "transfer of" not in text
    fast = read_json(results / "distribution.json")
    fast["models"]["embedded"]["made_with"]["settings"]["speed"] = "fast"
    write_json(results / "distribution.json", fast)
    assert "Drawn with `--speed fast`." in "".join(section(results))
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ") for line in text.splitlines() if " asked" not in line}
    assert rows["autoencoder's PSNR, dB"][3] == "does not hold"
    assert rows["face found (fake)"][3] == "holds"
    assert all(line.count("|") > 3 for line in text.splitlines() if line.startswith("|"))


def test_a_bound_may_be_reached_from_above_or_below() -> None:
    from docs_weights import Bound  # type: ignore[import-not-found]

    def of(value: float | None, least: bool) -> Any:
        return Bound("what", {"value": value, "low": None, "high": None}, 0.8, least)

    assert of(0.8, True).holds and not of(0.79, True).holds
    assert of(0.8, False).holds and not of(0.81, False).holds
    assert not of(None, True).holds and not of(None, False).holds and not Bound("what", None, 1, True).holds
    assert of(0.5, True).row() == ["what", "0.500", "at least 0.8", "does not hold", ""]


def test_nearness_is_asked_unless_a_dummy_is_better_on_it() -> None:
    from docs_weights import headline_bounds  # type: ignore[import-not-found]

    from tests.test_docs_headline import made_up

    found = {bound.what: bound.row() for bound in headline_bounds(made_up(refused={"nearness.pose": ["mean-face"]}))}
    assert set(found) == {"`nearness.expression`", "`nearness.pose`"}  # the others were not measured
    assert found["`nearness.expression`"][1:4] == ["0.300 (0.250 to 0.350)", "at least 0.8", "does not hold"]
    assert "copy-template 0.2" in found["`nearness.expression`"][4]
    assert found["`nearness.pose`"][3] == "refused" and "mean-face better" in found["`nearness.pose`"][4]


def test_the_text_report_has_its_bounds() -> None:
    from docs_weights import text_bounds  # type: ignore[import-not-found]

    one = {"value": 0.95, "low": 0.9, "high": 1.0, "floor": 0.1, "ceiling": 0.97}
    names = ("hair_color", "glasses", "beard", "background")
    metrics = {prefix + name: one for name in names for prefix in ("", "of_oracle.")}
    found = list(text_bounds({"models": {"embedded": {"metrics": metrics}}}))
    assert len(found) == 4 and all(bound.holds for bound in found)
    assert "exact render 0.97, chance 0.1" in found[0].beside
