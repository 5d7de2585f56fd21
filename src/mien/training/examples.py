"""What the diffusion stages train on: latents, identity embeddings, prompts and conditions of a corpus, cached."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mien.pipelines.autoencoders import vae_scale_factor
from mien.pixels import pictures_to_tensor
from mien.training.bases import base_autoencoder
from mien.training.features import LandmarkPictures, expression_features, face_places, identity_embeddings, latents
from mien.training.prompts import Prompts

if TYPE_CHECKING:
    from mien.data.corpus import Corpus
    from mien.training.sources import Sources


class Examples:
    """One corpus as the frozen networks see it.

    Args:
        corpus: the pictures.
        sources: where the autoencoder, the identity embedder and the expression encoder are.
        tokenizer: of the text encoder.
        width: of the text encoder.
        kinds: branches whose conditions are wanted: ``landmarks``, ``emotion``, ``identity``, ``expression``.
        side: of the latents that the base draws, to whose pictures those of the corpus are brought; None keeps them.
        templates: the expression is read in the templates of a corpus of pairs.
        style: the pictures to be drawn are brought into this style; conditions are read from the pictures as they are.
    """

    def __init__(
        self,
        corpus: Corpus,
        sources: Sources,
        tokenizer: Any,
        width: int,
        kinds: Iterable[str] = (),
        side: int | None = None,
        templates: bool = False,
        style: str | None = None,
    ) -> None:
        self.corpus = corpus
        vae = base_autoencoder(sources.path("vae"))
        self.size = corpus["images"].shape[1] if side is None else side * vae_scale_factor(vae)
        self.latents = latents(corpus, vae, sources.path("vae"), self.size, style)
        self.identity = identity_embeddings(corpus, sources.path("identity"))
        self.places = face_places(corpus, self.latents.shape[-1])
        self.prompts = Prompts(tokenizer, width, corpus.captions)
        self.templates = templates
        self._conditions = {kind: self._condition(kind, sources) for kind in kinds if kind != "identity"}

    def batch(self, rows: np.ndarray, other: np.ndarray, kinds: np.ndarray) -> dict[str, Tensor]:
        """Latents, face places and prompts of pictures ``rows``, identity embeddings of ``other``; all [B]."""
        return {
            "latents": torch.from_numpy(self.latents[rows]).float(),
            "identity": torch.from_numpy(self.identity[other]).float(),
            "ids": self.prompts.ids(kinds, rows),
            "places": torch.from_numpy(self.places[rows]).float(),
        }

    def condition(self, kind: str, rows: np.ndarray, other: np.ndarray) -> Tensor:
        """What the branch of a kind reads: of pictures ``rows`` [B], or for an identity of ``other`` [B]."""
        if kind == "identity":
            return torch.from_numpy(self.identity[other]).float()
        values = self._conditions[kind][rows]
        return pictures_to_tensor(values) if kind == "landmarks" else torch.from_numpy(values).float()

    def _condition(self, kind: str, sources: Sources) -> Any:
        if kind == "landmarks":
            return LandmarkPictures(self.corpus, self.size)
        if kind == "emotion":
            return self.corpus["emotion"]
        return expression_features(self.corpus, sources.path("expression_encoder"), self.templates)
