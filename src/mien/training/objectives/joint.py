"""FaceCrafter's joint stage: mixed conditioning, and attention disentanglement (sec. 3.2, Eq. 2-5)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from mien.adapters import load_adapter
from mien.adapters.plan import Tap
from mien.conditions import NullPrompt
from mien.errors import ConfigError
from mien.models.text import encode_ids
from mien.training.branch_set import BranchSet
from mien.training.diffusion import loss_weights, noisy, target_of, weighted_mse
from mien.training.disentanglement import SETTINGS, Reading, ad_loss, row_pairs
from mien.training.export import save_branch
from mien.training.frozen_base import FrozenBase, FrozenBaseConfig, SelectingObjective, Selection
from mien.training.objective import Logs, load_branch
from mien.training.parts import apart
from mien.training.prompts import Kind
from mien.training.sources import Sources
from mien.training.validation import held_out_rows, right_and_shuffled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mien.data.corpus import Corpus

KINDS = ("landmarks", "emotion")


class JointConfig(FrozenBaseConfig):
    """Options of :class:`JointObjective`.

    Attributes:
        replicas: B, copies of each sample; the run's batch and budget count samples, whatever B is.
        ad: lambda_AD of Eq. 5; 0 leaves the loss out.
        reading: see :func:`ad_loss`.
        ad_mean: see ``mean`` of :func:`ad_loss`.
        noise: ``"shared"`` by all replicas of a sample (*inferred*), or ``"independent"``.
        drop: probability that a sample's identity is left out, for guidance (*inferred*: 0.1).
        probabilities: of a replica's setting, in the order of ``SETTINGS``. With (1, 0, 0, 0) no branch takes part and
            the text encoder alone learns: Table 2's control arm.
        text_rate: factor on the text encoder's learning rate.
        null_prompt: e(0) of samples whose identity is left out; drawing has to use the same, see
            :data:`mien.conditions.NullPrompt`.
    """

    former_names: ClassVar[Mapping[str, str]] = {"odds": "probabilities"}

    replicas: int = 16
    ad: float = 5e-4
    reading: Reading = "summed"
    ad_mean: bool = False
    noise: Literal["shared", "independent"] = "shared"
    drop: float = 0.1
    probabilities: tuple[float, float, float, float] = (0.25, 0.25, 0.25, 0.25)
    text_rate: float = 1.0
    null_prompt: NullPrompt = "frozen"

    def build(self, sources: Sources) -> JointObjective:
        """See the base class."""
        return JointObjective(sources, self)


class JointObjective(SelectingObjective):
    """Both branches and the identity's text encoder together, on replicas of each sample under four settings.

    Each sample is replicated; every replica has the identity, and landmarks and emotion each or not with equal
    probability (intra-batch mixed conditioning). With shared noise the replicas of a setting are one and the same row:
    it is computed once and weighs as many as it stands for.

    Trained: text encoder, both encoders and their keys and values. Frozen: the UNet, its own keys and values too
    (*inferred*), and the network that embeds faces.

    Args:
        sources: where the base and the pre-trained branches are.
        config: the options.
    """

    config_type = JointConfig

    def __init__(self, sources: Sources, config: JointConfig) -> None:
        super().__init__()
        self.config = config
        self.used = [number for number, share in enumerate(config.probabilities) if share > 0]
        self.kinds = tuple(kind for kind in KINDS if any(kind in SETTINGS[number] for number in self.used))
        self.base = FrozenBase(sources, config, self.kinds)
        self.prompts = (0.0, 1 - config.drop, 0.0, config.drop)
        if self.base.sizes == "sdxl":
            raise ConfigError("This stage trains the text encoder that reads faces, and SDXL has none: use arc2face.")
        self.shared = config.noise == "shared"
        self.branch_set = BranchSet(self.base)
        files = {kind: sources.path(f"adapters/{kind}.safetensors") for kind in self.kinds}
        for kind, file in files.items():
            self.branch_set.modules[kind] = next(iter(load_adapter(file).values())).float()
        self.unet, self.branches = self.base.unet, self.branch_set.modules
        self.injection = self.branch_set.inject()

    def prepare(self, corpus: Corpus, folder: Path) -> None:
        """See the base class; the text encoder is trained here."""
        self.base.prepare(corpus)
        self._empty_ids = self.base.examples.prompts.empty
        with torch.no_grad():  # a continued run comes by here too, before its own text encoder is loaded
            prompts = self.base.examples.prompts
            empty = self._empty_ids[None].to(self.unet.device)
            self._null = encode_ids(self.base.text_encoder, empty, None, prompts.id_token)
        self.text_encoder = self.base.text_encoder.requires_grad_(True)
        self.text_encoder.set_attn_implementation("eager")

    def select(self, corpus: Corpus, rng: np.random.Generator, size: int) -> Selection:
        """Samples, and for each how many of its replicas have each setting."""
        selection = self.base.select(corpus, rng, size, self.prompts)
        counts = rng.multinomial(self.config.replicas, np.asarray(self.config.probabilities), size)
        return selection._replace(counts=counts)

    def gather(self, selection: Selection) -> dict[str, Tensor]:
        """The batch of a selection, with what every branch reads."""
        examples, rows, other = selection.examples, selection.rows, selection.other
        batch = examples.batch(rows, other, selection.kinds)
        batch |= {kind: examples.condition(kind, rows, other) for kind in self.kinds}
        return batch if selection.counts is None else batch | {"counts": torch.from_numpy(selection.counts)}

    def text_states(self, batch: dict[str, Tensor]) -> Tensor:
        """With gradients: the text encoder is what the paper calls the identity extractor.

        Not so where the identity is left out and e(0) is the frozen encoder's.
        """
        states = self.base.examples.text_states(self.base.text_encoder, batch)
        if self.config.null_prompt == "trained":
            return states
        empty = (batch["ids"] == self._empty_ids.to(states.device)).all(1)
        return torch.where(empty[:, None, None], self._null.to(states.dtype), states)

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """Eq. 5, and its two parts."""
        config, scheduler = self.config, self.base.scheduler
        samples, settings, counts = self._rows(batch["counts"])
        latents, places = batch["latents"][samples], 1 + config.emphasis * batch["places"][samples]
        noised, timesteps, noise = self._noisy(batch["latents"], samples, generator)
        prediction, taps = self._replicas(batch, noised, timesteps, samples, settings)
        weights = loss_weights(scheduler, timesteps, config.gamma)[:, None, None] * (places / places.mean())
        weights = weights * (counts / counts.float().mean())[:, None, None]
        loss = weighted_mse(prediction, target_of(scheduler, latents, noise, timesteps), weights)
        logs = {"diffusion": loss.detach()}
        if config.ad > 0:
            pairs = row_pairs(settings, samples, counts)
            apart = ad_loss(taps, pairs, (batch["places"][samples] > 0.5).float(), config.reading, config.ad_mean)
            loss, logs = loss + config.ad * apart, logs | {"ad": apart.detach()}
        return loss, logs  # type: ignore[return-value]

    def _rows(self, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sample, setting and number of replicas of each row, [R] each; shared noise makes replicas one row."""
        number = len(counts)
        setting = torch.tensor(self.used, device=counts.device).repeat_interleave(number)
        sample = torch.arange(number, device=counts.device).repeat(len(self.used))
        count = counts[:, self.used].T.reshape(-1)
        if self.shared:
            return sample, setting, count
        sample, setting = sample.repeat_interleave(count), setting.repeat_interleave(count)
        return sample, setting, torch.ones_like(sample)

    def _noisy(self, latents: Tensor, samples: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Noised latents, timesteps and noise of the rows; one draw a sample, or one a row."""
        if self.shared:
            return tuple(part[samples] for part in noisy(self.base.scheduler, latents, generator))  # type: ignore[return-value]
        return noisy(self.base.scheduler, latents[samples], apart(generator))

    def _replicas(
        self, batch: dict[str, Tensor], noised: Tensor, timesteps: Tensor, samples: Tensor, settings: Tensor
    ) -> tuple[Tensor, dict[str, Tap]]:
        """The UNet on the rows of :meth:`_rows`, and its taps; what a row shares with others is computed once."""
        # index_select: the gradient of states[samples] is summed by threads in any order, and so differs each time
        tokens, hidden = self._tokens(batch), self.text_states(batch).index_select(0, samples)
        options: dict[str, Any] = {"taps": self.config.ad > 0, "grid": tuple(noised.shape[-2:])}
        if self.shared:
            sets = [SETTINGS[number] for number in self.used]
            plan = self.injection.condition(tokens, evaluations=sets, **options)
        else:
            has = {kind: torch.tensor([kind in names for names in SETTINGS]) for kind in self.kinds}
            present = {kind: here.to(settings.device)[settings] for kind, here in has.items()}
            tokens = {kind: one.index_select(0, samples) for kind, one in tokens.items()}
            plan = self.injection.condition(tokens, present=present, **options)
        return self._call(noised, timesteps, hidden, plan), plan["mien"].taps or {}

    def _tokens(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {kind: self.branch_set[kind].encode(batch[kind]) for kind in self.kinds}

    def _call(self, noised: Tensor, timesteps: Tensor, hidden: Tensor, plan: dict[str, Any]) -> Tensor:
        noised = noised.contiguous(memory_format=torch.channels_last)
        return self.unet(noised, timesteps, hidden, cross_attention_kwargs=plan).sample

    def predict(self, batch: dict[str, Tensor], noised: Tensor, timesteps: Tensor) -> Tensor:
        """The output with the identity and all conditions."""
        plan = self.injection.condition(self._tokens(batch))
        return self._call(noised, timesteps, self.text_states(batch), plan)

    def gaps(self, corpus: Corpus) -> Logs:
        """Errors on held-out people with all conditions right, and with each shuffled."""
        held_out = corpus.held_out
        if held_out is None:
            return {}
        rows, other, order = held_out_rows(held_out, 128)
        kinds = np.full(len(rows), Kind.IDENTITY)
        batch = self.gather(Selection(self.base.examples_of(held_out), rows, other, kinds, kinds >= 0))
        shuffled = {f"{kind}_shuffled": kind for kind in self.kinds}
        return right_and_shuffled(self.base.scheduler, self.predict, self.base.here(batch), order, shuffled)

    def learning_rates(self) -> dict[str, float]:
        """See the base class."""
        return {"text_encoder": self.config.text_rate}

    def parts(self) -> dict[str, nn.Module]:
        """See the base class."""
        return {"text_encoder": self.text_encoder}

    def start_from(self, folder: Path) -> None:
        """Also the branches; see the base class."""
        super().start_from(folder)
        for kind in self.kinds:
            load_branch(self.branch_set[kind], folder, kind)

    def export(self, folder: Path) -> None:
        """``text_encoder/`` and ``adapters/KIND.safetensors`` of the branches that took part."""
        super().export(folder)
        for kind in self.kinds:
            save_branch(self.branch_set[kind], folder, kind)
