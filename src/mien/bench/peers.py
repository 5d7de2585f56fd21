"""What people use today, built from stock diffusers on the same UNet, text encoder and scheduler.

- ``controlnet``: ``StableDiffusionControlNetPipeline`` with one IP-Adapter, the layout of Arc2Face + ControlNet;
- ``ip-adapters``: ``StableDiffusionPipeline`` with two IP-Adapters, one for the face and one for the expression.

Both use classifier-free guidance with two evaluations in one batch. Their weights are random: only time and memory are
compared. Latents are decoded by the same code as ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor, nn

from mien.adapters.blocks import describe_unet
from mien.bench.rig import IDENTITY_WIDTH, filled, twin
from mien.models.text import ID_PROMPT, encode_prompt
from mien.pipelines.portrait import PortraitPipeline

if TYPE_CHECKING:
    from diffusers import ControlNetModel, UNet2DConditionModel


Peer = Literal["controlnet", "ip-adapters"]
PEERS: tuple[Peer, ...] = get_args(Peer)
TOKENS = 4
"""Of an IP-Adapter, as published for SD1.5."""
SCALE = 7.5
"""diffusers' own guidance scale; any above 1 costs the same."""


class StockPipeline:
    """One of the peers.

    Args:
        kind: see the module.
        ours: whose parts it shares.
    """

    def __init__(self, kind: Peer, ours: PortraitPipeline) -> None:
        from diffusers import StableDiffusionControlNetPipeline, StableDiffusionPipeline

        self.kind, self.ours = kind, ours
        unet = with_ip_adapters(ours.unet, 1 if kind == "controlnet" else 2)
        parts: dict[str, Any] = {
            "vae": None, "text_encoder": ours.text_encoder, "tokenizer": ours.tokenizer, "unet": unet,
            "scheduler": type(ours.scheduler).from_config(ours.scheduler.config), "safety_checker": None,
            "feature_extractor": None, "image_encoder": None, "requires_safety_checker": False,
        }  # fmt: skip
        if kind == "controlnet":
            self.pipeline: Any = StableDiffusionControlNetPipeline(**parts, controlnet=random_controlnet(ours))
        else:
            self.pipeline = StableDiffusionPipeline(**parts)
        self.pipeline.vae_scale_factor = ours.vae_scale_factor
        self.pipeline.set_progress_bar_config(disable=True)

    @torch.no_grad()
    def __call__(
        self, identity: Tensor, landmarks: Tensor, steps: int, pixels: int, generator: list[torch.Generator]
    ) -> Tensor:
        """Draw.

        Args:
            identity: face embeddings [P, 512].
            landmarks: what the ControlNet reads, [P, 3, H, W] in [-1, 1].
            steps: denoising steps.
            pixels: side of the pictures.
            generator: one a picture.

        Returns:
            The latents of the P pictures, which are decoded too.
        """
        ours, pictures = self.ours, len(identity)
        prompts = [ID_PROMPT] * pictures
        said, null = (
            encode_prompt(ours.tokenizer, ours.text_encoder, texts).to(ours.unet.dtype)
            for texts in (prompts, [""] * pictures)
        )
        embeds = torch.cat([torch.zeros_like(identity), identity])[:, None]
        adapters = len(self.pipeline.unet.encoder_hid_proj.image_projection_layers)
        if self.kind == "controlnet":
            size = (pixels, pixels)
            picture = torch.nn.functional.interpolate((landmarks.float() + 1) / 2, size=size, mode="bilinear")
            options = {"image": picture.to(landmarks.dtype)}
        else:
            options = {"height": pixels, "width": pixels}
        latents = self.pipeline(
            prompt_embeds=said, negative_prompt_embeds=null, ip_adapter_image_embeds=[embeds] * adapters,
            num_inference_steps=steps, guidance_scale=SCALE, generator=generator, output_type="latent", **options,
        ).images  # fmt: skip
        ours._finish(latents.float(), "pil")
        return latents


def random_controlnet(ours: PortraitPipeline) -> ControlNetModel:
    """A ControlNet of the base's shape that reads pictures as large as the base's."""
    from mien.models.controlnet import build_controlnet

    with torch.device("meta"):
        shape: Any = type(ours.unet).from_config(ours.unet.config)
        controlnet = build_controlnet(shape, ours.vae_scale_factor, explicit=False)
    filled(controlnet, ours.unet.dtype).to(ours.device)
    return controlnet


def with_ip_adapters(unet: UNet2DConditionModel, count: int) -> UNet2DConditionModel:
    """The UNet's twin with stock IP-Adapters of random weights; the UNet itself is left alone."""
    other = twin(unet)
    width = unet.config["cross_attention_dim"]
    blocks = describe_unet(unet)
    order = [name for name in other.attn_processors if name.endswith("attn2.processor")]
    states = []
    for _ in range(count):
        layers = {}
        for number, name in enumerate(order):
            hidden = blocks[name.removesuffix(".processor").replace(".", "/")].hidden
            for part in ("to_k_ip", "to_v_ip"):
                layers[f"{2 * number + 1}.{part}.weight"] = torch.randn(hidden, width) * 0.02
        projection = {
            "proj.weight": torch.randn(TOKENS * width, IDENTITY_WIDTH) * 0.02,
            "proj.bias": torch.zeros(TOKENS * width),
            "norm.weight": torch.ones(width),
            "norm.bias": torch.zeros(width),
        }
        states.append({"image_proj": projection, "ip_adapter": layers})
    other._load_ip_adapter_weights(states, low_cpu_mem_usage=False)
    nn.Module.to(other, unet.device, unet.dtype)
    return other
