"""A trained model as one folder: the same picture as from its parts, in mien and in stock diffusers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline

from mien.adapters import save_adapter
from mien.cli.main import main
from mien.generation.tools import FULL_SIZE_PROMPT, plain_prompt
from mien.models.text import ID_PROMPT
from mien.pipelines.bases import arcface_file
from mien.pipelines.load import load_pipeline
from mien.pipelines.runs import runs_folder
from mien.pipelines.spec import ModelSpec, load_spec
from tests.published import write_arc2face, write_sd15
from tests.tiny import NULLS, tiny_branch


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published Arc2Face of few channels, and a joint stage's export beside it."""
    pytest.importorskip("onnx", reason="onnx is not installed: pip install 'mien[heads]'")
    folder = tmp_path_factory.mktemp("facecrafter")
    write_sd15(folder / "assets" / "sd15")
    write_arc2face(folder / "assets" / "arc2face")
    config = folder / "assets" / "arc2face" / "arc2face" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"sample_size": 8}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIEN_ASSETS", str(folder / "assets"))
        patch.setenv("MIEN_CACHE", str(folder / "cache"))
        base = load_pipeline("arc2face")
        export = runs_folder("arc2face") / "facecrafter-joint" / "export"
        for seed, kind in enumerate(("landmarks", "emotion")):
            branch = tiny_branch(base.unet, kind, null=NULLS[kind], seed=seed)
            save_adapter(export / "adapters" / f"{kind}.safetensors", {kind: branch})
        with torch.no_grad():
            for parameter in base.text_encoder.parameters():
                parameter.mul_(1.1)
        base.text_encoder.save_pretrained(export / "text_encoder")
    return folder


@pytest.fixture(autouse=True)
def _found(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_ASSETS", str(place / "assets"))
    monkeypatch.setenv("MIEN_CACHE", str(place / "cache"))


def draw(pipeline: Any, spec: ModelSpec | None = None) -> np.ndarray:
    """A picture under all three conditions."""
    torch.manual_seed(4)
    identity = torch.nn.functional.normalize(torch.randn(1, 512))
    options = {} if spec is None else {"guidance": spec.guidance, "scales": spec.scales}
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        identity=identity, landmarks=torch.rand(1, 3, 32, 32) * 2 - 1, emotion=torch.rand(1, 10),
        num_inference_steps=3, generator=[torch.Generator().manual_seed(1)], output_type="np", **options,
    ).images[0]  # fmt: skip


_STOCK = """
import sys
sys.modules["mien"] = None  # whoever imports it fails
import numpy as np, torch
from diffusers import DiffusionPipeline
folder, out = sys.argv[1:]
pipe = DiffusionPipeline.from_pretrained(folder, custom_pipeline=folder + "/stock_pipeline.py", trust_remote_code=True)
pipe.load_branches(folder)
torch.manual_seed(4)
identity = torch.nn.functional.normalize(torch.randn(1, 512))
picture, emotion = torch.rand(1, 3, 32, 32) * 2 - 1, torch.rand(1, 10)
noise = torch.Generator().manual_seed(1)
np.save(out, pipe(identity, picture, emotion, num_inference_steps=3, generator=noise, output_type="np").images[0])
"""


def without_mien(folder: Path, place: Path) -> np.ndarray:
    """The same picture by the folder's own file in stock diffusers, in a process without mien."""
    environment = os.environ | {"HF_MODULES_CACHE": str(place / "modules"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", _STOCK, str(folder), str(place / "picture.npy")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return np.load(place / "picture.npy")


def test_the_folder_draws_what_its_parts_draw(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, spec = tmp_path / "facecrafter", load_spec("facecrafter-arc2face")
    assert main(["model", "assemble", "-o", str(folder)]) == 0, capsys.readouterr().err
    whole = draw(spec.load(), spec)
    ours = load_pipeline(str(folder))
    # the same computation on the same weights, in another process's files: bit for bit
    np.testing.assert_array_equal(draw(ours), whole)
    stock = DiffusionPipeline.from_pretrained(str(folder), custom_pipeline=str(folder), trust_remote_code=True)
    np.testing.assert_array_equal(draw(stock), whole)
    trained = ours.text_encoder.state_dict()
    ours._null_prompts.clear()
    assert not np.array_equal(draw(ours), whole), "e(0) is that of the text encoder before it was trained"
    assert (arcface_file(folder)).parent == folder and ours.config["guidance"]["identity"] == 2.5
    assert json.loads((folder / "assembled.json").read_text())["base"] == "arc2face"
    assert plain_prompt("arc2face") is None and plain_prompt(str(folder)) is None, "the words hold the face alone"
    assert plain_prompt("sd15") == FULL_SIZE_PROMPT
    np.testing.assert_allclose(without_mien(folder, tmp_path), whole, atol=2e-4, err_msg="another order of sums")
    plain: Any = StableDiffusionPipeline.from_pretrained(str(folder), safety_checker=None)
    for name, value in plain.text_encoder.state_dict().items():
        assert torch.equal(value, trained[name]), "components are where stock diffusers looks for them"
    plain.set_progress_bar_config(disable=True)
    assert plain(ID_PROMPT, num_inference_steps=1, output_type="np").images.shape == (1, 64, 64, 3)


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "assemble", "-o", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err
