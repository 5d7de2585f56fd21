from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.multiprocessing as multiprocessing
from safetensors.torch import load_file
from torch import Tensor, nn

from mien.core.io import read_json, write_json
from mien.errors import MienError
from mien.training import loop
from mien.training.config import TrainConfig, learning_rate
from mien.training.loop import fit, parameter_groups, precision, training_history
from mien.training.objective import Logs, Objective
from mien.training.run import is_finished
from mien.training.state import PowerEMA, counters_of, save_state


class Line(Objective):
    """Fits y = 3x - 1; the smallest objective there is."""

    def __init__(self, width: int = 1) -> None:
        super().__init__()
        self.layer = nn.Linear(1, width)

    def batch(self, corpus: Any, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        return {"x": torch.from_numpy(rng.normal(size=(size, 1))).float()}

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        noise = 0.01 * torch.randn(batch["x"].shape, generator=generator)
        return (self.layer(batch["x"]).float() - (3 * batch["x"] - 1 + noise)).pow(2).mean(), {}

    def validate(self, corpus: Any) -> Logs:
        return {"weight": float(self.layer.weight.mean())}

    def export(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)


def config(pictures: int = 400) -> TrainConfig:
    return TrainConfig(
        name="line", objective="none:none", pictures=pictures, global_batch=10, lr=0.1, warmup_images=50,
        weight_decay=0.0, precision="no", log_every=1,
    )  # fmt: skip


def test_it_learns_and_reports(tmp_path: Path) -> None:
    result = fit(config(2000), Line(), None, tmp_path)  # type: ignore[arg-type]
    assert result["finished"] and result["seen"] == 2000
    assert result["logs"]["weight"] == pytest.approx(3.0, abs=0.05)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 201


def test_an_objective_is_told_how_much_of_the_budget_was_seen(tmp_path: Path) -> None:
    told: list[float] = []

    class Told(Line):
        def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
            told.append(self.progress)
            return super().forward(batch, generator)

    fit(config(50), Told(), None, tmp_path)  # type: ignore[arg-type]
    assert told == [0.0, 0.2, 0.4, 0.6, 0.8]


class Picture(Line):
    """A convolution whose weights lie in memory channels last, as those of the stages do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3, padding=1).to(memory_format=torch.channels_last)  # type: ignore[assignment, call-overload]

    def batch(self, corpus: Any, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        return {"x": torch.from_numpy(rng.normal(size=(size, 3, 6, 6))).float()}

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        x = batch["x"].contiguous(memory_format=torch.channels_last)
        return (self.layer(x) - x.mean(1, keepdim=True).roll(1, 2)).pow(2).mean(), {}


def interrupting(
    original: Callable[..., Any], call: int, times: int = 1, by: signal.Signals = signal.SIGINT
) -> Callable[..., Any]:
    """``original``, but this call of it meets as many signals (Ctrl-C's) at its beginning."""
    calls = 0

    def wrapped(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        for _ in range(times if calls == call else 0):
            os.kill(os.getpid(), by)
        return original(*arguments)

    return wrapped


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("place", ["batch", "update"])
@pytest.mark.parametrize("kind", [Line, Picture])
def test_interrupted_and_continued_equals_unbroken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Line], place: str, times: int
) -> None:
    torch.manual_seed(1)
    start = kind().state_dict()
    one, two, three = kind(), kind(), kind()
    for model in (one, two, three):
        model.load_state_dict(start)
    often = config().model_copy(update={"checkpoint_minutes": 0.0})
    fit(often, one, None, tmp_path / "whole")  # type: ignore[arg-type]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        owner: Any = two if place == "batch" else PowerEMA
        patch.setattr(owner, place, interrupting(getattr(owner, place), 14, times))
        fit(often, two, None, tmp_path / "broken")  # type: ignore[arg-type]
    told = counters_of(tmp_path / "broken")
    # the first Ctrl-C is heeded after the step it meets, a second one at once, and then half a step is not saved
    assert told is not None and told["step"] == (14 if times == 1 else 13)
    fit(often, three, None, tmp_path / "broken")  # type: ignore[arg-type]
    whole = load_file(tmp_path / "whole" / "checkpoint.safetensors")
    broken = load_file(tmp_path / "broken" / "checkpoint.safetensors")
    assert whole.keys() == broken.keys()
    for key in whole:
        assert torch.equal(whole[key], broken[key]), key


def test_an_interruption_of_the_last_step_is_heeded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PowerEMA, "update", interrupting(PowerEMA.update, 40))
    with pytest.raises(KeyboardInterrupt):
        fit(config(), Line(), None, tmp_path)  # type: ignore[arg-type]
    told = counters_of(tmp_path)
    assert told is not None and told["seen"] == 400 and not (tmp_path / "export").exists()


