"""The other benches, and what the command line makes of their reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from mien.bench import reading, startup, training
from mien.bench.machine import describe, limits
from mien.cli.bench import app
from mien.errors import MienError


def test_starts_are_timed_by_the_clock_in_processes_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    starts = {"python": ("-c", "pass"), "mien --help": ("-c", "import time; time.sleep(0.3)")}
    monkeypatch.setattr(startup, "STARTS", starts)
    done = CliRunner().invoke(app, ["startup", "--rounds", "1", "--json", str(tmp_path / "report.json")])
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["sides"]["mien --help"]["seconds"]["minimum"] > 0.3
    (only,) = report["pairs"]
    assert (only["of"], only["to"]) == ("mien --help", "python") and only["ratio"]["median"] > 1
    assert "mien --help / python" in done.output
    made_by = report["made_by"]
    assert made_by["command"].startswith("mien") and made_by["shipped"] and made_by["machine"] and made_by["date"]


def test_a_start_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "STARTS", {"broken": ("-c", "raise SystemExit('no such thing')")})
    with pytest.raises(MienError, match="failed \\(no such thing\\)"):
        startup.bench_startup(1)


class FakeSide:
    """A step that does nothing, with a memory."""

    def __init__(self, megabytes: float) -> None:
        self._megabytes = megabytes

    def step(self) -> None:
        torch.ones(64, 64).square_()

    def megabytes(self) -> float:
        return self._megabytes


def test_training_steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(training.Corpus, "load", lambda *_: None)
    made: Any = {"a_against_b": ("a step", "b step", lambda _: (FakeSide(3.0), FakeSide(2.0)))}
    monkeypatch.setattr(training, "PARTS", made)
    report = training.bench_training(tmp_path, 3)
    part = report["parts"]["a_against_b"]
    assert (part["of"], part["to"], part["ratio"]["rounds"]) == ("a step", "b step", 3)
    assert [part["sides"][name]["megabytes"] for name in ("a step", "b step")] == [3.0, 2.0]


def test_megabytes_count_what_the_backward_pass_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    class Objective(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(512, 512))

        def forward(self, batch: dict[str, torch.Tensor], _: torch.Generator) -> Any:
            return (batch["x"] @ self.weight).float().square().mean(), {}

        def trained(self) -> dict[str, torch.Tensor]:
            return {"weight": self.weight}

    side = training.Side.__new__(training.Side)
    side.objective = Objective()  # type: ignore[assignment]
    side.batch = {"x": torch.ones(256, 512)}
    side.optimizer = torch.optim.AdamW(side.objective.parameters(), lr=0.0)
    found = side.megabytes()
    assert 3.0 < found < 6.0  # three times a weight of one megabyte, and the rows
    side.step()


def test_reading_the_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    report = reading.bench_reading(1)
    assert {"studio", "identity", "expression crop", "landmark picture"} <= report["sides"].keys()
    assert report["pictures"] == 12 and all(one["ratio"]["median"] > 0 for one in report["pairs"])


def test_the_machine_is_described() -> None:
    found = describe("cpu", "float32")
    assert (
        found["cores"] >= 1 and found["threads"] >= 1 and torch.__version__.startswith(found["torch"].partition("+")[0])
    )
    assert found["processor"]
    assert all(value > 0 for value in limits("cpu", torch.float32).values())
