"""Train the studio's base: text encoder and UNet, on captions and on Arc2Face-style identity prompts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mien.models import ID_PROMPT, StudioAutoencoder
from mien.models.text import encode_ids, id_token_of, identity_tokens, tokenize
from mien.models.unet import build_unet
from mien.training.diffusion import PredictionType, noisy, snr_weights, studio_scheduler, target_of, weighted_mse
from mien.training.export import save_half
from mien.training.features import identity_embeddings, latents
from mien.training.objective import Logs, Objective
from mien.training.sources import Sources

if TYPE_CHECKING:
    from mien.data.corpus import Corpus

CAPTION, IDENTITY, BOTH, EMPTY = range(4)


class BaseObjective(Objective):
    """Min-SNR-weighted v-prediction loss on latents, four kinds of prompt mixed in each batch.

    Captions see every pose and expression (Stable Diffusion's role); identity prompts see what photographs look like
    (Arc2Face's role: mostly neutral or happy, looking ahead), so that the base is entangled as Arc2Face is
    (DESIGN section 3). ``both`` joins the two in one prompt (*ours*): the face embedding says who, the text the rest.

    Args:
        sources: where the autoencoder and the identity embedder are.
        mixture: odds of a caption, an identity prompt, both, an empty prompt.
        photo_like: share of identity prompts drawn from photograph-like pictures.
        compile: compile the UNet (minutes of start on a CPU; worth it for runs of many hours).
        prediction_type: of the noise schedule.
    """

    _run_unet: Callable[..., Any]

    def __init__(
        self,
        sources: Sources,
        mixture: tuple[float, float, float, float] = (0.3, 0.3, 0.3, 0.1),
        photo_like: float = 0.7,
        compile: bool = False,
        prediction_type: PredictionType = "v_prediction",
    ) -> None:
        super().__init__()
        self.sources = sources
        self.mixture, self.photo_like = np.asarray(mixture), photo_like
        self.scheduler = studio_scheduler(prediction_type)
        self.unet = build_unet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._compile = compile
        self.tokenizer: Any = None

    def prepare(self, corpus: Corpus, folder: Path) -> None:
        """The pre-trained text encoder, cached latents and identity embeddings, tokenised prompts."""
        from transformers import CLIPTextModel, PreTrainedTokenizerFast

        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(self.sources.path("tokenizer"))
        text_encoder: Any = CLIPTextModel.from_pretrained(self.sources.path("text_encoder"))
        self.text_encoder = text_encoder.float().to(self.unet.device)
        vae = StudioAutoencoder.from_pretrained(self.sources.path("vae")).float()
        self._latents = latents(corpus, vae)
        self._identities = identity_embeddings(corpus, self.sources.path("identity"))
        count = identity_tokens(self.text_encoder.config.hidden_size)
        self._id_token = id_token_of(self.tokenizer)
        both = [f"{ID_PROMPT}, {caption}" for caption in corpus.captions]
        self._ids = {
            CAPTION: tokenize(self.tokenizer, corpus.captions, count),
            BOTH: tokenize(self.tokenizer, both, count),
            IDENTITY: tokenize(self.tokenizer, [ID_PROMPT], count),
            EMPTY: tokenize(self.tokenizer, [""], count),
        }
        self._photo_rows = np.nonzero(photo_like_rows(corpus))[0]
        # Not a submodule: the compiled wrapper shares the UNet's parameters.
        object.__setattr__(self, "_run_unet", torch.compile(self.unet) if self._compile else self.unet)

    def learning_rates(self) -> dict[str, float]:
        """The text encoder knows its words already: a tenth of the rate."""
        return {"text_encoder.": 0.1}

    def batch(self, corpus: Corpus, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Rows by kind of prompt; the identity embedding is of another picture of the same person."""
        kinds = rng.choice(4, size, p=self.mixture)
        rows = rng.integers(0, len(corpus), size)
        ahead = (kinds == IDENTITY) & (rng.random(size) < self.photo_like)
        rows[ahead] = rng.choice(self._photo_rows, ahead.sum())
        other = corpus.same_person(rows, rng)
        ids = torch.stack(
            [self._ids[kind][row if kind in (CAPTION, BOTH) else 0] for kind, row in zip(kinds, rows, strict=True)]
        )
        return {
            "latents": torch.from_numpy(self._latents[rows]).float(),
            "identity": torch.from_numpy(self._identities[other]).float(),
            "ids": ids,
        }

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        hidden = encode_ids(self.text_encoder, batch["ids"], batch["identity"], self._id_token)
        noised, timesteps, noise = noisy(self.scheduler, batch["latents"], generator)
        noised = noised.contiguous(memory_format=torch.channels_last)
        prediction: Tensor = self._run_unet(noised, timesteps, hidden).sample
        target = target_of(self.scheduler, batch["latents"], noise, timesteps)
        return weighted_mse(prediction, target, snr_weights(self.scheduler, timesteps)), {}

    def validate(self, corpus: Corpus) -> Logs:
        """The same loss on held-out people, caption and identity prompts apart, fixed noise."""
        held_out = corpus.held_out
        if held_out is None:
            return {}
        vae = StudioAutoencoder.from_pretrained(self.sources.path("vae")).float()
        values = latents(held_out, vae)
        identities = identity_embeddings(held_out, self.sources.path("identity"))
        count, logs = identity_tokens(self.text_encoder.config.hidden_size), {}
        rows = np.linspace(0, len(held_out) - 1, 256).round().astype(np.int64)
        other = held_out.same_person(rows, np.random.default_rng(0))
        for name, prompts in (("caption", [held_out.captions[r] for r in rows]), ("identity", [ID_PROMPT] * len(rows))):
            batch = {
                "latents": torch.from_numpy(values[rows]).float(),
                "identity": torch.from_numpy(identities[other]).float(),
                "ids": tokenize(self.tokenizer, prompts, count),
            }
            batch = {key: value.to(self.unet.device) for key, value in batch.items()}
            generator = torch.Generator(self.unet.device).manual_seed(0)
            logs[f"loss_{name}"] = float(self(batch, generator)[0])
        return logs

    def export(self, folder: Path) -> None:
        """``unet/``, ``text_encoder/``, ``tokenizer/``, ``scheduler/``."""
        save_half(self.unet, folder / "unet")
        save_half(self.text_encoder, folder / "text_encoder")
        self.tokenizer.save_pretrained(folder / "tokenizer")
        self.scheduler.save_pretrained(folder / "scheduler")


def photo_like_rows(corpus: Corpus) -> np.ndarray:
    """Boolean [N]: neutral or happy, and |yaw| < 15 degrees."""
    kind = corpus["emotion"][:, 2:].argmax(1)
    return (kind <= 1) & (np.abs(corpus["pose"][:, 0]) < 15)
