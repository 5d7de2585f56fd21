"""What a stage of work is, whoever carries it out.

A stage falls into numbered tasks; each writes files that appear whole, from seeds that follow from the samples alone.
So a task that is done is seen by its files, a task that was lost is made again, and any number of workers writes the
same bytes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from mien.core.stages.trial import Trial

Process = Callable[[int, "Trial"], None]
"""(number of a task, its trial) -> None: does the task; samples are worked on inside ``trial.sample(key)``."""


@dataclass(frozen=True)
class Resources:
    """What one worker takes.

    Attributes:
        cpus: cores.
        gpus: GPUs, where there are any; a share where several workers fit on one.
    """

    cpus: float = 1.0
    gpus: float = 0.0


class Stage(ABC):
    """Some work; picklable, for it is sent to other processes and machines, which see the same folder.

    Attributes:
        name: for messages and for the folder of what is in progress.
        folder: what it writes to.
        resources: of each worker.
    """

    name: ClassVar[str]
    folder: Path
    resources: Resources = Resources()

    @property
    @abstractmethod
    def count(self) -> int:
        """Number of tasks; a matter of what is asked for, never of the number of workers."""

    @abstractmethod
    def inputs(self) -> Sequence[Path]:
        """Files and folders that every worker reads."""

    @abstractmethod
    def outputs(self, task: int) -> Sequence[Path]:
        """Files that are there when a task is done."""

    @abstractmethod
    def setup(self) -> Process:
        """Load what is needed; called once in each process that works.

        Raises:
            MienError: if something is missing.
        """

    def size(self, task: int) -> int:
        """Samples of a task, for the progress bar."""
        return 1

    def finish(self) -> None:  # noqa: B027 - most stages have nothing to finish
        """What is to be done once, when all tasks are."""

    def is_done(self, task: int) -> bool:
        """Whether a task's files are there."""
        return all(path.exists() for path in self.outputs(task))

    @property
    def state(self) -> Path:
        """Folder of what is known of tasks in progress."""
        return self.folder / f".stage-{self.name}"