def test_a_terminated_run_saves_first(tmp_path: Path) -> None:
    model = Line()
    model.batch = interrupting(model.batch, 7, by=signal.SIGTERM)  # type: ignore[method-assign]
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        fit(config(), model, None, tmp_path)  # type: ignore[arg-type]
    assert (tmp_path / "checkpoint.safetensors").exists()
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_was_trained_is_saved_before_an_interruption_is_heeded(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(loop, "save_state", interrupting(save_state, 1))
    with pytest.raises(KeyboardInterrupt):
        fit(config(), Line(), None, tmp_path)  # type: ignore[arg-type]
    assert (tmp_path / "checkpoint.safetensors").exists() and not (tmp_path / "export").exists()


def test_an_interrupted_export_is_not_the_finished_one(tmp_path: Path) -> None:
    class Exported(Line):
        stopped: str | None = None

        def validate(self, corpus: Any) -> Logs:
            if self.stopped == "validate":
                raise KeyboardInterrupt
            return {}

        def export(self, folder: Path) -> None:
            if self.stopped == "export":
                raise KeyboardInterrupt
            super().export(folder)

    assert not is_finished(tmp_path, 100)
    fit(config(100), Exported(), None, tmp_path)  # type: ignore[arg-type]
    assert is_finished(tmp_path, 100) and not is_finished(tmp_path, 400)
    for place in ("validate", "export"):
        model = Exported()
        model.stopped = place
        with pytest.raises(KeyboardInterrupt):
            fit(config(400), model, None, tmp_path)  # type: ignore[arg-type]
        assert not is_finished(tmp_path, 400)
    fit(config(400), Exported(), None, tmp_path)  # type: ignore[arg-type]
    assert is_finished(tmp_path, 400)
    (tmp_path / "checkpoint.safetensors").unlink()  # moved away, to begin anew
    assert not is_finished(tmp_path, 400)


class Slow(Line):
    """Whose export takes its time."""

    def export(self, folder: Path) -> None:
        time.sleep(0.3)
        super().export(folder)


def _process(rank: int, folder: str) -> None:
    import torch.distributed as dist

    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="localhost")
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2, timeout=timedelta(seconds=30)
    )
    endless, runs = config(10**7), Path(folder)
    torch.manual_seed(0)
    left = fit(endless, Slow(), None, runs / "time", minutes=(0.005, 9.0)[rank])  # type: ignore[arg-type]
    exported = (runs / "time" / "export").is_dir()
    model, interrupted = Line(), False
    if rank == 1:
        model.batch = interrupting(model.batch, 5)  # type: ignore[method-assign]
    try:
        fit(endless, model, None, runs / "stop", minutes=1.0)  # type: ignore[arg-type]
    except KeyboardInterrupt:
        interrupted = True
    write_json(runs / f"{rank}.json", {"seen": left["seen"], "exported": exported, "interrupted": interrupted})
    dist.destroy_process_group()


def test_processes_leave_after_the_same_step(tmp_path: Path) -> None:
    """Each has a clock and signals of its own."""
    multiprocessing.spawn(_process, (str(tmp_path),), nprocs=2)
    one, two = (read_json(tmp_path / f"{rank}.json") for rank in range(2))
    assert one == two and one["exported"] and one["interrupted"] and 0 < one["seen"] < 10**7
    told = counters_of(tmp_path / "stop")
    assert told is not None and told["step"] == 5


def test_another_models_checkpoint_is_refused(tmp_path: Path) -> None:
    fit(config(20), Line(), None, tmp_path)  # type: ignore[arg-type]

    class Other(Line):
        def __init__(self) -> None:
            super().__init__()
            self.more = nn.Linear(1, 1)

    with pytest.raises(MienError, match="another model"):
        fit(config(20), Other(), None, tmp_path)  # type: ignore[arg-type]


def test_minutes_bound_a_sitting(tmp_path: Path) -> None:
    result = fit(config(10**7), Line(), None, tmp_path, minutes=0.005)  # type: ignore[arg-type]
    assert not result["finished"] and 0 < result["seen"] < 10**7


def test_learning_rate_has_three_parts() -> None:
    c = config(1000)
    assert learning_rate(c, 0) == pytest.approx(0.1 * 10 / 50)
    assert learning_rate(c, 300) == pytest.approx(0.1)
    assert learning_rate(c, 800) == pytest.approx(0.05)
    assert learning_rate(c, 1000) == pytest.approx(0.003)


def test_power_ema_forgets_the_start_and_keeps_the_last_tenth() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    ema = PowerEMA({"p": parameter}, power=7.0)
    for step in range(1000):
        parameter.data.fill_(1.0 if step >= 500 else -1.0)
        ema.update({"p": parameter})
    assert ema.average["p"].item() == pytest.approx(1.0, abs=0.02)
    ema.swap({"p": parameter})
    assert parameter.item() == pytest.approx(1.0, abs=0.02) and ema.average["p"].item() == 1.0


