"""What a run keeps, checks and says of itself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from mien.data.corpus import Corpus
from mien.errors import ConfigError, MissingDependency
from mien.training.config import TrainConfig
from mien.training.loader import Loader, usual_workers
from mien.training.loop import fit
from mien.training.measured import score_of
from mien.training.objective import Logs
from mien.training.precision import frozen_layers, hold_frozen
from mien.training.state import BEST, FILE, PREVIOUS, counters_of, previous_name
from mien.training.together import LostProcess, named_timeouts
from mien.training.tracking import RunningMeans, chosen_trackers
from tests.training.test_loop import Line, config


def changed(told: TrainConfig | None = None, **settings: Any) -> TrainConfig:
    return (told or config()).model_copy(update=settings)


def corpus(digest: str = "a") -> Any:
    return SimpleNamespace(digest=digest, held_out=None, on_device=True)


@pytest.mark.parametrize(
    ("settings", "data", "said"),
    [
        ({"global_batch": 20}, "a", "begun with global_batch 10, not 20"),
        ({"seed": 1}, "a", "begun with seed 0, not 1"),
        ({}, "b", "begun with other data"),
    ],
)
def test_a_run_is_continued_as_it_was_begun(tmp_path: Path, settings: dict[str, Any], data: str, said: str) -> None:
    fit(config(100), Line(), corpus(), tmp_path)
    with pytest.raises(ConfigError, match=said) as error:
        fit(changed(config(200), **settings), Line(), corpus(data), tmp_path)
    name = next(iter(settings), "data")
    assert f'may_change=["{name}"]' in str(error.value)
    allowed = changed(config(200), may_change=(name,), **settings)
    assert fit(allowed, Line(), corpus(data), tmp_path)["finished"]
    now = changed(allowed, pictures=300, may_change=())
    assert fit(now, Line(), corpus(data), tmp_path)["finished"]


def test_as_many_checkpoints_are_kept_as_asked_for(tmp_path: Path) -> None:
    fit(changed(config(100), checkpoint_minutes=0.0, checkpoints=4), Line(), None, tmp_path)  # type: ignore[arg-type]
    names = [FILE, PREVIOUS, previous_name(2), previous_name(3)]
    assert names[2] == "checkpoint.previous-2.safetensors"
    assert sorted(path.name for path in tmp_path.glob("checkpoint*")) == sorted(names)
    weights = [load_file(tmp_path / name)["model/layer.weight"].item() for name in names]
    assert weights[0] == weights[1] and len(set(weights)) == 3  # the last one is saved again at the end


class Judged(Line):
    """Whose validation error is lowest in the middle."""

    errors: Any = iter(())

    def gaps(self, corpus: Any) -> Logs:
        return {"right_900": next(self.errors), "gap": 0.5}


def test_the_best_checkpoint_stays(tmp_path: Path) -> None:
    model, held_out = Judged(), corpus()
    held_out.held_out = corpus()
    model.errors = iter([9.0, 3.0, 1.0, 2.0, 5.0])
    fit(changed(config(100), validate_every=3), model, held_out, tmp_path)
    told = counters_of(tmp_path)
    assert told is not None and told["best"] == {"seen": 60, "score": 1.0}
    assert [one["seen"] for one in told["gaps"]] == [0, 30, 60, 90]
    best = load_file(tmp_path / BEST)
    assert best["optimizer/layer.weight/step"] == 6
    assert score_of({"right_900": 1.0, "right_600": 3.0, "gap": 9.0}) == 2.0 and score_of({"psnr": 1.0}) is None


def test_the_export_is_there_before_the_validation(tmp_path: Path) -> None:
    class Hungry(Line):
        def validate(self, corpus: Any) -> Logs:
            raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        fit(config(100), Hungry(), None, tmp_path)  # type: ignore[arg-type]
    assert (tmp_path / "export").is_dir()
    assert fit(config(100), Line(), None, tmp_path)["finished"]  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [1, 2])
def test_who_makes_the_batches_changes_nothing(tmp_path: Path, workers: int) -> None:
    torch.manual_seed(0)
    start = Line().state_dict()
    for name, count in (("none", 0), ("some", workers)):
        model = Line()
        model.load_state_dict(start)
        told = changed(config(100), workers=count)
        fit(changed(told, pictures=50), model, None, tmp_path / name)  # type: ignore[arg-type]
        fit(told, model, None, tmp_path / name)  # type: ignore[arg-type] # continued in the middle
    one, two = (load_file(tmp_path / name / FILE) for name in ("none", "some"))
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize(("side", "kind", "count"), [(512, "cuda", 2), (128, "cuda", 0), (512, "cpu", 0)])
def test_processes_make_batches_of_large_pictures_beside_a_gpu(side: int, kind: str, count: int) -> None:
    pictures = Corpus(Path(), {"images": np.zeros((1, side, side, 3), np.uint8)}, [""], {})
    Loader(config(100), Line(), pictures, 0, 1, torch.device(kind))
    assert usual_workers(pictures, torch.device(kind)) == count and pictures.on_device == (count == 0)


def test_the_logged_loss_goes_on_over_sittings(tmp_path: Path) -> None:
    torch.manual_seed(0)
    start = Line().state_dict()
    lines = []
    for name, stops in (("whole", [100]), ("parts", [40, 100])):
        model = Line()
        model.load_state_dict(start)
        for pictures in stops:
            told = changed(config(100), pictures=pictures, lr_decay_fraction=0.0)
            fit(told, model, None, tmp_path / name)  # type: ignore[arg-type]
        logged = [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        lines.append({line["seen"]: line["loss"] for line in logged if "loss" in line})
        assert all({"grad_norm", "images_per_second", "memory_mb"} <= line.keys() for line in logged if "lr" in line)
    assert lines[0] == lines[1] and len(lines[0]) == 10


def test_running_means_are_the_same_after_a_checkpoint() -> None:
    values = torch.rand(30, generator=torch.Generator().manual_seed(0))
    whole, parts = RunningMeans({}), RunningMeans({})
    for number, value in enumerate(values):
        whole.add({"loss": value, "plain": float(value)})
        parts.add({"loss": value, "plain": float(value)})
        if number == 11:
            parts = RunningMeans(json.loads(json.dumps(parts.exact())))
    assert whole.exact() == parts.exact()


def test_trackers_are_installed_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.training import tracking

    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    assert chosen_trackers(config()) == []
    with pytest.raises(MissingDependency, match="pip install wandb"):
        chosen_trackers(changed(trackers=("wandb",)))


def test_tensorboard_has_the_numbers(tmp_path: Path) -> None:
    accumulator: Any = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    fit(config(100), Line(), None, tmp_path)  # type: ignore[arg-type]
    (folder,) = {path.parent for path in tmp_path.rglob("*tfevents*")}
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    assert {"loss", "lr", "grad_norm", "images_per_second", "memory_mb"} <= set(events.Tags()["scalars"])
    assert [one.step for one in events.Scalars("loss")] == list(range(1, 11))


def test_a_tracker_that_fails_does_not_stop_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    from accelerate.tracking import TensorBoardTracker

    def fails(*_: Any, **__: Any) -> None:
        raise OSError("no space left on the device")

    monkeypatch.setattr(TensorBoardTracker, "log", fails)
    assert fit(config(50), Line(), None, tmp_path)["finished"]  # type: ignore[arg-type]


def test_a_lost_process_is_named() -> None:
    two: Any = SimpleNamespace(num_processes=2, process_index=1)
    said = r"Process 1 of 2 .* within 3 minutes \(timeout_minutes\)"
    with pytest.raises(LostProcess, match=said), named_timeouts(two, 3):
        raise RuntimeError("[gloo] Timed out waiting 180000ms for recv operation to complete")
    watchdog = (
        "[Rank 1] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=7, OpType=ALLREDUCE) ran for 180001"
    )
    for nccl in (watchdog, "NCCL communicator was aborted on rank 1.", "ncclRemoteError: a call failed: remote error"):
        with pytest.raises(LostProcess, match=said), named_timeouts(two, 3):
            raise torch.distributed.DistBackendError(nccl)
    with pytest.raises(RuntimeError, match="shapes"), named_timeouts(two, 3):
        raise RuntimeError("shapes do not match")


def test_nccl_is_told_to_raise_unless_somebody_said_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCH_NCCL_BLOCKING_WAIT", raising=False)
    fit(config(50), Line(), None, tmp_path / "a")  # type: ignore[arg-type]
    assert os.environ["TORCH_NCCL_BLOCKING_WAIT"] == "1"
    monkeypatch.setenv("TORCH_NCCL_BLOCKING_WAIT", "0")
    fit(config(50), Line(), None, tmp_path / "b")  # type: ignore[arg-type]
    assert os.environ["TORCH_NCCL_BLOCKING_WAIT"] == "0"


class Adapted(Line):
    """A frozen network with a trained layer in front."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.LayerNorm(4)).requires_grad_(False)
        beside: Any = torch.nn.Linear(4, 4).requires_grad_(False)
        self.base = SimpleNamespace(text_encoder=beside, scale=1.0)

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        return self.base.text_encoder(self.frozen(self.layer(batch["x"]))).float().pow(2).mean(), {}


def test_frozen_layers_are_held_in_the_compute_type_and_give_what_they_gave() -> None:
    model = Adapted()
    layers = frozen_layers(model)
    assert layers == [model.frozen[0], model.base.text_encoder]
    batch = {"x": torch.from_numpy(np.random.default_rng(0).normal(size=(8, 1))).float()}
    with torch.autocast("cpu", torch.bfloat16):
        before, _ = model(batch, torch.Generator())
        saved = hold_frozen(model, torch.bfloat16)
        after, _ = model(batch, torch.Generator())
    assert saved == 2 * (8 + 20) and torch.equal(before, after)  # the same bits went into the same products
    assert model.layer.weight.dtype == torch.float32 and model.frozen[1].weight.dtype == torch.float32
