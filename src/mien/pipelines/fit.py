"""Whether the parts of a pipeline fit each other: widths that are only met while drawing, checked before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torch import nn

from mien.diffusion.prediction import PREDICTIONS
from mien.errors import BadInput, MienError, first_line
from mien.pipelines.schedulers import with_steps

if TYPE_CHECKING:
    from mien.diffusion.schedulers import Scheduler
    from mien.pipelines.portrait import PortraitPipeline


_SCALINGS = {0.18215: 1, 0.13025: 2}
"""Scale of the latents of the published autoencoders -> text encoders of the bases that are trained on them."""
_MADE_FOR = {1: "Stable Diffusion 1.5", 2: "SDXL"}


def check_parts(pipeline: PortraitPipeline, base: object) -> None:
    """Refuse a base whose parts do not fit each other, or that wants something mien does not tell it.

    Args:
        pipeline: as loaded.
        base: its name or place, for the message.

    Raises:
        BadInput: naming the first two parts that do not fit, or what a configuration says that no library can use.
    """
    try:
        _check(pipeline, base)
    except (MienError, MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # a configuration may hold anything in the place of a number or a name
        why = first_line(error).rstrip(" .:")
        raise BadInput(f"A configuration of {base} holds what none does ({why}): get a whole copy.") from error


def _check(pipeline: PortraitPipeline, base: object) -> None:
    unet, vae = pipeline.unet.config, pipeline.vae.config
    if unet.in_channels != vae.latent_channels:
        raise BadInput(
            f"The UNet of {base} reads {unet.in_channels} channels where its autoencoder has {vae.latent_channels}: it "
            "was made for inpainting or editing; use the plain base."
        )
    if unet.time_cond_proj_dim is not None:
        raise BadInput(f"{base} is distilled with its guidance inside, where mien cannot steer it; use an LCM LoRA.")
    _check_scheduler(pipeline.scheduler, base)
    with_steps(type(pipeline.scheduler).from_config(pipeline.scheduler.config), 2, "cpu")  # a use of all its settings
    _limit_tokenizers(pipeline)
    problem = next(_misfits(pipeline), None)
    if problem is not None:
        raise BadInput(f"The parts of {base} do not fit each other: {problem}; get a whole copy of one base.")


def _texts(pipeline: PortraitPipeline) -> Iterator[tuple[str, Any, Any]]:
    """Name, text encoder and tokenizer of each pair."""
    for name, tokenizer in (("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2")):
        if (encoder := getattr(pipeline, name, None)) is not None:
            yield name, encoder, getattr(pipeline, tokenizer, None)


def _limit_tokenizers(pipeline: PortraitPipeline) -> None:
    """A tokenizer that states no length, which transformers writes as 1e30, has that of its text encoder."""
    for _, encoder, tokenizer in _texts(pipeline):
        if isinstance(length := getattr(tokenizer, "model_max_length", None), int | float):
            tokenizer.model_max_length = int(min(length, encoder.config.max_position_embeddings))


def _check_scheduler(scheduler: Scheduler, base: object) -> None:
    kind = scheduler.config.get("prediction_type")
    # EDM's and flow matching's noise has no alpha_bar
    if kind not in PREDICTIONS or not hasattr(scheduler, "alphas_cumprod"):
        raise BadInput(
            f"{base} is drawn with {type(scheduler).__name__} and predicts {kind}, which mien cannot steer; use a base "
            f"that predicts {', '.join(PREDICTIONS)}."
        )


def _misfits(pipeline: PortraitPipeline) -> Iterator[str]:
    unet = pipeline.unet.config
    if unet.out_channels != unet.in_channels:
        yield f"the UNet reads {unet.in_channels} channels and predicts {unet.out_channels}"
    texts = list(_texts(pipeline))
    width = sum(encoder.config.hidden_size for _, encoder, _ in texts)
    if unet.cross_attention_dim != width:
        yield f"the UNet reads text {unet.cross_attention_dim} wide and the text encoder's is {width}"
    for name, encoder, tokenizer in texts:
        if tokenizer is None or len(tokenizer) > encoder.config.vocab_size:
            tokens = "no tokenizer" if tokenizer is None else f"a tokenizer of {len(tokenizer)}"
            yield f"the {name} knows {encoder.config.vocab_size} words and has {tokens}"
        elif not isinstance(tokenizer.model_max_length, int) or tokenizer.model_max_length < 3:
            yield f"the {name} has a tokenizer for {tokenizer.model_max_length!r} tokens"
    scaling = pipeline.vae.config.get("scaling_factor")
    if scaling in _SCALINGS and _SCALINGS[scaling] != len(texts):  # same shapes, and pictures of wrong colours
        yield f"its autoencoder's scale of {scaling} is {_MADE_FOR[_SCALINGS[scaling]]}'s"
    for setting in ("class_embed_type", "num_class_embeds", "encoder_hid_dim_type"):
        if unet.get(setting) is not None:
            yield f"the UNet has a {setting}, which nothing here tells it"
    added = "text_time" if len(texts) == 2 else None
    own = "text"  # pools the text states that every UNet is given: nothing beside them is needed
    if unet.get("addition_embed_type") not in (added, own):
        yield f"the UNet wants {unet.get('addition_embed_type')} beside the text, and is given {added}"
    elif added and unet.addition_embed_type == added:
        given = 6 * unet.addition_time_embed_dim + texts[1][1].config.projection_dim
        if given != unet.projection_class_embeddings_input_dim:
            wanted = unet.projection_class_embeddings_input_dim
            yield f"the UNet wants {wanted} numbers beside the text, and is given {given}"
    for name, part in pipeline.components.items():
        missing = (
            [key for key, value in part.named_parameters() if value.is_meta] if isinstance(part, nn.Module) else []
        )
        if missing:
            yield f"the {name} lacks {len(missing)} of its weights, such as {missing[0]}"
