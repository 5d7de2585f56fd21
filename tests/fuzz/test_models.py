"""Damaged adapters, LoRA files and bases: each is drawn with or refused in one sentence, and none is a traceback."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mien.adapters import save_adapter
from mien.errors import MienError
from mien.pipelines.bases import is_small, open_base
from mien.pipelines.few_step import FewStep, save_few_step
from mien.pipelines.load import add_adapters
from mien.pipelines.load_options import Lora
from mien.pipelines.loras import add_loras
from tests.fuzz.mutants import mutant
from tests.ip_adapters import write_ip_adapter
from tests.ldm import write_checkpoint
from tests.pipelines.test_pipeline_loading import write_lora
from tests.published import write_sd15
from tests.tiny import NULLS, tiny_branch, tiny_condition, tiny_pipeline

pytestmark = pytest.mark.filterwarnings("ignore")
FAST, MANY = 60, 400
"""Mutants of each kind of file in the everyday tests, and in the slow ones."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One sound file of each kind."""
    folder = tmp_path_factory.mktemp("sound")
    pipeline = tiny_pipeline(())
    branches = {kind: tiny_branch(pipeline.unet, kind, null=NULLS[kind]) for kind in ("emotion", "landmarks")}
    save_adapter(folder / "ours.safetensors", branches)
    write_ip_adapter(pipeline.unet, folder / "plain.safetensors", "plain", 20)
    write_ip_adapter(pipeline.unet, folder / "plusv2.safetensors", "faceid-plus", 20, rank=2)
    write_ip_adapter(pipeline.unet, folder / "plain.bin", "plain", 20)
    write_lora(pipeline, folder / "lora.safetensors")
    layer = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    shape = pipeline.unet.get_submodule(layer).weight.shape
    tensors = {f"{layer}.lora_A.weight": torch.randn(2, shape[1]), f"{layer}.lora_B.weight": torch.randn(shape[0], 2)}
    save_few_step(folder / "few_step.safetensors", tensors, FewStep(steps=2, guidance={"text": 2.0}))
    tiny_pipeline(("emotion",)).save_pretrained(folder / "ours")
    return folder


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("assets")
    write_sd15(folder / "sd15")
    write_checkpoint(open_base(folder / "sd15"), folder / "base.safetensors")
    return folder


def tried(attempt: Callable[[], Any], seed: int) -> bool:
    """Whether it worked; a refusal has to be one sentence of ours."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            attempt()
    except MienError as error:
        assert str(error).endswith(".") and len(str(error)) < 2000, (seed, str(error))
        return False
    except Exception as error:
        raise AssertionError(f"mutant {seed} is a traceback: {type(error).__name__}: {error}") from error
    return True


def draw_with(pipeline: Any) -> None:
    """A picture with every branch that there is."""
    kinds = {branch.kind for branch in pipeline.adapters.values()} & {"emotion", "landmarks", "identity"}
    asked: dict[str, Any] = {kind: tiny_condition(kind, 1) for kind in kinds}
    pipeline.set_progress_bar_config(disable=True)
    pipeline(
        "red hair", **asked, identity_mode="branch", num_inference_steps=1, output_type="pt",
        generator=[torch.Generator().manual_seed(0)],
        identity_picture=torch.zeros(1, 3, 32, 32) if "identity" in kinds else None,
    )  # fmt: skip


ADAPTERS = ("ours.safetensors", "plain.safetensors", "plusv2.safetensors", "plain.bin", "few_step.safetensors")


def adapters(whole: Path, place: Path, count: int) -> int:
    worked = 0
    for seed in range(count):
        name = ADAPTERS[seed % len(ADAPTERS)]
        file = mutant(whole / name, seed, place / name)

        def attempt(file: Path = file) -> None:
            pipeline = tiny_pipeline(())
            add_adapters(pipeline, (str(file),))
            if "identity" not in {branch.kind for branch in pipeline.adapters.values()}:
                draw_with(pipeline)
            if pipeline.few_step is not None:
                pipeline("red hair", speed="few", output_type="pt")

        worked += tried(attempt, seed)
    return worked


def loras(whole: Path, place: Path, count: int) -> int:
    worked = 0
    for seed in range(count):
        file = mutant(whole / "lora.safetensors", seed, place / "lora.safetensors")

        def attempt(file: Path = file) -> None:
            pipeline = tiny_pipeline(())
            add_loras(pipeline, (Lora(file=file),))
            draw_with(pipeline)

        worked += tried(attempt, seed)
    return worked


def folders(whole: Path, place: Path, count: int) -> int:
    files = sorted(path.relative_to(whole / "ours") for path in (whole / "ours").rglob("*") if path.is_file())
    worked = 0
    for seed in range(count):
        base, file = place / f"base-{seed}", files[seed % len(files)]
        shutil.copytree(whole / "ours", base)
        mutant(whole / "ours" / file, seed, base / file)

        def attempt(base: Path = base) -> None:
            is_small(base)
            draw_with(open_base(base))

        worked += tried(attempt, seed)
        shutil.rmtree(base)
    return worked


def checkpoints(published: Path, place: Path, count: int) -> int:
    worked = 0
    for seed in range(count):
        file = mutant(published / "base.safetensors", seed, place / "base.safetensors")
        worked += tried(lambda file=file: open_base(file), seed)
    return worked


def test_adapters(whole: Path, tmp_path: Path) -> None:
    """22 of 124 were tracebacks."""
    assert adapters(whole, tmp_path, FAST) < FAST


def test_loras(whole: Path, tmp_path: Path) -> None:
    assert loras(whole, tmp_path, FAST) < FAST


def test_folders(whole: Path, tmp_path: Path) -> None:
    assert folders(whole, tmp_path, FAST) < FAST


def test_checkpoints(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_ASSETS", str(published))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert checkpoints(published, tmp_path, FAST // 3) < FAST // 3


@pytest.mark.slow
def test_many(whole: Path, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_ASSETS", str(published))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for run, sound in ((adapters, whole), (loras, whole), (folders, whole), (checkpoints, published)):
        assert run(sound, tmp_path, MANY) < MANY


def test_a_number_is_always_the_same_damage(whole: Path, tmp_path: Path) -> None:
    one, other = (
        [mutant(whole / "ours.safetensors", seed, tmp_path / name).read_bytes() for seed in range(20)]
        for name in ("a", "b")
    )
    assert one == other
    assert len(set(one)) > 15
