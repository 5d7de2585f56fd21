"""Train the studio's base: text encoder and UNet, on captions and on Arc2Face-style identity prompts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from mien.models import StudioAutoencoder
from mien.models.text import encode_ids
from mien.models.unet import build_unet
from mien.training.diffusion import (
    PredictionType,
    errors_by_timestep,
    loss_weights,
    noisy,
    studio_scheduler,
    target_of,
    weighted_mse,
)
from mien.training.features import identity_embeddings, latents
from mien.training.objective import Logs, Objective
from mien.training.prompts import Kind, Prompts
from mien.training.sources import Sources

if TYPE_CHECKING:
    from mien.data.corpus import Corpus


class BaseObjective(Objective):
    """V-prediction loss on latents, four kinds of prompt mixed in each batch.

    Captions see every pose and expression (Stable Diffusion's role); identity prompts see what photographs look like
    (Arc2Face's role: mostly neutral or happy, looking ahead), so that the base is entangled as Arc2Face is
    (DESIGN section 3).

    Args:
        sources: where the autoencoder and the identity embedder are.
        mixture: odds of the kinds of prompt (:class:`Kind`).
        photo_like: share of identity prompts drawn from photograph-like pictures.
        compile: compile the UNet (minutes of start on a CPU; worth it for runs of many hours).
        prediction_type: of the noise schedule.
        gamma: see :func:`loss_weights`.
    """

    _run_unet: Callable[..., Any]

    def __init__(
        self,
        sources: Sources,
        mixture: tuple[float, float, float, float] = (0.3, 0.3, 0.3, 0.1),
        photo_like: float = 0.7,
        compile: bool = False,
        prediction_type: PredictionType = "v_prediction",
        gamma: float | None = None,
    ) -> None:
        super().__init__()
        self.sources = sources
        self.mixture, self.photo_like = np.asarray(mixture), photo_like
        self.scheduler, self.gamma = studio_scheduler(prediction_type), gamma
        self.unet = build_unet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._compile = compile
        self.tokenizer: Any = None

    def prepare(self, corpus: Corpus, folder: Path) -> None:
        """The pre-trained text encoder, cached latents and identity embeddings, tokenised prompts."""
        from transformers import CLIPTextModel, PreTrainedTokenizerFast

        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(self.sources.path("tokenizer"))
        text_encoder: Any = CLIPTextModel.from_pretrained(self.sources.path("text_encoder"))
        self.text_encoder = text_encoder.float().to(self.unet.device)
        self._data = self._arrays(corpus)
        self._photo_rows = np.nonzero(photo_like_rows(corpus))[0]
        # Not a submodule: the compiled wrapper shares the UNet's parameters.
        object.__setattr__(self, "_run_unet", torch.compile(self.unet) if self._compile else self.unet)

    def _arrays(self, corpus: Corpus) -> dict[str, Any]:
        vae = StudioAutoencoder.from_pretrained(self.sources.path("vae")).float()
        return {
            "latents": latents(corpus, vae),
            "identity": identity_embeddings(corpus, self.sources.path("identity")),
            "prompts": Prompts(self.tokenizer, self.text_encoder.config.hidden_size, corpus.captions),
        }

    def learning_rates(self) -> dict[str, float]:
        """The text encoder knows its words already: a tenth of the rate."""
        return {"text_encoder.": 0.1}

    def batch(self, corpus: Corpus, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Rows by kind of prompt; the identity embedding is of another picture of the same person."""
        kinds = rng.choice(4, size, p=self.mixture)
        rows = rng.integers(0, len(corpus), size)
        ahead = (kinds == Kind.IDENTITY) & (rng.random(size) < self.photo_like)
        rows[ahead] = rng.choice(self._photo_rows, ahead.sum())
        return self._gather(rows, corpus.same_person(rows, rng), kinds)

    def _gather(self, rows: np.ndarray, other: np.ndarray, kinds: np.ndarray) -> dict[str, Tensor]:
        return {
            "latents": torch.from_numpy(self._data["latents"][rows]).float(),
            "identity": torch.from_numpy(self._data["identity"][other]).float(),
            "ids": self._data["prompts"].ids(kinds, rows),
        }

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        noised, timesteps, noise = noisy(self.scheduler, batch["latents"], generator)
        target = target_of(self.scheduler, batch["latents"], noise, timesteps)
        weights = loss_weights(self.scheduler, timesteps, self.gamma)
        return weighted_mse(self.predict(batch, noised, timesteps), target, weights), {}

    def predict(self, batch: dict[str, Tensor], noised: Tensor, timesteps: Tensor) -> Tensor:
        """The UNet's output for noisy latents under the prompts of a batch."""
        hidden = encode_ids(self.text_encoder, batch["ids"], batch["identity"], self._data["prompts"].id_token)
        return self._run_unet(noised.contiguous(memory_format=torch.channels_last), timesteps, hidden).sample

    def validate(self, corpus: Corpus) -> Logs:
        """Squared error on held-out people by kind of prompt and timestep, and the same with other people's prompts."""
        held_out = corpus.held_out
        if held_out is None:
            return {}
        kept, self._data = self._data, self._arrays(held_out)
        rng, logs = np.random.default_rng(0), {}
        rows = np.linspace(0, len(held_out) - 1, 256).round().astype(np.int64)
        other, order = held_out.same_person(rows, rng), torch.from_numpy(rng.permutation(len(rows)))
        for kind in (Kind.CAPTION, Kind.IDENTITY):
            right = self._gather(rows, other, np.full(len(rows), kind))
            wrong = right | {key: right[key][order] for key in ("identity", "ids")}
            for name, batch in (("right", right), ("shuffled", wrong)):
                batch = {key: value.to(self.unet.device) for key, value in batch.items()}
                errors = errors_by_timestep(self.scheduler, batch["latents"], partial(self.predict, batch))
                logs |= {f"{kind.name.lower()}_{name}_{step}": error for step, error in errors.items()}
        self._data = kept
        return logs

    def parts(self) -> dict[str, nn.Module]:
        """See the base class."""
        return {"unet": self.unet, "text_encoder": self.text_encoder}

    def export(self, folder: Path) -> None:
        """``unet/``, ``text_encoder/``, ``tokenizer/``, ``scheduler/``."""
        super().export(folder)
        self.tokenizer.save_pretrained(folder / "tokenizer")
        self.scheduler.save_pretrained(folder / "scheduler")


def photo_like_rows(corpus: Corpus) -> np.ndarray:
    """Boolean [N]: neutral or happy, and |yaw| < 15 degrees."""
    kind = corpus["emotion"][:, 2:].argmax(1)
    return (kind <= 1) & (np.abs(corpus["pose"][:, 0]) < 15)
