"""The one training loop.

Top to bottom: objective -> optimizer -> continue -> loop(batch, step, average, log, checkpoint) -> export.
The same command continues a run; ``minutes`` bounds one sitting. Ctrl-C (or SIGTERM) is heeded after the step, and
saves before it leaves; a second one leaves at once, and what came after the last checkpoint is lost.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn

from mien.core.distributed import gather_objects
from mien.core.io import make_folder, read_json, remove_temporaries, write_json
from mien.core.log import append_line, only_process
from mien.core.progress import Bar, silent
from mien.training.config import TrainConfig, learning_rate
from mien.training.proof import TRAINED, WeightChange, evaluating, full_rate_steps, gaps_of, is_due, proof
from mien.training.publish import entry_of
from mien.training.state import EXPORTED, FILE, PowerEMA, load_state, save_state

if TYPE_CHECKING:
    from mien.data.corpus import Corpus
    from mien.training.objective import Objective

log = logging.getLogger(__name__)
LOCK = ".lock"


class LoopAction(IntEnum):
    """What a process wants before a step; all do what the largest says, since a step adds up all their gradients."""

    CONTINUE, PAUSE, STOP = range(3)


def fit(
    config: TrainConfig,
    objective: Objective,
    corpus: Corpus,
    folder: Path,
    *,
    start_from: Path | None = None,
    minutes: float | None = None,
    bar: Bar = silent,
) -> dict[str, Any]:
    """Train ``objective`` for ``config.pictures`` pictures, or until ``minutes`` of this sitting have passed.

    Args:
        config: the preset.
        objective: what to train; moved to the accelerator's device.
        corpus: training data.
        folder: run folder: ``checkpoint.safetensors``, ``log.jsonl``, ``config.json``, ``export/``, ``exported.json``,
            ``trained.json`` (:func:`mien.training.proof.proof`).
        start_from: model folder whose weights a new run begins with; a run that has a checkpoint continues from that.
        minutes: wall-clock limit of this call; the run can be continued later.
        bar: makes a progress bar of (total, label).

    Returns:
        {"seen": pictures, "finished": bool, "logs": last logged values}.

    Raises:
        KeyboardInterrupt: after Ctrl-C or SIGTERM, see :func:`interruptible`.
        MienError: if another process trains in the folder, or it cannot be written.
    """
    AcceleratorState._reset_state()  # the precision is this run's, not that of an earlier run in the same process
    accelerator = Accelerator(mixed_precision=precision(config), cpu=not torch.cuda.is_available())
    make_folder(folder)
    is_main = accelerator.is_main_process
    with only_process(folder / LOCK, f"the run in {folder}") if is_main else nullcontext():
        if is_main:
            remove_temporaries(folder)
        return _fit(accelerator, config, objective, corpus, folder, start_from, minutes, bar)


def _fit(
    accelerator: Accelerator,
    config: TrainConfig,
    objective: Objective,
    corpus: Corpus,
    folder: Path,
    start_from: Path | None,
    minutes: float | None,
    bar: Bar,
) -> dict[str, Any]:
    """:func:`fit`, alone in its folder."""
    write_json(folder / "config.json", config.model_dump(mode="json"))
    torch.manual_seed(config.seed)
    objective.to(accelerator.device)
    with accelerator.main_process_first():  # what is computed once is then read by the others
        objective.prepare(corpus, folder)
    if start_from is not None and not (folder / FILE).exists():
        objective.start_from(start_from)
        write_json(folder / "started.json", training_history(start_from, config.name))
    parameters, groups = parameter_groups(objective.trained(), objective.learning_rates())
    plain = torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay, fused=True)
    ema = PowerEMA(parameters, config.ema_gamma)
    with accelerator.main_process_first():  # which puts the one before in the place of a damaged checkpoint
        counters = load_state(folder, parameters, ema, plain, objective.extra_state(), objective.former_names)
    change = None
    if accelerator.is_main_process:
        change = WeightChange(folder, parameters, fresh=counters is None)
    counters = counters or {"seen": 0, "step": 0, "seconds": 0.0}
    size = config.batch * accelerator.num_processes
    counters.setdefault("gaps", [])
    if "full_rate_steps" not in counters:  # of a run of 0.1.0
        counters["full_rate_steps"] = full_rate_steps(config, counters["step"], size)
    (folder / EXPORTED).unlink(missing_ok=True)
    module = accelerator.prepare_model(objective)  # one process: the objective itself; several: wrapped for DDP
    optimizer = accelerator.prepare_optimizer(plain)
    start, last_save, running = time.monotonic(), time.monotonic(), {}
    before, rank = counters["seconds"], accelerator.process_index

    def seconds() -> float:
        return before + time.monotonic() - start

    def wish() -> LoopAction:
        if interrupt.is_set():
            return LoopAction.STOP
        return (
            LoopAction.PAUSE if minutes is not None and time.monotonic() - start > minutes * 60 else LoopAction.CONTINUE
        )

    def checkpoint() -> None:
        counters["seconds"] = seconds()
        if accelerator.is_main_process:
            save_state(folder, parameters, ema, plain, counters, objective.extra_state())

    def note(spent: float, values: dict[str, Any]) -> None:
        if accelerator.is_main_process:
            append_line(folder / "log.jsonl", {"seen": counters["seen"], "seconds": round(spent, 1), **values})

    def measure_gaps() -> None:
        """Before the first step and now and then; the main process alone, while the others wait for its next step."""
        if not accelerator.is_main_process or corpus is None or corpus.held_out is None:
            return
        if not is_due(config, counters["seen"], counters["gaps"]):
            return
        ema.swap(parameters)
        with evaluating(objective):
            found = objective.gaps(corpus)
        ema.swap(parameters)
        counters["gaps"].append({"seen": counters["seen"], **gaps_of(found)})
        if found:
            note(seconds(), {"gaps": _rounded(found)})

    shown = bar if accelerator.is_main_process else silent
    with interruptible() as interrupt, shown(config.pictures, config.name) as advance:
        advance(counters["seen"])
        reported = counters["seen"]
        while (leave := max(gather_objects(wish()))) is LoopAction.CONTINUE and counters["seen"] < config.pictures:
            measure_gaps()
            rate = learning_rate(config, counters["seen"])
            for group in optimizer.param_groups:
                group["lr"] = group["factor"] * rate
            rng = np.random.default_rng([config.seed, counters["step"], rank])
            generator = torch.Generator(accelerator.device).manual_seed(int(rng.integers(2**62)))
            objective.progress = counters["seen"] / config.pictures
            batch = {k: v.to(accelerator.device) for k, v in objective.batch(corpus, rng, config.batch).items()}
            with accelerator.autocast():
                loss, logs = module(batch, generator)
            accelerator.backward(loss)
            torch.nn.utils.clip_grad_norm_(parameters.values(), config.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            ema.update(parameters)
            counters["step"] += 1
            counters["seen"] += size
            counters["full_rate_steps"] += rate / config.lr
            for key, value in {"loss": loss.detach(), **logs}.items():
                running[key] = value if key not in running else 0.98 * running[key] + 0.02 * value
            if counters["step"] % config.log_every == 0:
                values = _rounded(running)
                said = {"lr": rate, "full_rate_steps": round(counters["full_rate_steps"], 2)}
                note(seconds(), values | said | (change() if change is not None else {}))
                advance(counters["seen"] - reported, f"loss {values['loss']:.4f}")
                reported = counters["seen"]
            if time.monotonic() - last_save > config.checkpoint_minutes * 60:
                checkpoint()
                last_save = time.monotonic()
        checkpoint()
        if leave is LoopAction.STOP:
            accelerator.wait_for_everyone()  # a process that is gone would have the one that saves killed
            raise KeyboardInterrupt
    values = _rounded(running)
    if accelerator.is_main_process:
        ema.swap(parameters)
        objective.eval()
        with torch.no_grad():
            values |= objective.validate(corpus)
            objective.export(folder / "export")
        note(counters["seconds"], {"validation": values, "device": accelerator.device.type})
        last = {"seen": counters["seen"], **gaps_of(values)}
        assert change is not None
        write_json(folder / TRAINED, proof(config, counters | {"gaps": [*counters["gaps"], last]}, change()))
        write_json(folder / EXPORTED, {"pictures": counters["seen"]})
        ema.swap(parameters)
    accelerator.wait_for_everyone()  # the next stage reads the export
    return {"seen": counters["seen"], "finished": counters["seen"] >= config.pictures, "logs": values}


def parameter_groups(
    parameters: dict[str, nn.Parameter], factors: dict[str, float]
) -> tuple[dict[str, nn.Parameter], list[dict[str, Any]]]:
    """Parameters in the order in which the optimizer numbers them, and its groups, one a rate.

    Few groups: an optimizer takes each by itself, and hundreds make a GPU wait.

    Args:
        parameters: by name.
        factors: on the learning rate, by prefix of the names; 1 for the rest.
    """
    groups: dict[float, dict[str, nn.Parameter]] = {}
    for name, parameter in parameters.items():
        factor = next((factor for prefix, factor in factors.items() if name.startswith(prefix)), 1.0)
        groups.setdefault(factor, {})[name] = parameter
    ordered = {name: parameter for group in groups.values() for name, parameter in group.items()}
    return ordered, [{"params": [*group.values()], "factor": factor} for factor, group in groups.items()]


def training_history(folder: Path, name: str) -> dict[str, Any]:
    """How much training weights have had in the stage ``name``.

    Args:
        folder: a published model with its ledger, or the export of a run.
        name: of the stage.

    Returns:
        ``earlier_pictures``, None where nobody knows; ``gpu``, where one trained some of it, as in :func:`entry_of`.
    """
    ledger = read_json(folder / "training.json") if (folder / "training.json").exists() else {}
    if folder.name == "export" and folder.parent.name == name:
        ledger = {name: entry_of(folder.parent)}
    if name not in ledger:
        return {"earlier_pictures": None}
    one = ledger[name]
    seen = {"earlier_pictures": one["pictures"] + (one.get("earlier_pictures") or 0)}
    return seen | ({"gpu": one["gpu"]} if "gpu" in one else {})


def precision(config: TrainConfig) -> str:
    """The run's precision; float32 on a processor without bfloat16 instructions, where bf16 is many times slower."""
    slow = not torch.cuda.is_available() and not torch.cpu._is_avx512_bf16_supported()
    return "no" if slow else config.precision


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """SIGINT and SIGTERM set the event inside, also where a shell started us with SIGINT ignored.

    Raises:
        KeyboardInterrupt: at the end if one came, at once when there comes a second one.
    """
    came = threading.Event()

    def note(number: int, frame: Any) -> None:
        if came.is_set():
            raise KeyboardInterrupt
        came.set()
        log.warning("Stopping: the run is saved after this step. A second Ctrl-C leaves at once and saves nothing.")

    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield came
        return
    kept = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    if came.is_set():
        raise KeyboardInterrupt


def _rounded(values: dict[str, Any]) -> dict[str, float]:
    return {key: round(float(value), 5) for key, value in values.items()}
