"""The one training loop.

Top to bottom: objective -> optimizer -> continue -> loop(batch, step, average, log, checkpoint) -> export -> validate.
The same command continues a run; ``minutes`` bounds one sitting. Ctrl-C (or SIGTERM) is heeded after the step, and
saves before it leaves; a second one leaves at once, and what came after the last checkpoint is lost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import ProjectConfiguration
from torch import nn

from mien.core.distributed import gather_objects
from mien.core.io import make_folder, read_json, remove_temporaries, write_json
from mien.core.log import append_line, only_process
from mien.core.progress import Bar, Step, silent
from mien.training.config import TrainConfig, learning_rate
from mien.training.guard import check_finite, check_skipped, complaint, keys_of, note_skipped
from mien.training.interrupts import interruptible
from mien.training.loader import Loader, StepBatch
from mien.training.measured import Measured
from mien.training.origin import check_origin
from mien.training.parts import parts_of
from mien.training.precision import frozen_type, hold_frozen, precision
from mien.training.proof import TRAINED, WeightChange, gaps_of, proof
from mien.training.publish import entry_of
from mien.training.state import EXPORTED, FILE, PowerEMA, load_state, save_state
from mien.training.together import from_main, gathered, group_timeout, named_timeouts, raise_in_time, share_state
from mien.training.tracking import RunningMeans, Trackers, chosen_trackers, memory_mb

if TYPE_CHECKING:
    import numpy as np

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

    Under ``torchrun`` the processes share each step's batch. The main process alone reads and writes the folder, which
    the others need not see.

    Args:
        config: the preset.
        objective: what to train; moved to the accelerator's device.
        corpus: training data.
        folder: run folder: ``checkpoint.safetensors`` (and the ones before it, and the best), ``log.jsonl``,
            ``config.json``, ``export/``, ``exported.json``, ``trained.json`` (:func:`mien.training.proof.proof`),
            ``grid/``, ``skipped.jsonl`` (`mien.training.guard`), ``tensorboard/``.
        start_from: model folder whose weights a new run begins with; a run that has a checkpoint continues from that.
        minutes: wall-clock limit of this call; the run can be continued later.
        bar: makes a progress bar of (total, label).

    Returns:
        {"seen": pictures, "finished": bool, "logs": last logged values}.

    Raises:
        KeyboardInterrupt: after Ctrl-C or SIGTERM, see :func:`interruptible`.
        ConfigError: if the batch does not divide among the processes, or the run was begun with other data, another
            batch, seed or number of processes.
        DivergedRun: if too many steps had to be skipped.
        MienError: if another process trains in the folder, it cannot be written, or a process of the run is lost.
    """
    raise_in_time()
    AcceleratorState._reset_state()  # the precision is this run's, not that of an earlier run in the same process
    accelerator = Accelerator(
        mixed_precision=precision(config), cpu=not torch.cuda.is_available(),
        gradient_accumulation_steps=config.accumulate, log_with=[*chosen_trackers(config)] or None,
        project_config=ProjectConfiguration(str(folder), logging_dir=str(folder / "tensorboard")),
        kwargs_handlers=[group_timeout(config.timeout_minutes)],
    )  # fmt: skip
    is_main = accelerator.is_main_process
    if is_main:
        make_folder(folder)
    with (
        named_timeouts(accelerator, config.timeout_minutes),
        only_process(folder / LOCK, f"the run in {folder}") if is_main else nullcontext(),
    ):
        if is_main:
            remove_temporaries(folder)
        return TrainingRun(accelerator, config, objective, corpus, folder, start_from, bar).train(minutes)


