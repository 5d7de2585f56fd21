"""Tiny random models for tests: the shapes of the real ones, a thousandth of the size."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel

from mien.adapters import Branch

TEXT_DIM = 32
NULLS: dict[str, Any] = {"landmarks": "cut", "emotion": "cut", "expression": "zeros", "identity": "zeros"}


def tiny_unet(seed: int = 0, **changes: Any) -> Any:
    """A UNet with five cross-attentions on an 8x8 latent of 4 channels (grids 8 and 4)."""
    settings: dict[str, Any] = {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "layers_per_block": 1,
        "block_out_channels": (16, 32),
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": TEXT_DIM,
        "attention_head_dim": (2, 4),
        "norm_num_groups": 4,
    }
    torch.manual_seed(seed)
    return UNet2DConditionModel(**{**settings, **changes}).eval()


def tiny_sdxl_unet(seed: int = 0) -> Any:
    """SDXL's shape: linear projections, several transformer layers, text and time embeddings added."""
    return tiny_unet(
        seed,
        block_out_channels=(16, 32, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2),
        attention_head_dim=(2, 4, 8),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 20,
    )


def tiny_branch(unet: Any, kind: str = "emotion", token_dim: int = 16, seed: int = 1, **more: Any) -> Branch:
    """A branch with random (not zero) projections, so that it does something."""
    torch.manual_seed(seed)
    encoders = {
        "emotion": {"hidden": 16, "tokens": 3},
        "identity": {"embedding_dim": 512, "hidden": 24, "tokens": 2},
        "expression": {"feature_dim": 20, "tokens": 5, "pooled": False},
        "landmarks": {"size": 32, "unshuffle": 4, "channels": [16, 16], "residuals": [0, 1]},
    }
    branch = Branch.for_unet(unet, kind, token_dim, encoder=more.pop("encoder", encoders[kind]), **more)
    for pair in branch.projections().values():
        torch.nn.init.normal_(pair.to_v.weight, std=0.5)
    return branch.eval()


def tiny_condition(kind: str, batch: int, seed: int = 2) -> torch.Tensor:
    """A random condition of the kinds above."""
    shapes = {"emotion": (10,), "identity": (512,), "expression": (5, 20), "landmarks": (3, 32, 32)}
    return torch.randn(batch, *shapes[kind], generator=torch.Generator().manual_seed(seed))


def tiny_autoencoder(seed: int = 0) -> Any:
    """An AutoencoderKL that halves the side, to 4 channels."""
    torch.manual_seed(seed)
    settings: dict[str, Any] = {
        "block_out_channels": (8, 8),
        "down_block_types": ("DownEncoderBlock2D", "DownEncoderBlock2D"),
        "up_block_types": ("UpDecoderBlock2D", "UpDecoderBlock2D"),
        "latent_channels": 4,
        "norm_num_groups": 4,
        "sample_size": 16,
    }
    return AutoencoderKL(**settings).eval()


def tiny_scheduler(prediction_type: Any = "v_prediction") -> Any:
    """The studio's noise schedule."""
    return DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=prediction_type
    )


def tiny_text() -> tuple[Any, Any]:
    """A tokenizer of a few words and a CLIP text model of width 32."""
    from mien.models.text import build_text_encoder, train_tokenizer

    captions = ["portrait of a person with red hair", "teal background, light from the left", "round glasses"]
    tokenizer = train_tokenizer(captions, vocabulary=160, length=24)
    torch.manual_seed(5)
    return tokenizer, build_text_encoder(tokenizer, hidden=TEXT_DIM, layers=1, intermediate=32).eval()


def tiny_xl_text(tokenizer: Any) -> dict[str, Any]:
    """SDXL's two text models for one tokenizer: widths 12 and 20, three layers, a pooled vector of 20."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    shared: dict[str, Any] = {
        "vocab_size": len(tokenizer), "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32,
        "max_position_embeddings": tokenizer.model_max_length, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    torch.manual_seed(6)
    first = CLIPTextModel(CLIPTextConfig(**shared, hidden_size=12)).eval()
    second = CLIPTextModelWithProjection(CLIPTextConfig(**shared, hidden_size=20, projection_dim=20)).eval()
    return {"text_encoder": first, "text_encoder_2": second}


def tiny_xl_pipeline(kinds: tuple[str, ...] = ("landmarks", "emotion", "expression", "identity"), **parts: Any) -> Any:
    """A whole pipeline of SDXL's shape, of 16-pixel pictures."""
    from diffusers import EulerDiscreteScheduler

    from mien.pipelines import PortraitXLPipeline

    tokenizer, _ = tiny_text()
    unet = parts.pop("unet", None) or tiny_sdxl_unet()
    components = {
        "vae": tiny_autoencoder(),
        **tiny_xl_text(tokenizer),
        "tokenizer": tokenizer,
        "tokenizer_2": tokenizer,
        "unet": unet,
        "scheduler": EulerDiscreteScheduler.from_config(tiny_scheduler("epsilon").config),
        "adapters": {kind: tiny_branch(unet, kind, null=NULLS[kind]) for kind in kinds},
    }
    pipeline = PortraitXLPipeline(**{**components, **parts})
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def tiny_pipeline(kinds: tuple[str, ...] = ("landmarks", "emotion", "expression", "identity"), **parts: Any) -> Any:
    """A whole pipeline of 16-pixel pictures."""
    from diffusers import DPMSolverMultistepScheduler

    from mien.pipelines import PortraitPipeline

    tokenizer, text_encoder = tiny_text()
    unet = parts.pop("unet", None) or tiny_unet()
    components = {
        "vae": tiny_autoencoder(),
        "text_encoder": text_encoder,
        "tokenizer": tokenizer,
        "unet": unet,
        "scheduler": DPMSolverMultistepScheduler.from_config(tiny_scheduler().config),
        "adapters": {kind: tiny_branch(unet, kind, null=NULLS[kind]) for kind in kinds},
    }
    pipeline = PortraitPipeline(**{**components, **parts})
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
