"""EmojiDiff's fine-tuning: ID-enhanced contrast alignment with adaptive noise inversion (suppl. A.1, Eq. 8)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mien.diffusion.inversion import SD_F_MAX, adaptive_noise_inversion, f_of_timestep
from mien.faces.alignment import CROP, align_batch
from mien.pipelines.autoencoders import decode_latents
from mien.training.bases import base_autoencoder
from mien.training.diffusion import loss_weights, noisy, target_of, weighted_mse
from mien.training.features import training_landmarks
from mien.training.objective import Logs
from mien.training.objectives.branch import BranchObjective
from mien.training.sources import Sources

if TYPE_CHECKING:
    from mien.data.corpus import Corpus
    from mien.training.examples import Examples

Inversion = Literal["ani", "none", "drop"]
BOTH, IDENTITY = frozenset({"expression", "identity"}), frozenset({"identity"})


class AlignmentObjective(BranchObjective):
    """One noisy latent, two predictions: with identity and expression, and with the identity alone.

    Both are brought to pictures in one step. The first is to show the person of the second (whose side gets no
    gradient) and the expression of the template:
    ``L = L_diff + w_id (1 - cos(phi(x_exp), phi(x_id))) + w_exp mean |b(x_exp) - b(template)|`` (*inferred* from the
    abstract and the settings). Trained: the expression branch and the identity's projection.

    Args:
        sources: where base, branches, identity embedder ``phi``, face reader ``b`` and autoencoder are.
        w_id: weight of the identity term.
        w_exp: weight of the expression term.
        inversion: ``"ani"`` bounds f(t) by ``f_max`` (Eq. 8); ``"none"`` does not (Eq. 6); ``"drop"`` leaves rows
            beyond the bound out of the two terms (the two alternatives of the paper's ablation).
        f_max: f(R_tmax), see `mien.diffusion.inversion`.
        **settings: see :class:`BranchObjective`.
    """

    def __init__(
        self,
        sources: Sources,
        w_id: float = 0.08,
        w_exp: float = 10.0,
        inversion: Inversion = "ani",
        f_max: float = SD_F_MAX,
        **settings: Any,
    ) -> None:
        companions = {"identity": "adapters/expression_identity.safetensors"}
        init = "adapters/expression.safetensors"
        # the identity comes through its branch, so that one prediction can do without the expression alone
        super().__init__(sources, "expression", init=init, companions=companions, prompts=(0.9, 0, 0, 0.1), **settings)
        self.w_id, self.w_exp, self.inversion, self.f_max = w_id, w_exp, inversion, f_max
        self.vae: Any = None
        self.embedder: Any = None
        self.reader: Any = None

    def prepare(self, corpus: Corpus, folder: Path) -> None:
        """Also the frozen networks that judge the pictures."""
        from mien.faces.networks import IdentityEmbedder, StudioFaceNet

        super().prepare(corpus, folder)
        loaded = {
            "vae": base_autoencoder(self.sources.path("vae")),
            "embedder": IdentityEmbedder.from_pretrained(self.sources.path("identity")),
            "reader": StudioFaceNet.from_pretrained(self.sources.path("reader/face")),
        }
        for name, network in loaded.items():
            frozen: Any = network.float().eval().requires_grad_(False)
            setattr(self, name, frozen.to(self.unet.device))

    def _gather(
        self, examples: Examples, rows: np.ndarray, other: np.ndarray, kinds: np.ndarray, present: np.ndarray
    ) -> dict[str, Tensor]:
        points = torch.from_numpy(training_landmarks(examples.corpus, rows))
        return super()._gather(examples, rows, other, kinds, present) | {"points": points}

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        latents, places = batch["latents"], 1 + self.emphasis * batch["places"]
        noised, timesteps, noise = noisy(self.scheduler, latents, generator)
        with_both, alone = self._two(batch, noised, timesteps)
        weights = loss_weights(self.scheduler, timesteps, self.gamma)[:, None, None] * (places / places.mean())
        diffusion = weighted_mse(with_both, target_of(self.scheduler, latents, noise, timesteps), weights)
        counted = self._counted(timesteps)
        pictures = [self._picture(latents, noise, one, noised, timesteps) for one in (with_both, alone.detach())]
        person, same = (self.embedder(align_batch(one, batch["points"], CROP)) for one in pictures)
        identity = 1 - F.cosine_similarity(person, same.detach(), dim=-1)
        expression = (self._blendshapes(pictures[0]) - self._blendshapes(self._template(latents))).abs().mean(1)
        identity, expression = ((term * counted).sum() / counted.sum().clamp(min=1) for term in (identity, expression))
        logs = {"diffusion": diffusion, "identity": identity, "expression": expression}
        told: Logs = {name: value.detach() for name, value in logs.items()}  # type: ignore[assignment]
        return diffusion + self.w_id * identity + self.w_exp * expression, told

    def _two(self, batch: dict[str, Tensor], noised: Tensor, timesteps: Tensor) -> list[Tensor]:
        """The UNet's outputs with identity and expression, and with the identity alone; one call."""
        tokens = {
            "expression": self._branch("expression").encode(batch["condition"]),
            "identity": self._branch("identity").encode(batch["identity"]),
        }
        plan = self.injection.condition(tokens, evaluations=(BOTH, IDENTITY))
        twice = torch.cat([noised, noised]).contiguous(memory_format=torch.channels_last)
        hidden = self.text_states(batch).repeat(2, 1, 1)
        return list(self.unet(twice, timesteps.repeat(2), hidden, cross_attention_kwargs=plan).sample.float().chunk(2))

    def _counted(self, timesteps: Tensor) -> Tensor:
        """Which rows the two terms are taken over, [B] of 0 and 1."""
        if self.inversion != "drop":
            return torch.ones(len(timesteps), device=timesteps.device)
        return (f_of_timestep(self.scheduler, timesteps) <= self.f_max).float()

    def _picture(self, latents: Tensor, noise: Tensor, output: Tensor, noised: Tensor, timesteps: Tensor) -> Tensor:
        """Eq. 8, decoded: [B, 3, H, W]."""
        bound = self.f_max if self.inversion == "ani" else float("inf")
        clean = adaptive_noise_inversion(latents, noise, output, noised, timesteps, self.scheduler, bound)
        with torch.autocast(clean.device.type, enabled=False):
            return decode_latents(self.vae, clean).clamp(-1, 1)

    def _template(self, latents: Tensor) -> Tensor:
        """The picture whose expression is wanted: of a pair both show the same one, so the target stands for it."""
        with torch.no_grad():
            return decode_latents(self.vae, latents).clamp(-1, 1)

    def _blendshapes(self, pictures: Tensor) -> Tensor:
        """[B, 52] in [0, 1], as the face reader sees them in the studio's framing."""
        side = self.reader.config["size"]
        if pictures.shape[-1] != side:
            pictures = F.interpolate(pictures, size=(side, side), mode="bilinear", antialias=True)
        return self.reader(pictures)["blendshapes"].sigmoid()
