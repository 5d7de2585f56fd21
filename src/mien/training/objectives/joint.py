"""FaceCrafter's joint stage: mixed conditioning, and attention disentanglement (sec. 3.2, Eq. 2-5)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from mien.adapters import Injection, load_adapter
from mien.errors import ConfigError
from mien.models.text import encode_ids
from mien.training.batches import spread_rows
from mien.training.diffusion import errors_by_timestep, loss_weights, noisy, target_of, weighted_mse
from mien.training.disentanglement import SETTINGS, Reading, ad_loss, row_pairs
from mien.training.examples import Examples
from mien.training.export import save_branch
from mien.training.objective import Logs, load_branch
from mien.training.objectives.frozen import FrozenBaseObjective
from mien.training.prompts import Kind
from mien.training.sources import Sources

if TYPE_CHECKING:
    from mien.data.corpus import Corpus

KINDS = ("landmarks", "emotion")


class JointObjective(FrozenBaseObjective):
    """Both branches and the identity's text encoder together, on replicas of each sample under four settings.

    Each sample is replicated; every replica has the identity, and landmarks and emotion each or not at equal odds
    (intra-batch mixed conditioning). With shared noise the replicas of a setting are one and the same row: it is
    computed once and weighs as many as it stands for.

    Trained: text encoder, both encoders and their keys and values. Frozen: the UNet, its own keys and values too
    (*inferred*), and the network that embeds faces.

    Args:
        sources: where the base and the pre-trained branches are.
        replicas: B, copies of each sample; a batch of the run holds ``batch / replicas`` samples.
        ad: lambda_AD of Eq. 5; 0 leaves the loss out.
        reading: see :func:`ad_loss`.
        ad_mean: see ``mean`` of :func:`ad_loss`.
        noise: ``"shared"`` by all replicas of a sample (*inferred*), or ``"independent"``.
        drop: odds that a sample's identity is left out, for guidance (*inferred*: 0.1).
        odds: of a replica's setting, in the order of ``SETTINGS``. With (1, 0, 0, 0) no branch takes part and the text
            encoder alone learns: Table 2's control arm.
        text_rate: factor on the text encoder's learning rate.
        **settings: see :class:`FrozenBaseObjective`.
    """

    def __init__(
        self,
        sources: Sources,
        replicas: int = 16,
        ad: float = 5e-4,
        reading: Reading = "summed",
        ad_mean: bool = False,
        noise: Literal["shared", "independent"] = "shared",
        drop: float = 0.1,
        odds: tuple[float, float, float, float] = (0.25, 0.25, 0.25, 0.25),
        text_rate: float = 1.0,
        **settings: Any,
    ) -> None:
        super().__init__(sources, "", prompts=(0.0, 1 - drop, 0.0, drop), **settings)
        if self.sizes == "sdxl":
            raise ConfigError("This stage trains the text encoder that reads faces, and SDXL has none: use arc2face.")
        self.odds_of, self.text_rate = np.asarray(odds), text_rate
        self.used = [number for number, share in enumerate(odds) if share > 0]
        self.kinds = tuple(kind for kind in KINDS if any(kind in SETTINGS[number] for number in self.used))
        self.replicas, self.ad, self.ad_mean = replicas, ad, ad_mean
        self.reading: Reading = reading
        self.shared = noise == "shared"
        files = {kind: sources.path(f"adapters/{kind}.safetensors") for kind in self.kinds}
        self.branches = nn.ModuleDict(
            {kind: next(iter(load_adapter(file).values())) for kind, file in files.items()}
        ).float()
        self.injection = Injection(self.unet, dict(self.branches.items()), attention=self.attention).inject()  # type: ignore[arg-type]

    def prepare(self, corpus: Corpus, folder: Path) -> None:
        """As the base class; the text encoder is trained here."""
        super().prepare(corpus, folder)
        self.text_encoder.requires_grad_(True)
        self.text_encoder.set_attn_implementation("eager")

    def conditions(self) -> tuple[str, ...]:
        """See the base class."""
        return self.kinds

    def batch(self, corpus: Corpus, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Samples, ``size / replicas`` of them, and for each how many of its replicas have each setting."""
        samples = max(1, size // self.replicas)
        batch = super().batch(corpus, rng, samples)
        replicas = max(1, size // samples)
        counts = rng.multinomial(replicas, self.odds_of, samples)
        return batch | {"counts": torch.from_numpy(counts)}

    def _gather(
        self, examples: Examples, rows: np.ndarray, other: np.ndarray, kinds: np.ndarray, present: np.ndarray
    ) -> dict[str, Tensor]:
        return examples.batch(rows, other, kinds) | {kind: examples.condition(kind, rows, other) for kind in self.kinds}

    def text_states(self, batch: dict[str, Tensor]) -> Tensor:
        """With gradients: the text encoder is what the paper calls the identity extractor."""
        return encode_ids(self.text_encoder, batch["ids"], batch["identity"], self.examples.prompts.id_token)

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """Eq. 5, and its two parts."""
        samples, settings, counts = self._rows(batch["counts"])
        latents, places = batch["latents"][samples], 1 + self.emphasis * batch["places"][samples]
        noised, timesteps, noise = self._noisy(batch["latents"], samples, generator)
        prediction, taps = self._replicas(batch, noised, timesteps, samples, settings)
        weights = loss_weights(self.scheduler, timesteps, self.gamma)[:, None, None] * (places / places.mean())
        weights = weights * (counts / counts.float().mean())[:, None, None]
        target = target_of(self.scheduler, latents, noise, timesteps)
        loss = weighted_mse(prediction, target, weights)
        logs = {"diffusion": loss.detach()}
        if self.ad > 0:
            pairs = row_pairs(settings, samples, counts)
            apart = ad_loss(taps, pairs, (batch["places"][samples] > 0.5).float(), self.reading, self.ad_mean)
            loss, logs = loss + self.ad * apart, logs | {"ad": apart.detach()}
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
            return tuple(part[samples] for part in noisy(self.scheduler, latents, generator))  # type: ignore[return-value]
        return noisy(self.scheduler, latents[samples], generator)

    def _replicas(
        self, batch: dict[str, Tensor], noised: Tensor, timesteps: Tensor, samples: Tensor, settings: Tensor
    ) -> tuple[Tensor, Any]:
        """The UNet on the rows of :meth:`_rows`, and its taps; what a row shares with others is computed once."""
        tokens, hidden = self._tokens(batch), self.text_states(batch)[samples]
        options: dict[str, Any] = {"taps": self.ad > 0, "grid": tuple(noised.shape[-2:])}
        if self.shared:
            sets = [SETTINGS[number] for number in self.used]
            plan = self.injection.condition(tokens, evaluations=sets, **options)
        else:
            has = {kind: torch.tensor([kind in names for names in SETTINGS]) for kind in self.kinds}
            present = {kind: here.to(settings.device)[settings] for kind, here in has.items()}
            plan = self.injection.condition({k: v[samples] for k, v in tokens.items()}, present=present, **options)
        return self._call(noised, timesteps, hidden, plan), plan["mien"].taps

    def _tokens(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {kind: self._branch(kind).encode(batch[kind]) for kind in self.kinds}

    def _call(self, noised: Tensor, timesteps: Tensor, hidden: Tensor, plan: dict[str, Any]) -> Tensor:
        noised = noised.contiguous(memory_format=torch.channels_last)
        return self.unet(noised, timesteps, hidden, cross_attention_kwargs=plan).sample

    def predict(self, batch: dict[str, Tensor], noised: Tensor, timesteps: Tensor) -> Tensor:
        """The output with the identity and all conditions."""
        plan = self.injection.condition(self._tokens(batch))
        return self._call(noised, timesteps, self.text_states(batch), plan)

    def _branch(self, kind: str) -> Any:
        return self.branches[kind]

    @torch.no_grad()
    def validate(self, corpus: Corpus) -> Logs:
        """Squared error on held-out people by timestep, with the right and with each condition shuffled."""
        held_out = corpus.held_out
        if held_out is None:
            return {}
        rng, rows = np.random.default_rng(0), spread_rows(len(held_out), 128)
        kinds = np.full(len(rows), Kind.IDENTITY)
        right = self._gather(self._examples(held_out), rows, held_out.same_person(rows, rng), kinds, kinds >= 0)
        order, logs = torch.from_numpy(rng.permutation(len(rows))), {}
        for name in ("right", *self.kinds):
            batch = right if name == "right" else right | {name: right[name][order]}
            batch = {key: value.to(self.unet.device) for key, value in batch.items()}
            errors = errors_by_timestep(self.scheduler, batch["latents"], lambda x, t, b=batch: self.predict(b, x, t))
            label = name if name == "right" else f"{name}_shuffled"
            logs |= {f"{label}_{step}": error for step, error in errors.items()}
        return logs

    def learning_rates(self) -> dict[str, float]:
        """See the base class."""
        return {"text_encoder": self.text_rate}

    def parts(self) -> dict[str, nn.Module]:
        """See the base class."""
        return {"text_encoder": self.text_encoder}

    def start_from(self, folder: Path) -> None:
        """Also the branches; see the base class."""
        super(FrozenBaseObjective, self).start_from(folder)
        for kind in self.kinds:
            load_branch(self._branch(kind), folder, kind)

    def export(self, folder: Path) -> None:
        """``text_encoder/`` and ``adapters/KIND.safetensors`` of the branches that took part."""
        super(FrozenBaseObjective, self).export(folder)
        for kind in self.kinds:
            save_branch(self._branch(kind), folder, kind)
