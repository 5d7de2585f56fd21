"""A real ComfyUI server on this machine's CPU, and checkpoints small enough for it.

ComfyUI knows SD1.5 and SDXL by 320 channels and the width of the text, and has autoencoder and text encoders of one
size only: what can be small is the number of levels and blocks of the UNet.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel
from PIL import Image
from transformers import AutoTokenizer, CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from mien.adapters import Branch, save_adapter
from mien.pipelines import PortraitPipeline, PortraitXLPipeline
from tests.ldm import write_checkpoint

ROOT = Path(__file__).resolve().parents[2]
NODES = ROOT / "comfyui"
_VAE: Any = {
    "block_out_channels": (128, 256, 512, 512), "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4, "layers_per_block": 2, "latent_channels": 4,
}  # fmt: skip
_TEXT: Any = {"vocab_size": 49408, "bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407}
ENCODERS: Any = {
    "landmarks": {"size": 64, "unshuffle": 4, "channels": [16, 16], "residuals": [0, 1]},
    "emotion": {"hidden": 16, "tokens": 3},
    "identity": {"embedding_dim": 512, "hidden": 32, "tokens": 2},
}


def _unet(xl: bool) -> Any:
    levels = (
        ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D")
        if xl
        else ("CrossAttnDownBlock2D", "DownBlock2D")
    )
    upwards = tuple(kind.replace("Down", "Up") for kind in reversed(levels))
    shape: Any = {"layers_per_block": 1, "cross_attention_dim": 768, "attention_head_dim": 8}
    if xl:  # Segmind's Vega: SDXL with one and two transformers a block
        shape = {
            "layers_per_block": 2, "cross_attention_dim": 2048, "attention_head_dim": (5, 5, 5),
            "transformer_layers_per_block": (1, 1, 2), "use_linear_projection": True,
            "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        }  # fmt: skip
    return UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=4, down_block_types=levels, up_block_types=upwards,
        block_out_channels=(320,) * len(levels), **shape,
    )  # fmt: skip


def _text(kind: Any, width: int, layers: int, heads: int, act: str) -> Any:
    config = CLIPTextConfig(**_TEXT, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
                            num_attention_heads=heads, hidden_act=act, projection_dim=width)  # fmt: skip
    return kind(config)


def small_pipeline(tokenizer_folder: Path, xl: bool) -> PortraitPipeline:
    """A pipeline with random weights that ComfyUI takes for SD1.5 or SDXL, and random branches."""
    torch.manual_seed(0)
    tokenizer: Any = AutoTokenizer.from_pretrained(tokenizer_folder, model_max_length=77)
    unet = _unet(xl).eval()
    vae: Any = AutoencoderKL(**_VAE, scaling_factor=0.13025 if xl else 0.18215).eval()
    first = _text(CLIPTextModel, 768, 12, 12, "quick_gelu").eval()
    branches = {}
    for kind, encoder in ENCODERS.items():
        branch = Branch.for_unet(unet, kind, 32, encoder=encoder, null="zeros" if kind == "identity" else "cut")
        for pair in branch.projections().values():
            torch.nn.init.normal_(pair.to_v.weight, std=0.3)
        branches[kind] = branch.eval()
    scheduler: Any = EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    parts: Any = {"adapters": branches, "identity_mode": "branch"}
    if xl:
        second = _text(CLIPTextModelWithProjection, 1280, 32, 20, "gelu").eval()
        # SDXL's second tokenizer fills up with "!", number 0
        other: Any = AutoTokenizer.from_pretrained(tokenizer_folder, model_max_length=77, pad_token="!")
        return PortraitXLPipeline(vae, first, second, tokenizer, other, unet, scheduler, **parts)
    return PortraitPipeline(vae, first, tokenizer, unet, scheduler, **parts)


def write_models(pipeline: PortraitPipeline, models: Path, name: str) -> None:
    """The checkpoint in the published layout, and the adapter file, where the server looks for them."""
    for folder in ("checkpoints", "mien"):
        (models / folder).mkdir(parents=True, exist_ok=True)
    write_checkpoint(pipeline, models / "checkpoints" / f"{name}.safetensors")
    save_adapter(models / "mien" / f"{name}.safetensors", pipeline.adapters)


class Server:
    """A running server.

    Args:
        address: where it listens.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str) -> bytes:
        """The body of an answer."""
        with urllib.request.urlopen(f"{self.address}{path}", timeout=60) as answer:
            return answer.read()

    def run(self, workflow: dict[str, Any], node: str, patience: float = 1800.0) -> Image.Image:
        """The picture that a node of a workflow (API format) saved."""
        body = json.dumps({"prompt": workflow}).encode()
        request = urllib.request.Request(f"{self.address}/prompt", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                number = json.load(answer)["prompt_id"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error
        until = time.monotonic() + patience
        while time.monotonic() < until:
            history = json.loads(self.get(f"/history/{number}"))
            if number in history:
                done = history[number]
                assert done["status"]["status_str"] == "success", done["status"]
                (saved,) = done["outputs"][node]["images"]
                query = f"filename={saved['filename']}&subfolder={saved['subfolder']}&type={saved['type']}"
                return Image.open(BytesIO(self.get(f"/view?{query}"))).convert("RGB")
            time.sleep(0.5)
        raise AssertionError("the server did not finish in time")


@contextmanager
def running(source: Path, python: str, base: Path, *words: str) -> Iterator[Server]:
    """ComfyUI, headless on the CPU, with mien's nodes.

    Args:
        source: a checkout of ComfyUI.
        python: an interpreter with its requirements.
        base: its folders for models, input and output.
        words: further options.
    """
    for folder in ("custom_nodes", "input", "output", "user", "temp", "models"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    if not (base / "custom_nodes" / "mien").exists():
        (base / "custom_nodes" / "mien").symlink_to(NODES, target_is_directory=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = base / "server.log"
    command = [
        python, "main.py", "--cpu", "--listen", "127.0.0.1", "--port", str(port), "--base-directory", str(base),
        "--database-url", "sqlite:///:memory:", "--force-fp32", "--fp32-text-enc", "--fp32-vae", "--disable-api-nodes",
        "--disable-auto-launch", *words,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with log.open("w") as stream:
        process = subprocess.Popen(command, cwd=source, stdout=stream, stderr=stream, env=environment)
    server = Server(f"http://127.0.0.1:{port}")
    try:
        until = time.monotonic() + 600
        while True:
            try:
                server.get("/system_stats")
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < until, log.read_text()[-3000:]
                time.sleep(0.5)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def where() -> tuple[Path, str] | None:
    """(checkout, interpreter) of ``MIEN_COMFYUI`` and ``MIEN_COMFYUI_PYTHON``, or None."""
    folder = os.environ.get("MIEN_COMFYUI")
    return (Path(folder), os.environ.get("MIEN_COMFYUI_PYTHON", sys.executable)) if folder else None