class Started(Line):
    """A line that can start from a folder."""

    def start_from(self, folder: Path) -> None:
        torch.nn.init.constant_(self.layer.weight, float((folder / "weight").read_text()))


def test_a_new_run_starts_from_given_weights_and_a_continued_one_does_not(tmp_path: Path) -> None:
    (tmp_path / "weight").write_text("7.5")
    still = config(10).model_copy(update={"lr": 1e-12, "warmup_images": 0})
    first = Started()
    fit(still, first, None, tmp_path / "run", start_from=tmp_path)  # type: ignore[arg-type]
    assert first.layer.weight.item() == pytest.approx(7.5)
    assert read_json(tmp_path / "run" / "started.json") == {"earlier_pictures": None}
    (tmp_path / "weight").write_text("-2")
    more = still.model_copy(update={"pictures": 20})
    second = Started()
    fit(more, second, None, tmp_path / "run", start_from=tmp_path)  # type: ignore[arg-type]
    assert second.layer.weight.item() == pytest.approx(7.5)


def test_the_pictures_of_earlier_runs_are_added_up(tmp_path: Path) -> None:
    write_json(tmp_path / "training.json", {"line": {"pictures": 30, "earlier_pictures": 12}, "other": {"pictures": 5}})
    assert [training_history(tmp_path, name)["earlier_pictures"] for name in ("line", "other", "third")] == [
        42,
        5,
        None,
    ]
    run = tmp_path / "line"
    write_json(run / "started.json", {"earlier_pictures": 42})
    write_json(run / "config.json", {"name": "line"})
    (run / "log.jsonl").write_text('{"seen": 4, "seconds": 1.0}\n{"seen": 8, "seconds": 2.0}\n')
    (run / "export").mkdir()
    assert [training_history(run / "export", name)["earlier_pictures"] for name in ("line", "other")] == [50, None]


def test_what_a_gpu_trained_is_told_apart(tmp_path: Path) -> None:
    run = tmp_path / "line"
    (run / "export").mkdir(parents=True)
    write_json(run / "config.json", {"name": "line"})
    (run / "log.jsonl").write_text('{"seen": 4, "seconds": 1.5, "validation": {}, "device": "cpu"}\n')
    assert training_history(run / "export", "line") == {"earlier_pictures": 4}
    (run / "log.jsonl").write_text('{"seen": 8, "seconds": 2.0, "validation": {}, "device": "cuda"}\n')
    assert training_history(run / "export", "line") == {"earlier_pictures": 8, "gpu": {"pictures": 8, "seconds": 2.0}}
    write_json(run / "started.json", {"earlier_pictures": 42, "gpu": {"pictures": 3, "seconds": 1.0}})
    found = {"earlier_pictures": 50, "gpu": {"pictures": 11, "seconds": 3.0}}
    assert training_history(run / "export", "line") == found
    write_json(tmp_path / "training.json", {"line": {"pictures": 2, **found}})
    assert training_history(tmp_path, "line") == {"earlier_pictures": 52, "gpu": found["gpu"]}


def test_parameters_of_one_rate_are_one_group_and_numbered_as_they_are_taken() -> None:
    values = {name: torch.nn.Parameter(torch.zeros(1)) for name in ("text.a", "unet.b", "text.c", "branch.d")}
    ordered, groups = parameter_groups(values, {"text.": 0.1, "branch.": 3.0})
    assert list(ordered) == ["text.a", "text.c", "unet.b", "branch.d"]
    assert [group["factor"] for group in groups] == [0.1, 1.0, 3.0]
    taken = [parameter for group in groups for parameter in group["params"]]
    assert all(parameter is ordered[name] for parameter, name in zip(taken, ordered, strict=True))


@pytest.mark.parametrize(("able", "expected"), [(True, "bf16"), (False, "no")])
def test_bfloat16_is_used_where_the_processor_has_it(monkeypatch: Any, able: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: able)
    assert precision(config().model_copy(update={"precision": "bf16"})) == expected
    assert precision(config()) == "no"


def test_a_second_run_in_the_folder_is_refused(tmp_path: Path) -> None:
    class Second(Line):
        def batch(self, corpus: Any, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
            with pytest.raises(MienError, match="Another process works on the run in"):
                fit(config(), Line(), None, tmp_path)  # type: ignore[arg-type]
            return super().batch(corpus, rng, size)

    assert fit(config(20), Second(), None, tmp_path)["finished"]  # type: ignore[arg-type]


def test_a_run_in_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MienError, match="Cannot write to"):
        fit(config(), Line(), None, tmp_path / "file" / "run")  # type: ignore[arg-type]
