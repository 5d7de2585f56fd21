from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from mien.core.caches import DIGEST
from mien.errors import MienError
from mien.training import state
from mien.training.state import (
    DAMAGED,
    FILE,
    PREVIOUS,
    PowerEMA,
    counters_of,
    load_state,
    previous_name,
    save_state,
)


def test_a_run_is_continued_on_the_device_of_its_parameters(tmp_path: Path) -> None:
    """``meta`` stands for a GPU, on which a run goes on that began without one."""
    for device in ("cpu", "meta"):
        parameters = {"weight": nn.Parameter(torch.zeros(3, device=device))}
        ema, optimizer = PowerEMA(parameters, 7.0), torch.optim.AdamW(parameters.values())
        if device == "cpu":
            parameters["weight"].grad = torch.ones(3)
            optimizer.step()
            save_state(tmp_path, parameters, ema, optimizer, {"seen": 1})
    assert load_state(tmp_path, parameters, ema, optimizer) is not None
    assert ema.average["weight"].device.type == "meta"
    assert {key: value.device.type for key, value in optimizer.state[parameters["weight"]].items()} == {
        "step": "cpu", "exp_avg": "meta", "exp_avg_sq": "meta",
    }  # fmt: skip
    ema.update(parameters)


def run_of(folder: Path, saves: int, keep: int = 2) -> dict[str, nn.Parameter]:
    """A run saved after each of its steps; the parameters of the last."""
    parameters = {"weight": nn.Parameter(torch.zeros(300))}
    ema, optimizer = PowerEMA(parameters, 7.0), torch.optim.AdamW(parameters.values())
    for seen in range(1, saves + 1):
        parameters["weight"].grad = torch.ones(300)
        optimizer.step()
        save_state(folder, parameters, ema, optimizer, {"seen": seen}, keep=keep)
    return parameters


def load(folder: Path) -> tuple[dict[str, Any] | None, torch.Tensor]:
    parameters = {"weight": nn.Parameter(torch.zeros(300))}
    ema, optimizer = PowerEMA(parameters, 7.0), torch.optim.AdamW(parameters.values())
    return load_state(folder, parameters, ema, optimizer), parameters["weight"]


def damage(path: Path, kind: str) -> None:
    content = bytearray(path.read_bytes())
    if kind == "zeroed tail":  # what a machine that lost its power leaves
        content[-500:] = bytes(500)
    elif kind == "one bit":
        content[-100] ^= 4
    elif kind == "cut":
        del content[len(content) // 2 :]
    elif kind == "empty":
        content.clear()
    elif kind == "header":
        content[:100] = bytes(100)
    elif kind == "other counters":
        content = content.replace(b'\\"seen\\": ', b'\\"seem\\": ')
    assert bytes(content) != path.read_bytes()
    path.write_bytes(content)


@pytest.mark.parametrize("kind", ["zeroed tail", "one bit", "cut", "empty", "header", "other counters"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = run_of(tmp_path / "one", 1)["weight"].detach().clone()
    run_of(tmp_path, 2)
    damage(tmp_path / FILE, kind)
    damaged = (tmp_path / FILE).read_bytes()
    with caplog.at_level(logging.WARNING):
        counters, weight = load(tmp_path)
    assert counters is not None and counters["seen"] == 1 and torch.equal(weight, before)
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / FILE} is damaged (kept as {DAMAGED}): the run goes on from the checkpoint before it."
    ]
    assert (tmp_path / DAMAGED).read_bytes() == damaged
    assert counters_of(tmp_path) == counters
    for name in (FILE, PREVIOUS):
        (tmp_path / name).write_bytes(b"damaged")
    with pytest.raises(MienError, match="so is every one before it"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("passing", "raised"), [(MemoryError(), MemoryError), (PermissionError(13, "Permission denied"), MienError)]
)
def test_a_passing_error_loses_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passing: Exception, raised: type[Exception]
) -> None:
    run_of(tmp_path, 2)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with monkeypatch.context() as patched:
        patched.setattr(state, "safe_open", Mock(side_effect=passing))
        with pytest.raises(raised):
            load(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    counters, _ = load(tmp_path)
    assert counters is not None and counters["seen"] == 2


def test_every_checkpoint_that_is_kept_is_looked_at(tmp_path: Path) -> None:
    run_of(tmp_path, 4, keep=4)
    for name in (FILE, PREVIOUS, previous_name(2)):
        damage(tmp_path / name, "cut")
    counters, _ = load(tmp_path)
    assert counters is not None and counters["seen"] == 1 and counters_of(tmp_path) == counters


def test_a_checkpoint_of_a_release_without_digests_is_gone_on_with(tmp_path: Path) -> None:
    run_of(tmp_path, 1)
    with safe_open(tmp_path / FILE, framework="pt") as stored:
        counters = stored.metadata()["counters"]
    save_file(load_file(tmp_path / FILE), tmp_path / FILE, metadata={"counters": counters})
    counters, _ = load(tmp_path)
    assert counters is not None and counters["seen"] == 1


def test_a_digest_under_a_damaged_name_is_no_release_without_digests(tmp_path: Path) -> None:
    """A soak's mutant: one letter of the name had changed, and with it the weights, which were taken."""
    run_of(tmp_path, 2)
    with safe_open(tmp_path / FILE, framework="pt") as stored:
        about = stored.metadata()
    tensors = {name: torch.zeros_like(value) for name, value in load_file(tmp_path / FILE).items()}
    save_file(tensors, tmp_path / FILE, metadata={"counters": about["counters"], "content-cha256": about[DIGEST]})
    counters, _ = load(tmp_path)
    assert counters is not None and counters["seen"] == 1


def test_a_run_begun_anew_keeps_no_checkpoint_of_the_old_one(tmp_path: Path) -> None:
    run_of(tmp_path, 2)
    assert (tmp_path / PREVIOUS).exists()
    (tmp_path / FILE).unlink()
    assert load(tmp_path)[0] is None and counters_of(tmp_path) is None
    run_of(tmp_path, 1)
    assert not (tmp_path / PREVIOUS).exists()


def test_a_disk_without_links_keeps_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    run_of(tmp_path, 2)
    (tmp_path / PREVIOUS).replace(tmp_path / FILE)
    counters, _ = load(tmp_path)
    assert counters is not None and counters["seen"] == 1
