"""One guided step and one training step of a base at its full size, random weights; run as a process of its own."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import AutoTokenizer, CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from mien.adapters import Injection
from mien.adapters.presets import preset_branch, unet_config
from mien.assets import embedded
from mien.bench.memory import peak
from mien.bench.rig import conditions_for, filled
from mien.pipelines.portrait import PortraitPipeline
from mien.pipelines.portrait_xl import PortraitXLPipeline

KINDS = ("identity", "landmarks", "emotion", "expression")
DTYPE = torch.bfloat16
_VAE: Any = {
    "block_out_channels": (128, 256, 512, 512), "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4, "layers_per_block": 2, "latent_channels": 4,
}  # fmt: skip


def _text(kind: Any, width: int) -> Any:
    """A text encoder of the right width but of two layers: what is big here is the UNet."""
    return kind(CLIPTextConfig(hidden_size=width, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                               vocab_size=49408, projection_dim=width))  # fmt: skip


def build(size: str) -> PortraitPipeline:
    """SD1.5's or SDXL's UNet and autoencoder, and a branch of each kind."""
    tokenizer: Any = AutoTokenizer.from_pretrained(embedded("studio") / "tokenizer", model_max_length=77)
    with torch.device("meta"):
        unet: Any = UNet2DConditionModel.from_config(unet_config(size))
        vae = AutoencoderKL(**_VAE)
        texts = [_text(CLIPTextModel, 768)]
        if size == "sdxl":
            texts.append(_text(CLIPTextModelWithProjection, 1280))
        branches = {kind: preset_branch(unet, size, kind) for kind in KINDS}
    for module in (unet, vae, *texts, *branches.values()):
        filled(module, DTYPE)
    scheduler: Any = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    more: Any = {"adapters": branches, "identity_mode": "branch"}
    if size == "sd15":
        pipeline = PortraitPipeline(vae, texts[0], tokenizer, unet, scheduler, **more)
    else:
        pipeline = PortraitXLPipeline(vae, texts[0], texts[1], tokenizer, tokenizer, unet, scheduler, **more)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw(pipeline: PortraitPipeline, pixels: int) -> dict[str, Any]:
    """One step, guided by the words and all four branches."""
    rows: list[int] = []
    hook = pipeline.unet.register_forward_pre_hook(
        lambda _module, inputs, kwargs: rows.append(len(inputs[0] if inputs else kwargs["sample"])), with_kwargs=True
    )
    weights = {"text": 2.0, **dict.fromkeys(KINDS, 2.0)}
    drawn: Any = pipeline(
        "portrait", **conditions_for(pipeline, 1, KINDS), guidance=weights, num_inference_steps=1, height=pixels,
        width=pixels, generator=[torch.Generator().manual_seed(0)], output_type="pt",
    )  # fmt: skip
    hook.remove()
    picture = torch.as_tensor(drawn.images)
    return {"rows": rows, "shape": list(picture.shape), "finite": bool(torch.isfinite(picture).all())}


def train(pipeline: PortraitPipeline, latent: int) -> dict[str, Any]:
    """One step of all branches' parameters, the UNet frozen and its activations computed again."""
    unet: Any = pipeline.unet
    branches = pipeline.adapters
    trained = {f"{kind}.{name}": p for kind, one in branches.items() for name, p in one.named_parameters()}
    for parameter in trained.values():
        parameter.requires_grad_(True)
    before = {name: parameter.detach().flatten()[:64].clone() for name, parameter in trained.items()}
    unet.enable_gradient_checkpointing()
    unet.train()
    optimizer = torch.optim.Adafactor(
        trained.values(), lr=1e-2, foreach=False
    )  # Adam's averages would fill the machine
    generator = torch.Generator().manual_seed(2)
    noisy, noise = (torch.randn(1, 4, latent, latent, generator=generator).to(DTYPE) for _ in range(2))
    states = torch.randn(1, 77, unet.config.cross_attention_dim, generator=generator).to(DTYPE)
    added = {"text_embeds": states[:, 0, :1280], "time_ids": torch.tensor([[8.0 * latent] * 6])}
    with Injection(unet, list(branches.values())) as injection:
        tokens = {name: branches[name].encode(value) for name, value in conditions_for(pipeline, 1, KINDS).items()}
        told = unet(
            noisy, torch.tensor([500]), states, cross_attention_kwargs=injection.condition(tokens),
            added_cond_kwargs=added if states.shape[-1] == 2048 else None,
        ).sample  # fmt: skip
        loss = (told.float() - noise.float()).square().mean()
        loss.backward()
    moved: dict[str, int] = dict.fromkeys(KINDS, 0)
    lost = [
        name for name, parameter in trained.items() if parameter.grad is None or not parameter.grad.isfinite().all()
    ]
    optimizer.step()
    for name, parameter in trained.items():
        moved[name.partition(".")[0]] += int(not torch.equal(before[name], parameter.detach().flatten()[:64]))
    return {
        "loss": loss.item(), "moved": moved, "without gradient": lost,
        "frozen": all(parameter.grad is None for parameter in unet.parameters()),
        "trained": sum(parameter.numel() for parameter in trained.values()),
    }  # fmt: skip


def main(size: str, pixels: int) -> None:
    """Print what was drawn, what was trained, and the most memory held after each, as one line of JSON."""
    told: dict[str, Any] = {"base": size, "pixels": pixels, "dtype": str(DTYPE).removeprefix("torch.")}
    clock = time.process_time(), time.perf_counter()
    pipeline = build(size)
    told["unet"] = sum(parameter.numel() for parameter in pipeline.unet.parameters())
    for name, made in (("built", None), ("drawn", draw), ("trained", train)):
        if made is not None:
            told[name] = made(pipeline, pixels if made is draw else pixels // 8)
        now = time.process_time(), time.perf_counter()
        told[f"{name}: CPU seconds, seconds"] = [round(b - a, 1) for a, b in zip(clock, now, strict=True)]
        told[f"{name}: peak GiB"] = round(peak("cpu") / 1024, 2)
        clock = now
    print(json.dumps(told))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
