"""What is trained on a frozen base: the diffusion loss, pairs of pictures, and errors by timestep."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from mien.adapters.attention import AttentionKind
from mien.data.pairs import Pairs
from mien.errors import BadInput
from mien.models.text import encode_ids
from mien.training.bases import SCALES, base_scheduler, base_sizes, base_tokenizer
from mien.training.batches import spread_rows
from mien.training.diffusion import diffusion_loss, errors_by_timestep
from mien.training.examples import Examples
from mien.training.objective import Logs, Objective
from mien.training.prompts import Kind
from mien.training.sources import Sources
from mien.training.texts import frozen_texts, two_texts

if TYPE_CHECKING:
    from mien.data.corpus import Corpus


class FrozenBaseObjective(Objective):
    """The diffusion loss on a frozen base under one condition; a subclass brings what reads the condition.

    Pair sampling (FaceCrafter 3.2): see :class:`mien.data.pairs.Pairs`.

    Args:
        sources: where the base is.
        kind: ``landmarks``, ``emotion``, ``identity`` or ``expression``.
        prompts: odds of the kinds of prompt (:class:`Kind`).
        same_pose: identity pictures of nearly the same pose.
        portraits: see :class:`BaseObjective`.
        drop: share of rows without the condition.
        gamma: see :func:`loss_weights`.
        emphasis: additional weight of the face, and again of its eyes, brows and lips (:func:`face_places`).
        templates: train on a corpus of pairs: the expression comes from each picture's template, another face that
            makes it (EmojiDiff's refined training), not from the picture itself.
        multi_scale: on a base of SDXL's shape, the pictures of each batch have one of several sizes, `SCALES` of the
            size it draws; other bases are not told a size, and keep theirs.
        checkpointing: the UNet's activations are computed again in the backward pass instead of being kept.
    """

    def __init__(
        self,
        sources: Sources,
        kind: str,
        prompts: tuple[float, float, float, float] = (0.1, 0.5, 0.3, 0.1),
        same_pose: bool = False,
        portraits: float = 0.0,
        drop: float = 0.0,
        gamma: float | None = None,
        emphasis: float = 0.0,
        templates: bool = False,
        multi_scale: bool = False,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.style: str | None = None
        self.sources, self.kind, self.templates = sources, kind, templates
        self.odds, self.same_pose, self.drop = np.asarray(prompts), same_pose, drop
        self.portraits = portraits
        self.scheduler, self.gamma, self.emphasis = base_scheduler(sources), gamma, emphasis
        unet: Any = UNet2DConditionModel.from_pretrained(sources.path("unet"))
        self.unet = unet.float().requires_grad_(False).to(memory_format=torch.channels_last)
        self.sizes = base_sizes(unet.config)
        self.scales = SCALES if multi_scale and self.sizes == "sdxl" else SCALES[-1:]
        if checkpointing:
            self.unet.enable_gradient_checkpointing()
        # without flash kernels the backward of the processor's fused attention is a third of a step (DESIGN section 3)
        explicit = self.sizes == "studio" and not torch.cuda.is_available()
        self.attention: AttentionKind = "explicit" if explicit else "auto"

    def prepare(self, corpus: Corpus, folder: Path) -> None:
        """Everything frozen is computed once."""
        if self.templates and "templates" not in corpus.arrays:
            raise BadInput(
                f"{corpus.folder} holds no templates, which this stage draws expressions from: make pairs with  "
                "mien studio pairs  or  mien pairs build."
            )
        encoder, self.text_encoder_2 = frozen_texts(self.sources, self.sizes)
        self.text_encoder: Any = encoder.to(self.unet.device)
        self._tokenizer = base_tokenizer(self.sources.path("tokenizer"))
        self._second: tuple[Any, int] | None = None
        if self.text_encoder_2 is not None:
            self.text_encoder_2.to(self.unet.device)
            tokenizer = base_tokenizer(self.sources.path("tokenizer_2"))
            self._second = (tokenizer, self.text_encoder_2.config.hidden_size)
        self.examples = self._examples(corpus)
        side = self.unet.config["sample_size"]
        self.scaled = [self.examples.scaled(round(scale * side)) for scale in self.scales[:-1]]
        self.pairs = Pairs(corpus, self.same_pose)

    def _examples(self, corpus: Corpus) -> Examples:
        width, side = self.text_encoder.config.hidden_size, self.unet.config["sample_size"]
        paired = self.templates and "templates" in corpus.arrays  # held-out people may have none: then their own
        return Examples(
            corpus, self.sources, self._tokenizer, width, self.conditions(), side, paired, self.style, self._second,
            self.portraits > 0, self.unet.device,
        )  # fmt: skip

    def conditions(self) -> tuple[str, ...]:
        """Kinds of the branches whose conditions are wanted."""
        return (self.kind,)

    def batch(self, corpus: Corpus, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Random pictures; the identity comes from another picture of the same person, or from a portrait."""
        rows = rng.integers(0, len(corpus), size)
        other = self.pairs.partners(rows, rng)
        kinds = rng.choice(4, size, p=self.odds)
        present = rng.random(size) >= self.drop
        examples = [*self.scaled, self.examples][rng.integers(len(self.scales))]
        other = examples.portrayed(rows, other, kinds, self.portraits, rng)
        return self._gather(examples, rows, other, kinds, present)

    def _gather(
        self, examples: Examples, rows: np.ndarray, other: np.ndarray, kinds: np.ndarray, present: np.ndarray
    ) -> dict[str, Tensor]:
        return examples.batch(rows, other, kinds) | {
            "condition": examples.condition(self.kind, rows, other),
            "present": torch.from_numpy(present),
        }

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        places = 1 + self.emphasis * batch["places"]
        predict = partial(self.predict, batch)
        return diffusion_loss(self.scheduler, batch["latents"], predict, generator, self.gamma, places), {}

    def told(self, batch: dict[str, Tensor], copies: int = 1) -> dict[str, Any]:
        """What the UNet (or a ControlNet) is told besides the branches, by keyword, for copies of a batch."""
        if self.text_encoder_2 is None:
            return {"encoder_hidden_states": self.text_states(batch).repeat(copies, 1, 1)}
        second: Any = self.examples.prompts_2
        tokens = (self.examples.prompts.id_token, second.id_token)
        text = two_texts((self.text_encoder, self.text_encoder_2), batch, tokens)
        pooled: Any = text.pooled
        added = {"text_embeds": pooled.repeat(copies, 1), "time_ids": batch["sizes"].repeat(copies, 1)}
        return {"encoder_hidden_states": text.states.repeat(copies, 1, 1), "added_cond_kwargs": added}

    def text_states(self, batch: dict[str, Tensor]) -> Tensor:
        """What the frozen text encoder says of the prompts of a batch, [B, L, D]."""
        with torch.no_grad():
            return encode_ids(self.text_encoder, batch["ids"], batch["identity"], self.examples.prompts.id_token)

    @abstractmethod
    def predict(self, batch: dict[str, Tensor], noised: Tensor, timesteps: Tensor) -> Tensor:
        """The output for noisy latents under the prompts and the condition of a batch."""

    def validate(self, corpus: Corpus) -> Logs:
        """Squared error on held-out people, by timestep, with the right and with shuffled conditions."""
        held_out = corpus.held_out
        if held_out is None:
            return {}
        examples, rng = self._examples(held_out), np.random.default_rng(0)
        rows = spread_rows(len(held_out), 256)
        kind = Kind.EMPTY if self.odds[Kind.IDENTITY] == 0 else Kind.IDENTITY
        other = held_out.same_person(rows, rng)
        batch = self._gather(examples, rows, other, np.full(len(rows), kind), np.ones(len(rows), bool))
        batch = {key: value.to(self.unet.device) for key, value in batch.items()}
        logs = {}
        for name, order in (("right", np.arange(len(rows))), ("shuffled", rng.permutation(len(rows)))):
            given = batch | {"condition": batch["condition"][torch.from_numpy(order)]}
            errors = errors_by_timestep(self.scheduler, batch["latents"], partial(self.predict, given))
            logs |= {f"{name}_{step}": error for step, error in errors.items()}
        return logs
