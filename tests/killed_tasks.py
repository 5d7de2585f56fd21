"""Small forms of the commands that `tests.killing` kills: each writes into a folder, and goes on with what is there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mien.data.importing import job as importing
from mien.data.importing.job import ImportJob
from mien.data.rendering import dataset
from mien.data.rendering.dataset import RenderTools, render_shard
from mien.data.rendering.request import DatasetRequest, claim_folder
from mien.data.shards import shard_name
from mien.evaluation.control.run import run_control
from mien.evaluation.control.settings import ControlSettings
from mien.generation.animation import animate as draw_film
from mien.generation.generate import generate
from mien.generation.many import Drawer, generate_many
from mien.generation.request import GenerateRequest
from mien.generation.sweep import angle_stops
from mien.generation.sweep import sweep as draw_sweep
from mien.training.config import TrainConfig
from mien.training.export import save_branch, save_half
from mien.training.loop import fit
from mien.training.objective import Logs, Objective
from tests.data.idi_fakes import builder
from tests.data.importing_fakes import colour_faces
from tests.data.importing_fakes import fake_tools as import_tools
from tests.data.rendering.test_dataset import FakeRenderer
from tests.evaluation.fake_control import FakeModel, fake_control_tools
from tests.fakes import FakePipeline, fake_tools
from tests.synthetic import write_corpus
from tests.tiny import tiny_branch, tiny_unet


class Emotion(Objective):
    """An emotion branch, of which the encoder and the values are trained, exported as the stages export theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = tiny_unet().requires_grad_(False)
        self.branch = tiny_branch(self.unet, "emotion").requires_grad_(True)

    def batch(self, corpus: Any, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """See the base class."""
        return {"x": torch.from_numpy(rng.normal(size=(size, 10))).float()}

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the base class."""
        tokens = self.branch.encode(batch["x"])
        values = [pair.to_v(tokens).pow(2).mean() for pair in self.branch.projections().values()]
        noise = torch.randn(tokens.shape, generator=generator)
        return (tokens - noise).pow(2).mean() + torch.stack(values).mean(), {}

    def export(self, folder: Path) -> None:
        """See the base class."""
        save_branch(self.branch, folder, "emotion")
        save_half(self.unet, folder / "unet")


def train(folder: Path) -> None:
    """Six steps, with a checkpoint after each."""
    config = TrainConfig(
        name="emotion", objective="none:none", pictures=12, global_batch=2, lr=0.01, warmup_images=4, precision="no",
        log_every=1, checkpoint_minutes=0.0,
    )  # fmt: skip
    torch.manual_seed(0)
    fit(config, Emotion(), None, folder)  # type: ignore[arg-type]


def _photo(folder: Path) -> Path:
    photo = folder.parent / "photo.png"
    if not photo.exists():
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(photo)
    return photo


def draw(folder: Path) -> None:
    """Three pictures with their records and marks."""
    request = GenerateRequest(identity=_photo(folder), count=3, steps=1, output=folder)
    generate(request, pipeline=FakePipeline(folder.parent / "model"), tools=fake_tools())


def sweep(folder: Path) -> None:
    """A row of three, and the sheet of it."""
    photo = _photo(folder)
    request = GenerateRequest(identity=photo, steps=1, yaw=-20.0, output=folder)
    stops = angle_stops("yaw", "-20..20", 3)
    draw_sweep(request, stops, pipeline=FakePipeline(folder.parent / "model"), tools=fake_tools())


def animate(folder: Path) -> None:
    """A film of ten frames, which are two batches."""
    photo, driving = _photo(folder), folder.parent / "driving"
    if not driving.exists():
        driving.mkdir()
        for number in range(10):
            Image.new("RGB", (64, 64), (20 * number, 90, 90)).save(driving / f"{number:02d}.png")
    request = GenerateRequest(identity=photo, steps=1)
    draw_film(request, driving, folder / "me.gif", pipeline=FakePipeline(folder.parent / "model"), tools=fake_tools())


def render(folder: Path) -> None:
    """Two shards, as one process of ``mien studio render`` writes them."""
    request = DatasetRequest(4, 256, 0, 64, False, "x")
    tools: Any = RenderTools(FakeRenderer(), None)  # type: ignore[arg-type]
    dataset.plan_scene = _cheap_plan  # type: ignore[assignment]
    claim_folder(folder, request)
    for shard in range(request.shards):
        if not (folder / shard_name(shard)).exists():
            render_shard(request, shard, folder, tools)


_PLAN = dataset.plan_scene


def _cheap_plan(person: Any, number: int) -> Any:
    return _PLAN(person, number % 3)


def pairs(folder: Path) -> None:
    """Pairs of a drawn data set."""
    data = folder.parent / "data"
    if not data.exists():
        write_corpus(data, people=4, per_person=3)
    builder(data).build(folder)


def evaluate(folder: Path) -> None:
    """The protocol of control with a model that does as it is told."""
    settings = ControlSettings(people=3, targets=2, steps=1, batch=4, look_alikes=1, draws=10, target_choice="first")
    run_control(settings, fake_control_tools(FakeModel()), folder)


def import_data(folder: Path) -> None:
    """A dataset of three units, in the layout of folders."""
    raw = folder.parent / "raw"
    if not raw.exists():
        for number in range(6):
            (raw / f"person-{number // 2}").mkdir(parents=True, exist_ok=True)
            colour_faces(number // 2, number, 96).save(raw / f"person-{number // 2}" / f"{number}.png")
    importing.UNIT = 2
    made = ImportJob.open(
        raw, folder, import_tools(), layout="folder", every=1.0, size=64, framing="studio", ending="png", min_face=20,
        reader="colours", same=0.5, per_shard=4,
    )  # fmt: skip
    made.run()
    made.summary()


def many(folder: Path) -> None:
    """A file of five requests, in folders of three, two drawn at once."""
    photo, asked = _photo(folder), folder.parent / "requests.jsonl"
    if not asked.exists():
        lines = [{"id": f"a{number}", "identity": photo.name, "seed": number} for number in range(5)]
        asked.write_text("".join(json.dumps(line) + "\n" for line in lines))
    drawer = Drawer(FakePipeline(folder.parent / "model"), fake_tools())
    generate_many(asked, folder, {"steps": 1}, per_part=3, batch=2, drawer=drawer)


TASKS: dict[str, Callable[[Path], None]] = {
    "train": train, "generate": draw, "sweep": sweep, "animate": animate, "render": render, "pairs": pairs,
    "evaluate": evaluate, "import": import_data, "many": many,
}  # fmt: skip
