"""Whether the parts of a pipeline fit each other: widths that are only met while drawing, checked before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torch import nn

from mien.diffusion.prediction import PREDICTIONS
from mien.errors import BadInput

if TYPE_CHECKING:
    from mien.pipelines.portrait import PortraitPipeline


def check_parts(pipeline: PortraitPipeline, base: object) -> None:
    """Refuse a base whose parts do not fit each other, or that wants something mien does not tell it.

    Args:
        pipeline: as loaded.
        base: its name or place, for the message.

    Raises:
        BadInput: naming the first two parts that do not fit.
    """
    unet, vae = pipeline.unet.config, pipeline.vae.config
    if unet.in_channels != vae.latent_channels:
        raise BadInput(
            f"The UNet of {base} reads {unet.in_channels} channels where its autoencoder has {vae.latent_channels}: it "
            "was made for inpainting or editing; use the plain base."
        )
    if unet.time_cond_proj_dim is not None:
        raise BadInput(f"{base} is distilled with its guidance inside, where mien cannot steer it; use an LCM LoRA.")
    _check_scheduler(pipeline.scheduler, base)
    problem = next(_misfits(pipeline), None)
    if problem is not None:
        raise BadInput(f"The parts of {base} do not fit each other: {problem}; get a whole copy of one base.")


def _check_scheduler(scheduler: Any, base: object) -> None:
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
    pairs = [("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2")]
    texts: list[tuple[str, Any, Any]] = [
        (name, encoder, getattr(pipeline, tokenizer, None))
        for name, tokenizer in pairs
        if (encoder := getattr(pipeline, name, None)) is not None
    ]
    width = sum(encoder.config.hidden_size for _, encoder, _ in texts)
    if unet.cross_attention_dim != width:
        yield f"the UNet reads text {unet.cross_attention_dim} wide and the text encoder's is {width}"
    for name, encoder, tokenizer in texts:
        if tokenizer is None or len(tokenizer) > encoder.config.vocab_size:
            told = "no tokenizer" if tokenizer is None else f"a tokenizer of {len(tokenizer)}"
            yield f"the {name} knows {encoder.config.vocab_size} words and has {told}"
    for setting in ("class_embed_type", "num_class_embeds", "encoder_hid_dim_type"):
        if unet.get(setting) is not None:
            yield f"the UNet has a {setting}, which nothing here tells it"
    added = "text_time" if len(texts) == 2 else None
    if unet.get("addition_embed_type") != added:
        yield f"the UNet wants {unet.get('addition_embed_type')} beside the text, and is told {added}"
    elif added:
        told = 6 * unet.addition_time_embed_dim + texts[1][1].config.projection_dim
        if told != unet.projection_class_embeddings_input_dim:
            wanted = unet.projection_class_embeddings_input_dim
            yield f"the UNet wants {wanted} numbers beside the text, and is told {told}"
    for name, part in pipeline.components.items():
        missing = (
            [key for key, value in part.named_parameters() if value.is_meta] if isinstance(part, nn.Module) else []
        )
        if missing:
            yield f"the {name} lacks {len(missing)} of its weights, such as {missing[0]}"
