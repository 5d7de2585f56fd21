"""What is timed: a base with its branches, and the conditions of some pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import diffusers.utils.logging
import torch
import transformers.utils.logging
from torch import Tensor, nn

from mien.adapters.presets import preset_branch, unet_config
from mien.errors import BadInput
from mien.faces.alignment import CROP
from mien.faces.networks import expression_input
from mien.pipelines.load import without_bars
from mien.pipelines.portrait import PortraitPipeline

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel
    from transformers import PreTrainedTokenizerBase

SIZES = ("sd15",)
CONDITIONS = ("identity", "landmarks", "emotion")
"""FaceCrafter's four evaluations: nothing, identity, identity and landmarks, identity and emotion."""
IDENTITY_WIDTH = 512
_TEXT_15: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}
_VAE_15: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
}


def rig(base: str, size: str | None, dtype: torch.dtype, device: str) -> PortraitPipeline:
    """A base to time.

    Args:
        base: ``studio``, or what `mien.pipelines.bases.open_base` takes.
        size: ``sd15`` for that base's shapes with random weights in the place of ``base``: nothing is downloaded.
        dtype: of the weights.
        device: where they go.

    Raises:
        BadInput: for another size, or a base of SDXL's shape, whose peers are others.
    """
    diffusers.utils.logging.set_verbosity_error()  # it warns of casts that are meant
    transformers.utils.logging.set_verbosity_error()
    if size is None:
        from mien.pipelines.bases import open_base

        with without_bars():
            pipeline = open_base(base, dtype)
        if type(pipeline) is not PortraitPipeline:
            raise BadInput("The peers are made for bases of SD1.5's shape; take studio, or --size sd15.")
    elif size in SIZES:
        pipeline = _random_sd15(dtype)
    else:
        raise BadInput(f"There is no size {size!r}; choose {', '.join(SIZES)}, or leave it out.")
    pipeline.set_progress_bar_config(disable=True)
    return pipeline if device == "cpu" else pipeline.to(device)


def _random_sd15(dtype: torch.dtype) -> PortraitPipeline:
    """Stable Diffusion 1.5's networks and FaceCrafter's branches, with random weights."""
    from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, UNet2DConditionModel
    from transformers import AutoTokenizer, CLIPTextConfig, CLIPTextModel

    from mien.assets import embedded

    # the words do not matter, their number does
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        embedded("studio") / "tokenizer", model_max_length=77
    )
    with torch.device("meta"):
        unet: Any = UNet2DConditionModel.from_config(unet_config("sd15"))
        vae = AutoencoderKL(**_VAE_15)
        text = CLIPTextModel(CLIPTextConfig(vocab_size=49408, projection_dim=768, **_TEXT_15))
        branches = {kind: preset_branch(unet, "sd15", kind) for kind in ("landmarks", "emotion")}
    for module in (unet, vae, text, *branches.values()):
        filled(module, dtype)
    scheduler = DPMSolverMultistepScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="epsilon"
    )
    return PortraitPipeline(vae, text, tokenizer, unet, scheduler, adapters=branches)


def filled(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A module from the meta device, with small random weights from seed 0, norms that do nothing, and no gradients."""
    generator = torch.Generator().manual_seed(0)
    nn.Module.to(module, dtype).to_empty(device="cpu").requires_grad_(False).eval()
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if name.endswith("position_ids"):
            tensor.copy_(torch.arange(tensor.shape[-1]).expand_as(tensor))
        elif tensor.is_floating_point():
            is_norm = tensor.ndim == 1 and name.endswith("weight")
            tensor.fill_(1.0) if is_norm else tensor.normal_(0.0, 0.02, generator=generator)
    return module


def conditions_for(pipeline: PortraitPipeline, pictures: int, names: tuple[str, ...] = CONDITIONS) -> dict[str, Any]:
    """Random conditions of some pictures, as the pipeline takes them."""
    generator = torch.Generator().manual_seed(1)
    side = _side(pipeline)
    made: dict[str, Tensor] = {
        "identity": torch.randn(pictures, IDENTITY_WIDTH, generator=generator),
        "landmarks": torch.rand(pictures, 3, side, side, generator=generator) * 2 - 1,
        "emotion": torch.rand(pictures, 10, generator=generator),
    }
    if "expression" in names:
        features = pipeline.adapters["expression"].encoder.condition_shape
        encoder = pipeline.expression_encoder
        side = CROP if encoder is None else expression_input(encoder.config)["size"]
        crops = (3, side, side) if encoder is not None else features
        made["expression"] = torch.rand(pictures, *crops, generator=generator) * 2 - 1
    return {name: made[name].to(pipeline.device, pipeline.unet.dtype) for name in names}


def _side(pipeline: PortraitPipeline) -> int:
    """Side of a landmark picture in pixels."""
    config: Any = pipeline.unet.config
    return int(config.sample_size * pipeline.vae_scale_factor)


def twin(module: UNet2DConditionModel) -> UNet2DConditionModel:
    """Another module of the same class over the same weights: it can be changed, and costs no memory."""
    kind: Any = type(module)
    with torch.device("meta"):
        other = kind.from_config(module.config)
    other.load_state_dict(module.state_dict(), assign=True)
    return other.eval()