class TrainingRun:
    """:func:`fit`, alone in its folder."""

    def __init__(
        self,
        accelerator: Accelerator,
        config: TrainConfig,
        objective: Objective,
        corpus: Corpus,
        folder: Path,
        start_from: Path | None,
        bar: Bar,
    ) -> None:
        self.accelerator, self.config, self.objective = accelerator, config, objective
        self.corpus, self.folder, self.bar, self.is_main = corpus, folder, bar, accelerator.is_main_process
        parts = parts_of(config.global_batch, accelerator.num_processes, config.accumulate)
        if self.is_main:
            write_json(folder / "config.json", config.model_dump(mode="json"))
        torch.manual_seed(config.seed)
        objective.to(accelerator.device)
        self.loader = Loader(config, objective, corpus, accelerator.process_index, parts, accelerator.device)
        objective.prepare(corpus, folder)
        if from_main(accelerator, lambda: start_from is not None and not (folder / FILE).exists()):
            from_main(accelerator, lambda: self._start(start_from))  # the others are sent what it read
        self.parameters, groups = parameter_groups(objective.trained(), objective.learning_rates())
        betas, decay = config.betas, config.weight_decay
        self.plain = torch.optim.AdamW(groups, lr=config.lr, betas=betas, weight_decay=decay, fused=True)
        self.ema = PowerEMA(self.parameters, config.ema_gamma)
        self.counters = self._continue()
        self.means = RunningMeans(self.counters.get("running", {}))
        if (kind := frozen_type(config, accelerator.device)) is not None:
            hold_frozen(objective, kind)
        self.module = accelerator.prepare_model(objective)  # one process: the objective; several: wrapped for DDP
        self.optimizer: Any = accelerator.prepare_optimizer(self.plain)
        self._load_scaler()
        self.trackers = Trackers(accelerator, config, self.counters["step"])
        self.start, self.before = time.monotonic(), self.counters["seconds"]
        self.reported = self.counters["seen"], self.start

    def _start(self, folder: Path | None) -> None:
        assert folder is not None
        self.objective.start_from(folder)
        write_json(self.folder / "started.json", training_history(folder, self.config.name))

    def _continue(self) -> dict[str, Any]:
        """The counters of the run, its weights and the optimizer's state as they were saved; of a new one, zeros."""
        config, objective, folder = self.config, self.objective, self.folder
        self.change: WeightChange | None = None

        def read() -> dict[str, Any]:
            counters = load_state(
                folder, self.parameters, self.ema, self.plain, objective.extra_state(), objective.former_names
            )
            self.change = WeightChange(folder, self.parameters, fresh=counters is None)
            counters = counters or {"seen": 0, "step": 0, "seconds": 0.0}
            counters.setdefault("gaps", [])
            if "full_rate_steps" not in counters:  # of a run of 0.1.0
                counters["full_rate_steps"] = config.schedule.full_rate_steps(counters["step"] * config.global_batch)
            check_origin(config, counters, self.corpus, self.accelerator.num_processes, folder)
            (folder / EXPORTED).unlink(missing_ok=True)
            return counters

        counters = from_main(self.accelerator, read)
        share_state(self.accelerator, self.parameters, self.ema, self.plain, objective.extra_state())
        return counters

    def _load_scaler(self) -> None:
        """Of fp16: how gradients are scaled belongs to the state of a run."""
        scaler = self.accelerator.scaler
        if scaler is not None and "scaler" in self.counters:
            scaler.load_state_dict(self.counters["scaler"])

    def seconds(self) -> float:
        """That the run has taken, over all sittings."""
        return self.before + time.monotonic() - self.start

    def checkpoint(self) -> None:
        """Save everything; only the main process writes."""
        self.counters["seconds"] = self.seconds()
        self.counters["running"] = self.means.exact()
        if self.accelerator.scaler is not None:
            self.counters["scaler"] = self.accelerator.scaler.state_dict()
        if self.is_main:
            extra = self.objective.extra_state()
            save_state(
                self.folder, self.parameters, self.ema, self.plain, self.counters, extra, self.config.checkpoints
            )
        self.saved = time.monotonic()

    def note(self, spent: float, values: dict[str, Any]) -> None:
        """A line of the log."""
        if self.is_main:
            said = {"seen": self.counters["seen"], "seconds": round(spent, 1), **values}
            append_line(self.folder / "log.jsonl", said)

    def train(self, minutes: float | None) -> dict[str, Any]:
        """All steps that are left, and the end."""
        config, counters = self.config, self.counters
        shown = self.bar if self.is_main else silent
        measured = Measured(self)
        with interruptible() as interrupt, shown(config.pictures, config.name) as advance:

            def wish() -> LoopAction:
                if interrupt.is_set():
                    return LoopAction.STOP
                late = minutes is not None and time.monotonic() - self.start > minutes * 60
                return LoopAction.PAUSE if late else LoopAction.CONTINUE

            advance(counters["seen"])
            self.saved, several = time.monotonic(), self.accelerator.num_processes > 1
            leave = max(gather_objects(wish()))
            batches = self.loader.batches(counters["step"], config.pictures - counters["seen"])
            try:
                while leave is LoopAction.CONTINUE and counters["seen"] < config.pictures:
                    measured.before_step()
                    leave = self._step(next(batches), wish, advance)
                    if time.monotonic() - self.saved > config.checkpoint_minutes * 60:
                        self.checkpoint()
                    leave = leave if several else wish()
            finally:
                batches.close()
            if several:
                leave = max(leave, *gather_objects(wish()))
            self.checkpoint()
            if leave is LoopAction.STOP:
                self.accelerator.wait_for_everyone()  # a process that is gone would have the one that saves killed
                self.trackers.close()
                raise KeyboardInterrupt
        values = self.means.rounded()
        if self.is_main:
            values |= self._finish(measured)
        self.trackers.close()
        self.accelerator.wait_for_everyone()  # the next stage reads the export
        return {"seen": counters["seen"], "finished": counters["seen"] >= config.pictures, "logs": values}

    def _step(self, batch: StepBatch, wish: Callable[[], LoopAction], advance: Step) -> LoopAction:
        """One step; returns what the processes want after it."""
        config, counters, accelerator = self.config, self.counters, self.accelerator
        rate = learning_rate(config, counters["seen"])
        for group in self.optimizer.param_groups:
            group["lr"] = group["factor"] * rate
        self.objective.progress = counters["seen"] / config.pictures
        found: dict[str, Any] = {}
        for part, generator in batch.parts:
            with accelerator.accumulate(self.module):
                with accelerator.autocast():
                    loss, logs = self.module(part, generator)
                accelerator.backward(loss)
            for name, value in {"loss": loss.detach(), **logs}.items():
                found[name] = value / config.accumulate + found.get(name, 0.0) if config.accumulate > 1 else value
        norm = float(accelerator.clip_grad_norm_(self.parameters.values(), config.max_grad_norm))  # type: ignore[arg-type]
        leave = LoopAction.CONTINUE
        if accelerator.num_processes > 1:
            answers = gathered(accelerator, [float(wish()), *(float(value) for value in found.values())])
            leave = LoopAction(int(max(row[0] for row in answers)))
            found = {name: sum(row[at + 1] for row in answers) / len(answers) for at, name in enumerate(found)}
        usual = self.means.values.get("loss")
        scaled = accelerator.scaler is not None  # fp16 skips by itself the steps whose scaled gradient overflows
        reason = complaint(
            config, counters["step"], float(found["loss"]), None if usual is None else float(usual),
            0.0 if scaled else norm,
        )  # fmt: skip
        if reason is None:
            self.optimizer.step()
            if not self.optimizer.step_was_skipped:
                self.ema.update(self.parameters)
                counters["full_rate_steps"] += rate / config.lr
            self.means.add(found)
        else:
            self._skip(reason, batch.rows)
        self.optimizer.zero_grad(set_to_none=True)
        counters["step"] += 1
        counters["seen"] += config.global_batch
        if reason is not None:
            self._stop_if_diverged(reason)
        if counters["step"] % config.log_every == 0 and "loss" in self.means.values:
            self._log(rate, norm, advance)
        return leave

    def _skip(self, reason: str, rows: np.ndarray | None) -> None:
        keys = keys_of(self.corpus, rows)
        if self.is_main:
            log.warning("Step %d is skipped: %s", self.counters["step"], reason)
            note_skipped(self.folder, self.counters, reason, rows, keys)

    def _stop_if_diverged(self, reason: str) -> None:
        def check() -> None:
            try:
                check_skipped(self.folder, self.config, self.counters, reason)
            except Exception:
                self.checkpoint()
                raise

        from_main(self.accelerator, check)

    def _log(self, rate: float, norm: float, advance: Step) -> None:
        counters, now = self.counters, time.monotonic()
        seen, then = self.reported
        self.reported = counters["seen"], now
        values = self.means.rounded()
        said = {
            "lr": rate, "full_rate_steps": round(counters["full_rate_steps"], 2), "grad_norm": round(norm, 5),
            "images_per_second": round((counters["seen"] - seen) / max(now - then, 1e-9), 2),
            "memory_mb": memory_mb(self.accelerator.device),
        }  # fmt: skip
        moved = self.change() if self.change is not None else {}
        self.note(self.seconds(), values | said | moved)
        self.trackers.log(values | said | moved, counters["step"])
        advance(counters["seen"] - seen, f"loss {values['loss']:.4f}")

    def _finish(self, measured: Measured) -> dict[str, Any]:
        """Export, then validate: what a validation costs or finds, the weights are on the disk before it."""
        counters, folder, objective = self.counters, self.folder, self.objective
        self.ema.swap(self.parameters)
        check_finite(self.parameters, folder)
        objective.eval()
        with torch.no_grad(), measured.precision():
            objective.calibrate(self.corpus)
            objective.export(folder / "export")
            values = self.means.rounded() | objective.validate(self.corpus)
            measured.draw_grid()
        self.note(counters["seconds"], {"validation": values, "device": self.accelerator.device.type})
        last = {"seen": counters["seen"], **gaps_of(values)}
        assert self.change is not None
        done = counters | {"gaps": [*counters["gaps"], last]}
        write_json(folder / TRAINED, proof(self.config, done, self.change()))
        write_json(folder / EXPORTED, {"pictures": counters["seen"]})
        self.ema.swap(self.parameters)
        return values


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
