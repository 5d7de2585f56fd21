"""Train the studio's base: text encoder and UNet, on captions and on Arc2Face-style identity prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from mien.adapters import Branch, Injection, preset_branch
from mien.adapters.plan import scatter_rows
from mien.core.io import read_json
from mien.diffusion.prediction import to_x0
from mien.models.unet import build_unet
from mien.training.batches import WeightedSampler, group_probabilities
from mien.training.caption_readout import CaptionReadout, shown_in
from mien.training.diffusion import BetaSchedule, PredictionType, TimestepSampling, loss_of, noisy, studio_scheduler
from mien.training.examples import Examples
from mien.training.export import save_branch
from mien.training.objective import Logs, Objective, ObjectiveConfig, load_branch
from mien.training.perceptual import PerceptualLoss
from mien.training.prompts import WORDED, Kind
from mien.training.representation import RepresentationAlignment, reader_features
from mien.training.resident import Resident
from mien.training.sources import Sources
from mien.training.validation import held_out_rows, right_and_shuffled

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput
    from transformers import PreTrainedTokenizerBase

    from mien.data.corpus import Corpus


class BaseConfig(ObjectiveConfig):
    """Options of :class:`BaseObjective`.

    Attributes:
        mixture: probabilities of the kinds of prompt (:class:`Kind`).
        photo_like: share of identity prompts drawn from photograph-like pictures, in rows without any branch.
        portraits: share of the prompts whose face embedding is of the picture's portrait instead of another picture of
            the person, half as many beside a caption, see :meth:`Examples.portrayed`.
        branches: kind of branch -> share of the rows in which it is in place; kinds as in :class:`Branch`.
        unet: changes of the UNet's configuration, for models of another size (:func:`build_unet`).
        balance: how far groups of age and skin tone are drawn alike, see :func:`group_probabilities`.
        compile: compile the UNet (minutes of start on a CPU; worth it for runs of many hours).
        prediction_type: of the noise schedule, see :func:`studio_scheduler`.
        beta_schedule: the same.
        gamma: see :func:`loss_weights`.
        emphasis: additional weight of the face, and again of its eyes, brows and lips (:func:`face_places`).
        perceptual: weights of the two terms of :class:`PerceptualLoss`, of the person and of the expression.
        branch_prob_with_caption: factor on the share of ``branches`` in rows with a caption: where a branch says all,
            captions are not followed.
        caption_readout: weight of :class:`CaptionReadout`.
        representation: weight of :class:`RepresentationAlignment` with the face reader's features.
        timesteps: how they are drawn.
        aux_loss_fraction: the last share of training, in which ``perceptual`` and ``caption_readout`` count; before it
            nothing but the reading head of the latter learns. From nothing both do harm (docs/studio-training.md).
    """

    former_names: ClassVar[Mapping[str, str]] = {
        "likeness": "perceptual", "beside_words": "branch_prob_with_caption", "wording": "caption_readout",
        "late": "aux_loss_fraction",
    }  # fmt: skip

    mixture: tuple[float, float, float, float] = (0.3, 0.3, 0.3, 0.1)
    photo_like: float = 0.7
    portraits: float = 0.0
    branches: dict[str, float] = Field(default_factory=dict)
    unet: dict[str, Any] = Field(default_factory=dict)
    balance: float = 0.0
    compile: bool = False
    prediction_type: PredictionType = "v_prediction"
    beta_schedule: BetaSchedule = "scaled_linear"
    gamma: float | None = None
    emphasis: float = 0.0
    perceptual: tuple[float, float] = (0.0, 0.0)
    branch_prob_with_caption: float = 1.0
    caption_readout: float = 0.0
    aux_loss_fraction: float = 1.0
    representation: float = 0.0
    timesteps: TimestepSampling = "uniform"

    def build(self, sources: Sources) -> BaseObjective:
        """See the base class."""
        return BaseObjective(sources, self)


class BaseObjective(Objective):
    """V-prediction loss on latents, four kinds of prompt mixed in each batch.

    Captions see every pose and expression (Stable Diffusion's role); identity prompts see what photographs look like
    (Arc2Face's role: mostly neutral or happy, looking ahead), so that the base is entangled as Arc2Face is
    (DESIGN section 3).

    Branches may be trained along with the base, each in place in a share of the rows (*ours*): where pictures are few,
    a UNet learns faces faster when it is given where their parts are, and its rows without branches remain the base.

    Args:
        sources: where the autoencoder and the identity embedder are.
        config: the options.
    """

    config_type = BaseConfig
    former_names: ClassVar[Mapping[str, str]] = {"wording.": "caption_readout."}

    tokenizer: PreTrainedTokenizerBase
    _run_unet: Callable[..., UNet2DConditionOutput]

    def __init__(self, sources: Sources, config: BaseConfig) -> None:
        super().__init__()
        self.sources, self.config = sources, config
        self.scheduler = studio_scheduler(config.prediction_type, config.beta_schedule)
        self.unet = build_unet(**config.unet).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.shares = config.branches
        together = {kind: preset_branch(self.unet, "studio", kind) for kind in self.shares}
        self.branches = nn.ModuleDict(together)
        self.injection = Injection(self.unet, together)
        self.perceptual = PerceptualLoss(sources) if any(config.perceptual) else None
        self.representation: RepresentationAlignment | None = None
        if config.representation:
            width = read_json(sources.path("reader/face") / "config.json")["widths"][2]
            self.representation = RepresentationAlignment(self.unet, width)
        self.caption_readout: CaptionReadout | None = None

    def prepare(self, corpus: Corpus, folder: Path) -> None:
        """The pre-trained text encoder, cached latents, identity embeddings and conditions, tokenised prompts."""
        from transformers import CLIPTextModel, PreTrainedTokenizerFast

        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(self.sources.path("tokenizer"))
        # explicit attention, as in the UNet: the fused kernel's backward pass is slow on a CPU
        text_encoder = CLIPTextModel.from_pretrained(self.sources.path("text_encoder"), attn_implementation="eager")
        self.text_encoder = text_encoder.float().to(self.unet.device)
        self.examples = self._examples(corpus)
        if self.config.caption_readout:
            self._shown = shown_in(corpus)
            width = self.text_encoder.config.hidden_size
            self.caption_readout = CaptionReadout(width, self._shown.shape[1]).to(self.unet.device)
        if self.representation is not None:
            place = self.sources.path("reader/face")
            features = reader_features(corpus, place, self.unet.device)
            self._features = Resident(features, self.unet.device if corpus.on_device else torch.device("cpu"))
        weights = group_probabilities(corpus, self.config.balance)
        photographs = np.nonzero(photo_like_rows(corpus))[0]
        self._rows = WeightedSampler(np.arange(len(corpus)), weights)
        self._photo_rows = WeightedSampler(photographs, weights[photographs])
        # Not a submodule: the compiled wrapper shares the UNet's parameters.
        object.__setattr__(self, "_run_unet", torch.compile(self.unet) if self.config.compile else self.unet)

    def _examples(self, corpus: Corpus) -> Examples:
        width, portraits = self.text_encoder.config.hidden_size, self.config.portraits > 0
        return Examples(
            corpus, self.sources, self.tokenizer, width, self.shares, portraits=portraits, device=self.unet.device
        )

    def learning_rates(self) -> dict[str, float]:
        """The text encoder knows its words already: a tenth of the rate. Branches, small and new: three times."""
        return {"text_encoder.": 0.1, "branches.": 3.0, "caption_readout.": 3.0}

    def batch(self, corpus: Corpus, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Rows by kind of prompt; the identity embedding is of another picture of the person, or of a portrait."""
        kinds = rng.choice(4, size, p=np.asarray(self.config.mixture))
        rows = self._rows.draw(rng, size)
        factors = np.where(np.isin(kinds, WORDED), self.config.branch_prob_with_caption, 1.0)
        present = {kind: _in_place(share * factors, rng) for kind, share in self.shares.items()}
        alone = ~np.any([np.zeros(size, bool), *present.values()], axis=0)
        ahead = (kinds == Kind.IDENTITY) & alone & (rng.random(size) < self.config.photo_like)
        rows[ahead] = self._photo_rows.draw(rng, ahead.sum())
        other = self.examples.portrayed(rows, corpus.same_person(rows, rng), kinds, self.config.portraits, rng)
        batch = self._gather(self.examples, rows, other, kinds, present)
        if self.representation is not None:
            batch["features"] = self._features[rows]
        if self.caption_readout is not None:
            batch["shown"] = self._shown[torch.from_numpy(rows)]
            batch["worded"] = torch.from_numpy(np.isin(kinds, WORDED))
        return batch

    def _gather(
        self,
        examples: Examples,
        rows: np.ndarray,
        other: np.ndarray,
        kinds: np.ndarray,
        present: dict[str, np.ndarray],
    ) -> dict[str, Tensor]:
        batch = examples.batch(rows, other, kinds)
        if self.perceptual is not None:
            batch["points"] = examples.landmarks(rows)
        for kind, here in present.items():
            batch[f"{kind}_condition"] = examples.condition(kind, rows, other)
            batch[f"{kind}_present"] = torch.from_numpy(here)
        return batch

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        latents, places = batch["latents"], 1 + self.config.emphasis * batch["places"]
        noised, timesteps, noise = noisy(self.scheduler, latents, generator, self.config.timesteps)
        hidden = self.examples.text_states(self.text_encoder, batch)
        output = self._drawn(batch, hidden, noised, timesteps)
        loss = loss_of(self.scheduler, output, latents, noise, timesteps, self.config.gamma, places)
        terms: dict[str, tuple[float, Tensor]] = {}
        if self.representation is not None:
            terms["representation"] = self.config.representation, self.representation(batch["features"])
        counts, perceptual = self.progress >= 1 - self.config.aux_loss_fraction, self.perceptual
        if counts and perceptual is not None and (seen := perceptual.counted(self.scheduler, timesteps)).any():
            clean = to_x0(output, noised, timesteps, self.scheduler)
            parts = perceptual(clean[seen], latents[seen], batch["points"][seen])
            terms |= dict(zip(("identity", "expression"), zip(self.config.perceptual, parts, strict=True), strict=True))
        if self.caption_readout is not None:
            states = hidden if counts else hidden.detach()
            terms["caption_readout"] = self.config.caption_readout, self._read(self.caption_readout, batch, states)
        logs: Logs = {"diffusion": loss.detach()} if terms else {}  # type: ignore[dict-item]
        logs |= {name: value.detach() for name, (_, value) in terms.items()}  # type: ignore[misc]
        return loss + sum(weight * value for weight, value in terms.values()), logs

    def predict(self, batch: dict[str, Tensor], noised: Tensor, timesteps: Tensor) -> Tensor:
        """The UNet's output for noisy latents under the prompts and conditions of a batch."""
        hidden = self.examples.text_states(self.text_encoder, batch)
        return self._drawn(batch, hidden, noised, timesteps)

    def _read(self, readout: CaptionReadout, batch: dict[str, Tensor], hidden: Tensor) -> Tensor:
        words = batch["ids"] != self.tokenizer.pad_token_id
        return readout(hidden, words, batch["shown"], batch["worded"])

    def _drawn(self, batch: dict[str, Tensor], hidden: Tensor, noised: Tensor, timesteps: Tensor) -> Tensor:
        noised = noised.contiguous(memory_format=torch.channels_last)
        present = {kind: batch[f"{kind}_present"] for kind in self.shares if f"{kind}_present" in batch}
        run = self._run_unet if self.training else self.unet  # validation's batches would each be compiled anew
        if not present:
            return run(noised, timesteps, hidden).sample
        tokens = {kind: self._tokens(kind, batch[f"{kind}_condition"], here) for kind, here in present.items()}
        with self.injection:
            plan = self.injection.condition(tokens, present=present)
            return run(noised, timesteps, hidden, cross_attention_kwargs=plan).sample

    def _tokens(self, kind: str, condition: Tensor, present: Tensor) -> Tensor:
        """Tokens [B, N, D]; rows without the condition are not encoded, their tokens are zeros that nobody reads."""
        encoded = self._branch(kind).encode(condition[present])
        return scatter_rows(encoded, present.nonzero()[:, 0], len(present))

    def _branch(self, kind: str) -> Branch:
        branch = self.branches[kind]
        assert isinstance(branch, Branch)
        return branch

    def gaps(self, corpus: Corpus) -> Logs:
        """Errors on held-out people with the right and with shuffled captions, identities and conditions."""
        held_out = corpus.held_out
        if held_out is None:
            return {}
        examples, logs = self._examples(held_out), {}
        rows, other, order = held_out_rows(held_out, 256)
        for name, kind, key in (
            ("caption", Kind.CAPTION, "ids"),
            ("identity", Kind.IDENTITY, "identity"),
            *((branch, Kind.IDENTITY, f"{branch}_condition") for branch in self.shares),
        ):
            here = {name: np.ones(len(rows), bool)} if name in self.shares else {}
            batch = self._here(self._gather(examples, rows, other, np.full(len(rows), kind), here))
            shuffled = {f"{name}_shuffled": key}
            logs |= right_and_shuffled(self.scheduler, self.predict, batch, order, shuffled, f"{name}_right")
        return logs

    def validate(self, corpus: Corpus) -> Logs:
        """Also ``caption_readout``, where it is trained: 1 says that nothing is read in captions."""
        logs, held_out = super().validate(corpus), corpus.held_out
        if self.caption_readout is None or held_out is None:
            return logs
        rows, other, _ = held_out_rows(held_out, 256)
        captions = np.full(len(rows), Kind.CAPTION)
        worded = self._gather(self._examples(held_out), rows, other, captions, {})
        worded |= {"shown": shown_in(held_out)[rows], "worded": torch.ones(len(rows), dtype=torch.bool)}
        worded = self._here(worded)
        hidden = self.examples.text_states(self.text_encoder, worded)
        return logs | {"caption_readout": float(self._read(self.caption_readout, worded, hidden))}

    def _here(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {key: value.to(self.unet.device) for key, value in batch.items()}

    def parts(self) -> dict[str, nn.Module]:
        """See the base class."""
        return {"unet": self.unet, "text_encoder": self.text_encoder}

    def start_from(self, folder: Path) -> None:
        """Also the branches, from their adapter files; see the base class."""
        super().start_from(folder)
        for kind in self.shares:
            load_branch(self._branch(kind), folder, kind)

    def export(self, folder: Path) -> None:
        """``unet/``, ``text_encoder/``, ``tokenizer/``, ``scheduler/``, ``adapters/KIND.safetensors``."""
        super().export(folder)
        self.tokenizer.save_pretrained(folder / "tokenizer")
        self.scheduler.save_pretrained(folder / "scheduler")
        for kind in self.shares:
            save_branch(self._branch(kind), folder, kind)


def _in_place(probabilities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """In which rows a branch is in place, bool [B], by the probability [B] of each.

    At least in one: a parameter without gradient would stop a run of several processes.
    """
    found = rng.random(len(probabilities)) < probabilities
    if not found.any():
        found[rng.integers(len(probabilities))] = True
    return found


def photo_like_rows(corpus: Corpus) -> np.ndarray:
    """Boolean [N]: neutral or happy, and |yaw| < 15 degrees."""
    kind = corpus["emotion"][:, 2:].argmax(1)
    return (kind <= 1) & (np.abs(corpus["pose"][:, 0]) < 15)
