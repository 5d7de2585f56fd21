from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mien.training.guard import SKIPPED, DivergedRun, complaint, keys_of
from mien.training.loop import fit
from mien.training.objective import Logs
from mien.training.parts import ROW
from mien.training.run import is_finished
from mien.training.state import counters_of
from tests.training.test_loop import Line, config


class Broken(Line):
    """Whose loss is wrong in some steps."""

    def __init__(self, wrong: dict[int, float]) -> None:
        super().__init__()
        self.wrong, self.calls = wrong, 0

    def batch(self, corpus: Any, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        return super().batch(corpus, rng, size) | {ROW: torch.from_numpy(rng.integers(0, 3, size))}

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        assert ROW not in batch
        loss, logs = super().forward(batch, generator)
        factor = self.wrong.get(self.calls, 1.0)
        self.calls += 1
        return loss * factor, logs


CORPUS: Any = SimpleNamespace(person=np.array([4, 5, 6]), picture=np.array([0, 1, 2]), digest="", held_out=None)
CORPUS = type("Rows", (SimpleNamespace,), {"__getitem__": lambda self, name: getattr(self, name)})(**vars(CORPUS))


def skipped(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / SKIPPED).read_text().splitlines()]


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_a_step_without_a_number_is_skipped_and_its_pictures_are_written_down(tmp_path: Path, factor: float) -> None:
    model = Broken({5: factor})
    result = fit(config(), model, CORPUS, tmp_path)
    assert result["finished"] and torch.isfinite(model.layer.weight).all() and is_finished(tmp_path, 400)
    (line,) = skipped(tmp_path)
    assert line["step"] == 5 and "loss is" in line["reason"] and len(line["keys"]) == 10
    assert line["keys"] == [("0000004-000", "0000005-001", "0000006-002")[row] for row in line["rows"]]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 41  # 39 made, one logs the means of before


def test_a_skipped_step_changes_nothing(tmp_path: Path) -> None:
    """As if the step had not been: weights before it and after it are equal."""
    seen: list[Tensor] = []

    class Watched(Broken):
        def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
            seen.append(self.layer.weight.detach().clone())
            return super().forward(batch, generator)

    fit(config(100), Watched({5: float("nan")}), None, tmp_path)  # type: ignore[arg-type]
    assert torch.equal(seen[5], seen[6]) and not torch.equal(seen[4], seen[5])


def test_a_run_that_goes_on_failing_stops_and_exports_nothing(tmp_path: Path) -> None:
    model = Broken(dict.fromkeys(range(20, 99), float("nan")))
    with pytest.raises(DivergedRun, match=r"11 of its last 100 steps were skipped.*skipped\.jsonl"):
        fit(config(), model, None, tmp_path)  # type: ignore[arg-type]
    assert len(skipped(tmp_path)) == 11 and not (tmp_path / "export").exists() and not is_finished(tmp_path, 310)
    told = counters_of(tmp_path)
    assert told is not None and told["step"] == 31 and torch.isfinite(model.layer.weight).all()
    assert fit(config(), Line(), None, tmp_path)["finished"]  # type: ignore[arg-type] # the pictures are mended


def test_weights_that_are_no_numbers_are_not_exported(tmp_path: Path) -> None:
    model = Line()
    with torch.no_grad():
        model.layer.bias.fill_(float("nan"))

    with pytest.raises(DivergedRun, match=r"layer\.bias holds values that are not finite"):
        fit(config(100).model_copy(update={"max_skipped": 100}), model, None, tmp_path)  # type: ignore[arg-type]
    assert not (tmp_path / "export").exists()


def test_a_spike_is_a_loss_far_above_the_usual_once_that_is_known() -> None:
    told = config()
    assert complaint(told, 500, 21.0, 1.0, 1.0) == "its loss is 21 times the usual"
    assert complaint(told, 500, 19.0, 1.0, 1.0) is None and complaint(told, 100, 21.0, 1.0, 1.0) is None
    assert complaint(told.model_copy(update={"loss_spike": None}), 500, 1e9, 1.0, 1.0) is None
    assert complaint(told, 500, 1.0, 1.0, float("inf")) == "the norm of its gradient is inf"


def test_keys_need_a_corpus_and_rows() -> None:
    assert keys_of(None, np.array([0])) == [] and keys_of(CORPUS, None) == []
