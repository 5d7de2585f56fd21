"""A frozen base that something is trained on: its UNet, its texts, the examples it is shown and its loss."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from mien.adapters.attention import AttentionKind
from mien.core.modules import placed
from mien.data.pairs import Pairs
from mien.errors import BadInput
from mien.training.bases import SCALES, base_scheduler, base_sizes, base_tokenizer
from mien.training.diffusion import diffusion_loss
from mien.training.examples import Examples
from mien.training.objective import Logs, Objective, ObjectiveConfig
from mien.training.parts import ROW, Part
from mien.training.prompts import Kind
from mien.training.sources import Sources
from mien.training.texts import frozen_texts, two_texts
from mien.training.validation import Predict, held_out_rows, right_and_shuffled

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from mien.data.corpus import Corpus

Prompts = tuple[float, float, float, float]
"""Probabilities of the kinds of prompt, in the order of :class:`Kind`."""


class FrozenBaseConfig(ObjectiveConfig):
    """What every objective on a frozen base has.

    Attributes:
        same_pose: identity pictures of nearly the same pose.
        portraits: see :class:`mien.training.objectives.base.BaseConfig`.
        gamma: see :func:`mien.training.diffusion.loss_weights`.
        emphasis: additional weight of the face, and again of its eyes, brows and lips (:func:`face_places`).
        templates: train on a corpus of pairs: the expression comes from each picture's template, another face that
            makes it (EmojiDiff's refined training), not from the picture itself.
        multi_scale: on a base of SDXL's shape, the pictures of each batch have one of several sizes, `SCALES` of the
            size it draws; other bases are not given a size, and keep theirs.
        checkpointing: the UNet's activations are computed again in the backward pass instead of being kept.
    """

    same_pose: bool = False
    portraits: float = 0.0
    gamma: float | None = None
    emphasis: float = 0.0
    templates: bool = False
    multi_scale: bool = False
    checkpointing: bool = False


class ConditionConfig(FrozenBaseConfig):
    """What an objective has that trains one condition on a frozen base.

    Attributes:
        prompts: probabilities of the kinds of prompt (:class:`Kind`).
        drop: share of rows without the condition.
    """

    prompts: Prompts = (0.1, 0.5, 0.3, 0.1)
    drop: float = 0.0


class Selection(NamedTuple):
    """Which pictures a batch is made of.

    Attributes:
        examples: what they are taken from.
        rows: pictures to be drawn, [B].
        other: where the identity comes from, see :meth:`Examples.portrayed`, [B].
        kinds: of the prompts, [B].
        present: rows that have the condition, bool [B].
        counts: replicas of each row under each setting, int [B, settings], where a stage has replicas.
    """

    examples: Examples
    rows: np.ndarray
    other: np.ndarray
    kinds: np.ndarray
    present: np.ndarray
    counts: np.ndarray | None = None

    def part(self, part: Part) -> Selection:
        """The rows of a part of the batch."""
        counts = None if self.counts is None else part.of_rows(self.counts)
        own = part.of_rows
        return Selection(self.examples, own(self.rows), own(self.other), own(self.kinds), own(self.present), counts)


Gather = Callable[[Selection], dict[str, Tensor]]


class SelectingObjective(Objective):
    """An objective on a frozen base: it chooses a batch's rows before any is read, so a process reads only its own."""

    @abstractmethod
    def select(self, corpus: Corpus, rng: np.random.Generator, size: int) -> Selection:
        """What is drawn for a batch of ``size`` examples; depends on ``rng`` alone."""

    @abstractmethod
    def gather(self, selection: Selection) -> dict[str, Tensor]:
        """The batch of a selection; each row of it follows from the same row of the selection."""

    def batch(self, corpus: Corpus, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """See the base class."""
        return self.gather(self.select(corpus, rng, size))

    def batch_parts(
        self, corpus: Corpus, rng: np.random.Generator, size: int, parts: Sequence[Part]
    ) -> tuple[list[dict[str, Tensor]], Tensor | None]:
        """See the base class."""
        selection = self.select(corpus, rng, size)
        made = [self.gather(selection.part(part)) for part in parts]
        for one in made:
            one.pop(ROW)
        return made, torch.from_numpy(selection.rows)


class FrozenBase:
    """The base of an objective; the objective brings what reads the condition.

    Pair sampling (FaceCrafter 3.2): see :class:`mien.data.pairs.Pairs`.

    Args:
        sources: where the base is.
        config: see there.
        conditions: kinds of the branches whose conditions are wanted.
        style: see :class:`Examples`.

    Attributes:
        unet: float32, without gradients.
        scheduler: the noise schedule the base was trained on.
        sizes: see :func:`mien.training.bases.base_sizes`.
        scales: of the pictures, see ``multi_scale``.
        attention: how the branches' attention is computed.
        text_encoder: frozen; known after `prepare`, as are the other two.
        examples: the corpus as the frozen networks see it.
        scaled: the same at smaller sizes, see ``multi_scale``.
    """

    def __init__(
        self, sources: Sources, config: FrozenBaseConfig, conditions: tuple[str, ...], style: str | None = None
    ) -> None:
        self.sources, self.config, self.conditions, self.style = sources, config, conditions, style
        self.scheduler = base_scheduler(sources)
        unet = UNet2DConditionModel.from_pretrained(sources.path("unet"))
        self.unet = placed(unet.float().requires_grad_(False), memory_format=torch.channels_last)
        self.sizes = base_sizes(unet.config)
        self.scales = SCALES if config.multi_scale and self.sizes == "sdxl" else SCALES[-1:]
        if config.checkpointing:
            self.unet.enable_gradient_checkpointing()
        # without flash kernels the backward of the processor's fused attention is a third of a step (DESIGN section 3)
        explicit = self.sizes == "studio" and not torch.cuda.is_available()
        self.attention: AttentionKind = "explicit" if explicit else "auto"

    def prepare(self, corpus: Corpus) -> None:
        """Compute everything frozen once.

        Raises:
            BadInput: if templates are wanted and the corpus holds none.
        """
        if self.config.templates and "templates" not in corpus.arrays:
            raise BadInput(
                f"{corpus.folder} holds no templates, which this stage draws expressions from: make pairs with  "
                "mien studio pairs  or  mien pairs build."
            )
        encoder, self.text_encoder_2 = frozen_texts(self.sources, self.sizes)
        self.text_encoder = placed(encoder, device=self.unet.device)
        self.tokenizer = base_tokenizer(self.sources.path("tokenizer"))
        self.tokenizer_2: PreTrainedTokenizerBase | None = None
        if self.text_encoder_2 is not None:
            placed(self.text_encoder_2, device=self.unet.device)
            self.tokenizer_2 = base_tokenizer(self.sources.path("tokenizer_2"))
        self.examples = self.examples_of(corpus)
        side = self.unet.config["sample_size"]
        self.scaled = [self.examples.scaled(round(scale * side)) for scale in self.scales[:-1]]
        self.pairs = Pairs(corpus, self.config.same_pose)

    def examples_of(self, corpus: Corpus) -> Examples:
        """A corpus as the frozen networks see it."""
        width, side = self.text_encoder.config.hidden_size, self.unet.config["sample_size"]
        second = None
        if self.text_encoder_2 is not None and self.tokenizer_2 is not None:
            second = (self.tokenizer_2, self.text_encoder_2.config.hidden_size)
        # held-out people may have no templates: then their own pictures show the expression
        paired = self.config.templates and "templates" in corpus.arrays
        return Examples(
            corpus, self.sources, self.tokenizer, width, self.conditions, side, paired, self.style, second,
            self.config.portraits > 0, self.unet.device,
        )  # fmt: skip

    def select(
        self, corpus: Corpus, rng: np.random.Generator, size: int, prompts: Prompts, drop: float = 0.0
    ) -> Selection:
        """Random pictures; the identity comes from another picture of the same person, or from a portrait."""
        rows = rng.integers(0, len(corpus), size)
        other = self.pairs.partners(rows, rng)
        kinds = rng.choice(4, size, p=np.asarray(prompts))
        present = rng.random(size) >= drop
        examples = [*self.scaled, self.examples][rng.integers(len(self.scales))]
        return Selection(
            examples, rows, examples.portrayed(rows, other, kinds, self.config.portraits, rng), kinds, present
        )

    def gather(self, selection: Selection, condition: str) -> dict[str, Tensor]:
        """A batch with what the branch of the kind ``condition`` reads."""
        examples, rows, other, kinds, present, _ = selection
        return examples.batch(rows, other, kinds) | {
            "condition": examples.condition(condition, rows, other),
            "present": torch.from_numpy(present),
        }

    def loss(self, batch: dict[str, Tensor], predict: Predict, generator: torch.Generator) -> Tensor:
        """The diffusion loss of a batch."""
        places = 1 + self.config.emphasis * batch["places"]
        wanted = partial(predict, batch)
        return diffusion_loss(self.scheduler, batch["latents"], wanted, generator, self.config.gamma, places)

    def gaps(self, corpus: Corpus, prompts: Prompts, gather: Gather, predict: Predict) -> Logs:
        """Errors on held-out people with the right and with shuffled conditions; empty where there are none."""
        held_out = corpus.held_out
        if held_out is None:
            return {}
        rows, other, order = held_out_rows(held_out, 256)
        kinds = np.full(len(rows), Kind.EMPTY if prompts[Kind.IDENTITY] == 0 else Kind.IDENTITY)
        batch = gather(Selection(self.examples_of(held_out), rows, other, kinds, np.ones(len(rows), bool)))
        return right_and_shuffled(self.scheduler, predict, self.here(batch), order, {"shuffled": "condition"})

    def here(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The batch where the UNet is."""
        return {name: value.to(self.unet.device) for name, value in batch.items()}

    def unet_kwargs(self, batch: dict[str, Tensor], copies: int = 1) -> dict[str, Any]:
        """Arguments of the UNet (or a ControlNet) besides the branches, for copies of a batch."""
        if self.text_encoder_2 is None:
            return {"encoder_hidden_states": self.text_states(batch).repeat(copies, 1, 1)}
        second = self.examples.prompts_2
        assert second is not None
        tokens = (self.examples.prompts.id_token, second.id_token)
        text = two_texts((self.text_encoder, self.text_encoder_2), batch, tokens)
        assert text.pooled is not None
        added = {"text_embeds": text.pooled.repeat(copies, 1), "time_ids": batch["sizes"].repeat(copies, 1)}
        return {"encoder_hidden_states": text.states.repeat(copies, 1, 1), "added_cond_kwargs": added}

    @torch.no_grad()
    def text_states(self, batch: dict[str, Tensor]) -> Tensor:
        """States of the prompts of a batch under the frozen text encoder, [B, L, D]."""
        return self.examples.text_states(self.text_encoder, batch)
