"""What the diffusion stages train on: latents, identity embeddings, prompts and conditions of a corpus, cached."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from mien.models.text import encode_ids
from mien.pipelines.autoencoders import vae_scale_factor
from mien.training.bases import base_autoencoder
from mien.training.features import (
    LandmarkPictures,
    expression_features,
    face_places,
    identity_embeddings,
    latents,
    portrait_embeddings,
    training_landmarks,
)
from mien.training.parts import ROW
from mien.training.prompts import WORDED, Prompts
from mien.training.resident import Resident

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

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
        second: tokenizer and width of SDXL's second text encoder; batches then hold its token ids and the sizes that
            SDXL is given.
        portraits: face embeddings may be those of portraits, see `portrayed`.
        device: where batches are wanted.
    """

    def __init__(
        self,
        corpus: Corpus,
        sources: Sources,
        tokenizer: PreTrainedTokenizerBase,
        width: int,
        kinds: Iterable[str] = (),
        side: int | None = None,
        templates: bool = False,
        style: str | None = None,
        second: tuple[PreTrainedTokenizerBase, int] | None = None,
        portraits: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        self.corpus, self._vae, self._style, self._device = corpus, sources.path("vae"), style, torch.device(device)
        if not corpus.on_device:  # processes that make batches have no GPU
            self._device = torch.device("cpu")
        vae = base_autoencoder(self._vae)
        self.size = corpus["images"].shape[1] if side is None else side * vae_scale_factor(vae)
        self.latents = latents(corpus, vae, self._vae, self.size, style)
        place = sources.path("identity")
        self.identity = identity_embeddings(corpus, place)
        if portraits:
            self.identity = np.concatenate([self.identity, portrait_embeddings(corpus, place)])
        self.places = face_places(corpus, self.latents.shape[-1])
        self.prompts = Prompts(corpus, tokenizer, width)
        self.prompts_2 = None if second is None else Prompts(corpus, *second)
        self.templates = templates
        self._conditions = {kind: self._condition(kind, sources) for kind in kinds if kind != "identity"}
        self._faces = Resident(self.identity, self._device)
        self._keep()

    def text_states(self, text_encoder: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """States of the prompts of a batch, faces put in, [B, L, D]; with gradients where the encoder has some."""
        return encode_ids(text_encoder, batch["ids"], batch["identity"], self.prompts.id_token)

    def _keep(self) -> None:
        """What is drawn, for the device."""
        self._drawn = Resident(self.latents, self._device), Resident(self.places, self._device)

    def portrayed(
        self, rows: np.ndarray, other: np.ndarray, kinds: np.ndarray, share: float, rng: np.random.Generator
    ) -> np.ndarray:
        """Which embedding each of ``rows`` [B] is given: ``other``, or in a share of the rows that of its portrait.

        The portrait tells the look of the very picture, another one the person alone. Where a caption says how the
        picture looks, it is a portrait half as often, so that words are followed against a photograph too.

        Args:
            rows: pictures to be drawn.
            other: other pictures of the same people, [B].
            kinds: of the prompts, [B].
            share: of the rows without a caption; with one, half of it. More than 0 only with ``portraits``.
            rng: decides.

        Returns:
            [B], what `batch` and `condition` take as ``other``.
        """
        if not share:
            return other
        probabilities = np.where(np.isin(kinds, WORDED), share / 2, share)
        return np.where(rng.random(len(rows)) < probabilities, len(self.corpus) + rows, other)

    def landmarks(self, rows: np.ndarray) -> Tensor:
        """Landmarks [B, 478, 3] of pictures ``rows``, in pixels of the base's pictures."""
        points = torch.from_numpy(training_landmarks(self.corpus, rows))
        return points * (self.size / self.corpus["images"].shape[1])

    def batch(self, rows: np.ndarray, other: np.ndarray, kinds: np.ndarray) -> dict[str, Tensor]:
        """Latents, face places, prompts and numbers of ``rows``, identity embeddings of ``other``; all [B].

        For SDXL also ``sizes`` [B, 6] in pixels: (height, width) of the stored picture, which says how sharp it is
        however large it is drawn; (top, left) of the crop, none; (height, width) of the drawn one (Podell et al. 2023,
        sec. 2.2).
        """
        latents, places = self._drawn
        batch = {
            "latents": latents[rows].float(),
            "identity": self._faces[other].float(),
            "ids": self.prompts.ids(kinds, rows),
            "places": places[rows].float(),
            ROW: torch.from_numpy(rows),
        }
        if self.prompts_2 is None:
            return batch
        stored = self.corpus["images"].shape[1:3]
        sizes = torch.tensor([[*stored, 0, 0, self.size, self.size]], dtype=torch.float32)
        return batch | {"ids_2": self.prompts_2.ids(kinds, rows), "sizes": sizes.repeat(len(rows), 1)}

    def scaled(self, side: int) -> Examples:
        """The same with smaller latents, whose pictures are as much smaller; conditions stay as they are.

        Args:
            side: of these latents.
        """
        other = copy.copy(self)
        vae = base_autoencoder(self._vae)
        other.size = side * vae_scale_factor(vae)
        other.latents = latents(self.corpus, vae, self._vae, other.size, self._style, beside=True)
        other.places = face_places(self.corpus, side, beside=True)
        other._keep()
        return other

    def condition(self, kind: str, rows: np.ndarray, other: np.ndarray) -> Tensor:
        """What the branch of a kind reads: of pictures ``rows`` [B], or for an identity of ``other`` [B].

        Landmark pictures are uint8 [B, S, S, 3].
        """
        if kind == "identity":
            return self._faces[other].float()
        values = self._conditions[kind][rows]
        return torch.as_tensor(values) if kind == "landmarks" else values.float()

    def _condition(self, kind: str, sources: Sources) -> Any:
        if kind == "landmarks":
            return LandmarkPictures(self.corpus, self.size, self._device)
        if kind == "emotion":
            return Resident(self.corpus["emotion"], self._device)
        features = expression_features(self.corpus, sources.path("expression_encoder"), self.templates)
        return Resident(features, self._device)
