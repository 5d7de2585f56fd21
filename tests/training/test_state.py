from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from mien.training.state import PowerEMA, load_state, save_state


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
