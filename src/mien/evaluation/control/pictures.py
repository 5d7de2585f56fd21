"""Drawing and keeping pictures: what is there already is not drawn again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mien.core.io import make_folder, write_json
from mien.core.progress import Bar, silent
from mien.core.stages.execute import execute, usual_workers
from mien.core.stages.stage import Process, Resources, Stage
from mien.core.stages.trial import Trial
from mien.evaluation.control.scene import Pair
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.png import Pixels, read_png, write_png
from mien.generation.conditioning import PipelineInputs, run_pipeline

if TYPE_CHECKING:
    from PIL import Image

    from mien.evaluation.context import EvaluationContext
    from mien.pipelines.portrait import PortraitPipeline

Finish = Callable[[Pair, "Image.Image"], "Image.Image"]
"""(pair, picture drawn for it) -> the picture that is kept."""
SETTINGS_FILE = "made-with.json"
SEEDS = 100_000_000
"""Seeds of one value of the setting ``seed``; a pair's own seed is below it."""


def open_folder(root: Path, made_with: dict[str, Any]) -> Path:
    """The folder for pictures made with these settings and models; others get other folders.

    Args:
        root: where all such folders are.
        made_with: everything the pixels depend on that is not in the names of files, as JSON.
    """
    digest = hashlib.sha256(json.dumps(made_with, sort_keys=True).encode()).hexdigest()[:16]
    folder = root / digest
    make_folder(folder)
    write_json(folder / SETTINGS_FILE, made_with)
    return folder


def kept(path: Path, draw: Callable[[], Pixels]) -> Pixels:
    """The picture in a file, drawn and written first if it is not there."""
    if not path.exists():
        write_png(path, draw())
    return read_png(path)


class PartDrawn(Exception):
    """This machine's share of a model's pictures is drawn, and nothing else was asked for."""


@dataclass(frozen=True)
class Drawing:
    """Who draws.

    Attributes:
        executor: see `mien.core.stages.execute.execute`, as are the others.
        workers: processes, each of which loads the model; None: see `usual_workers`.
        part: (number from 1, how many machines there are); nothing is read or scored then.
    """

    executor: str = "local"
    workers: int | None = None
    part: tuple[int, int] | None = None


@dataclass
class DrawingStage(Stage):
    """A model's pictures, in batches; a batch of which one is missing is drawn as a whole.

    Attributes:
        folder: ``PERSON-TARGET-SHOWN.png``, see `Pair.file`.
        settings: steps, scales, guidance, batch.
        pairs: what to draw.
        steering: the conditions of a batch; picklable, as is ``reopen``.
        reopen: loads the pipeline in another process.
        pipeline: of this process.
        finish_picture: what is made of each; of this process.
    """

    name: ClassVar[str] = "drawing"
    resources = Resources(gpus=1.0)

    folder: Path
    settings: ControlSettings
    pairs: Sequence[Pair]
    steering: Callable[[Sequence[Pair]], list[PipelineInputs]]
    reopen: Callable[[], PortraitPipeline] | None = None
    pipeline: PortraitPipeline | None = None
    finish_picture: Finish | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without what no other process can have."""
        return vars(self) | {"pipeline": None, "finish_picture": None}

    @property
    def count(self) -> int:
        """Of batches."""
        return -(-len(self.pairs) // self.settings.batch)

    def inputs(self) -> Sequence[Path]:
        """None: conditions are sent along."""
        return ()

    def batch(self, task: int) -> Sequence[Pair]:
        """The pairs of a task; a fixed partition."""
        return self.pairs[task * self.settings.batch : (task + 1) * self.settings.batch]

    def outputs(self, task: int) -> Sequence[Path]:
        """The pictures of a batch."""
        return [self.folder / pair.file for pair in self.batch(task)]

    def size(self, task: int) -> int:
        """Pictures of a batch."""
        return len(self.batch(task))

    def setup(self) -> Process:
        """The pipeline."""
        pipeline = self.pipeline
        if pipeline is None:
            assert self.reopen is not None
            pipeline = self.reopen()

        def draw(task: int, trial: Trial) -> None:
            settings, batch = self.settings, self.batch(task)
            seeds = [settings.seed * SEEDS + pair.seed for pair in batch]
            images = run_pipeline(
                pipeline, self.steering(batch), seeds, scales=dict(settings.scales), guidance=dict(settings.guidance),
                identity_mode=settings.identity_mode, speed=settings.speed,
                num_inference_steps=None if settings.speed == "few" else settings.steps,
            )  # fmt: skip
            for pair, path, image in zip(batch, self.outputs(task), images, strict=True):
                write_png(path, image if self.finish_picture is None else self.finish_picture(pair, image))
            trial.advance(len(batch))

        return draw


@dataclass(frozen=True, eq=False)
class OfPeople:
    """Conditions that are a matter of the person alone, as steering."""

    rows: Sequence[PipelineInputs]

    def __call__(self, pairs: Sequence[Pair]) -> list[PipelineInputs]:
        """The conditions of some pairs."""
        return [self.rows[pair.person] for pair in pairs]


def draw_pairs(
    tools: EvaluationContext,
    settings: ControlSettings,
    pairs: Sequence[Pair],
    steering: Callable[[Sequence[Pair]], list[PipelineInputs]],
    folder: Path,
    bar: Bar = silent,
    finish: Finish | None = None,
) -> list[Path]:
    """Draw every pair whose picture is not in the folder, with whoever ``tools.drawing`` names.

    Args:
        tools: the model.
        settings: see `DrawingStage`, as are the next three.
        pairs: what to draw.
        steering: the conditions of a batch.
        folder: where pictures are kept.
        bar: makes a progress bar.
        finish: what is made of each; such pictures are drawn in this process.

    Returns:
        A file for each pair, in order.

    Raises:
        PartDrawn: if only a part of them was asked for.
    """
    stage = DrawingStage(folder, settings, pairs, steering, tools.reopen, tools.pipeline, finish)
    how = tools.drawing
    here = finish is not None or tools.reopen is None
    executor, workers = ("local", 1) if here else (how.executor, how.workers)
    if executor != "local" or (workers or usual_workers(stage.resources)) > 1:
        stage.pipeline = None  # each process loads its own
    if not execute(stage, executor=executor, workers=workers, part=how.part, bar=bar):
        raise PartDrawn
    return [folder / pair.file for pair in pairs]
