"""Trying a task again where one of its samples fails, and doing without that sample in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from mien.core.io import make_folder, read_json, write_json
from mien.core.log import append_line, read_lines
from mien.core.stages.stage import Process, Stage
from mien.errors import MienError

TRIES = 3
"""How often a sample may fail, or take its process with it, before it is skipped."""
POISONED = "poisoned.jsonl"
"""Of a stage's folder: a line for each sample that was skipped, with why."""


class SampleFailure(Exception):
    """A sample that could not be worked on."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key, self.reason = key, reason


class Trial:
    """A task in progress: which sample is worked on is on the disk, so that it is known if the process dies.

    Args:
        folder: of the stage's state.
        task: number of the task.
        advance: called with the number of samples that are done.

    Attributes:
        tries: sample -> how often it failed.
        reasons: sample -> why, the last time.
        blamed: the sample that the process before died at, if it did.
    """

    def __init__(self, folder: Path, task: int, advance: Callable[[int], object] = lambda _: None) -> None:
        self._tries, self._at = folder / f"{task:06d}.json", folder / f"{task:06d}.at"
        self.task, self.advance = task, advance
        make_folder(folder)
        stored = read_json(self._tries) if self._tries.exists() else {}
        self.tries: dict[str, int] = stored.get("tries", {})
        self.reasons: dict[str, str] = stored.get("reasons", {})
        self.blamed = self.at
        if self.blamed is not None:  # the process that was at this sample is gone
            self.failed(self.blamed, "its process died")

    @property
    def at(self) -> str | None:
        """The sample that is worked on; that of a dead process if this one has not begun."""
        try:
            return self._at.read_text(encoding="utf-8") or None
        except FileNotFoundError:
            return None

    @property
    def skipped(self) -> dict[str, str]:
        """Samples that are done without -> why."""
        return {key: self.reasons[key] for key, count in self.tries.items() if count >= TRIES}

    @contextmanager
    def sample(self, key: str) -> Iterator[bool]:
        """Work on a sample inside the block; the value says whether it is wanted, or else has failed too often.

        Raises:
            SampleFailure: in the place of whatever the block raises.
            MienError: if the disk is full.
        """
        if self.tries.get(key, 0) >= TRIES:
            yield False
            return
        self._note(key)
        try:
            yield True
        except Exception as error:
            raise SampleFailure(key, f"{type(error).__name__}: {error}") from error
        finally:  # also after Ctrl-C, which is not the sample's fault
            self._note("")

    def _note(self, key: str) -> None:
        """Write down which sample is worked on.

        Raises:
            MienError: if the disk is full.
        """
        try:
            self._at.write_text(key, encoding="utf-8")
        except OSError as error:
            raise MienError(
                f"Cannot write {self._at}: {error.strerror or error}; free some space and try again."
            ) from error

    def failed(self, key: str, reason: str) -> None:
        """Count a failure."""
        self.tries[key], self.reasons[key] = self.tries.get(key, 0) + 1, reason
        write_json(self._tries, {"tries": self.tries, "reasons": self.reasons})
        self._at.unlink(missing_ok=True)

    def close(self) -> None:
        """The task is done."""
        self._at.unlink(missing_ok=True)
        self._tries.unlink(missing_ok=True)


def sample_of(trial: Trial | None, key: str) -> AbstractContextManager[bool]:
    """`Trial.sample`, or where there is no trial a block that always wants its sample."""
    return nullcontext(True) if trial is None else trial.sample(key)


def run_task(stage: Stage, process: Process, task: int, advance: Callable[[int], object] = lambda _: None) -> None:
    """Do a task that is not done, again while a sample of it fails.

    Args:
        stage: the stage.
        process: what its ``setup`` gave in this process.
        task: number of the task.
        advance: called with the number of samples that are done.

    Raises:
        MienError: for what is no sample's fault, such as a full disk.
    """
    if stage.is_done(task):
        return
    trial = Trial(stage.state, task, advance)
    while True:
        try:
            process(task, trial)
            break
        except SampleFailure as failure:
            trial.failed(failure.key, failure.reason)
    if not stage.is_done(task):
        raise MienError(f"Task {task} of {stage.name} in {stage.folder} ended without its files.")
    _tell(stage, trial)


def tell_of_done(stage: Stage) -> None:
    """Do for tasks with files what a process that was killed after it wrote them could not: say what they lack."""
    for path in sorted(stage.state.glob("[0-9]*.json")):
        if stage.is_done(task := int(path.stem)):
            _tell(stage, Trial(stage.state, task))


def _tell(stage: Stage, trial: Trial) -> None:
    """Write down what a finished task did without, and close its trial."""
    for key, reason in trial.skipped.items():
        append_line(stage.folder / POISONED, {"task": trial.task, "sample": key, "reason": reason, "tries": TRIES})
    trial.close()


def poisoned(folder: Path) -> list[dict[str, Any]]:
    """The samples that a stage did without, one entry each."""
    return list({(line["task"], line["sample"]): line for line in read_lines(folder / POISONED)}.values())
