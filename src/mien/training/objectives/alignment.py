"""EmojiDiff's fine-tuning: ID-enhanced contrast alignment with adaptive noise inversion (suppl. A.1, Eq. 8)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mien.diffusion.inversion import SD_F_MAX, adaptive_noise_inversion, f_of_timestep
from mien.errors import ConfigError
from mien.training.bases import base_autoencoder
from mien.training.decoding import REGIONS, Region, decode, tiny_autoencoder
from mien.training.diffusion import loss_of, noisy
from mien.training.heads import FaceHeads
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
        identity_head: ``phi``, an ArcFace network as an ONNX file or an asset's name; the base's own by default.
        expression_head: ``b``, MediaPipe's ``face_landmarker.task`` or its asset's name; by default the studio's face
            reader, on another base MediaPipe's.
        checkpointing: of the UNet, see the base class, and of the decoder, picture by picture.
        decode: ``"face"`` computes the decoder's gradient for the face alone, see `mien.training.decoding`.
        tiny_decoder: folder of a diffusers ``AutoencoderTiny`` that decodes in the autoencoder's place.
        **settings: see :class:`BranchObjective`.
    """

    def __init__(
        self,
        sources: Sources,
        w_id: float = 0.08,
        w_exp: float = 10.0,
        inversion: Inversion = "ani",
        f_max: float = SD_F_MAX,
        identity_head: str | None = None,
        expression_head: str | None = None,
        checkpointing: bool = False,
        decode: Region = "whole",
        tiny_decoder: str | None = None,
        **settings: Any,
    ) -> None:
        companions = {"identity": "adapters/expression_identity.safetensors"}
        init = "adapters/expression.safetensors"
        if decode not in REGIONS:
            raise ConfigError(f"There is no decode={decode}; choose one of: {', '.join(REGIONS)}.")
        # the identity comes through its branch, so that one prediction can do without the expression alone
        settings |= {"companions": companions, "prompts": (0.9, 0, 0, 0.1), "checkpointing": checkpointing}
        super().__init__(sources, "expression", init=init, **settings)
        self.w_id, self.w_exp, self.inversion, self.f_max = w_id, w_exp, inversion, f_max
        self.region: Region = decode
        self.checkpointing, self.tiny_decoder = checkpointing, tiny_decoder
        self.head_places = {
            "identity": sources.named(identity_head or "identity"),
            "expression": sources.named(expression_head or "reader/face"),
        }
        self.vae: Any = None
        self.heads: Any = None

    def prepare(self, corpus: Corpus, folder: Path) -> None:
        """Also the frozen networks that judge the pictures."""
        super().prepare(corpus, folder)
        if self.tiny_decoder is None:
            vae = base_autoencoder(self.sources.path("vae"))
        else:
            channels, side = self.examples.latents.shape[1:3]
            vae = tiny_autoencoder(Path(self.tiny_decoder), channels, side, self.examples.size)
        device = self.unet.device
        self.vae = vae.float().eval().requires_grad_(False).to(device)
        self.heads = FaceHeads(self.head_places["identity"], self.head_places["expression"]).to(device)

    def _gather(
        self, examples: Examples, rows: np.ndarray, other: np.ndarray, kinds: np.ndarray, present: np.ndarray
    ) -> dict[str, Tensor]:
        return super()._gather(examples, rows, other, kinds, present) | {"points": examples.landmarks(rows)}

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        diffusion, identity, expression = self.terms(batch, generator)
        logs = {"diffusion": diffusion, "identity": identity, "expression": expression}
        told: Logs = {name: value.detach() for name, value in logs.items()}  # type: ignore[assignment]
        return diffusion + self.w_id * identity + self.w_exp * expression, told

    def terms(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """The diffusion loss, the identity term and the expression term of a batch, not weighted."""
        latents, places = batch["latents"], 1 + self.emphasis * batch["places"]
        noised, timesteps, noise = noisy(self.scheduler, latents, generator)
        with_both, alone = self._two(batch, noised, timesteps)
        diffusion = loss_of(self.scheduler, with_both, latents, noise, timesteps, self.gamma, places)
        counted = self._counted(timesteps)
        points = batch["points"]
        pictures = [
            self._picture(latents, noise, one, noised, timesteps, points) for one in (with_both, alone.detach())
        ]
        person, same = (self.heads.person(one, points) for one in pictures)
        identity = 1 - F.cosine_similarity(person, same, dim=-1)
        wanted = self.heads.expression(self._template(latents), points)
        expression = (self.heads.expression(pictures[0], points) - wanted).abs().mean(1)
        identity, expression = ((term * counted).sum() / counted.sum().clamp(min=1) for term in (identity, expression))
        return diffusion, identity, expression

    def _two(self, batch: dict[str, Tensor], noised: Tensor, timesteps: Tensor) -> list[Tensor]:
        """The UNet's outputs with identity and expression, and with the identity alone; one call."""
        tokens = {
            "expression": self._branch("expression").encode(batch["condition"]),
            "identity": self._branch("identity").encode(batch["identity"]),
        }
        plan = self.injection.condition(tokens, evaluations=(BOTH, IDENTITY))
        twice = torch.cat([noised, noised]).contiguous(memory_format=torch.channels_last)
        output = self.unet(twice, timesteps.repeat(2), cross_attention_kwargs=plan, **self.told(batch, 2)).sample
        return list(output.float().chunk(2))

    def _counted(self, timesteps: Tensor) -> Tensor:
        """Which rows the two terms are taken over, [B] of 0 and 1."""
        if self.inversion != "drop":
            return torch.ones(len(timesteps), device=timesteps.device)
        return (f_of_timestep(self.scheduler, timesteps) <= self.f_max).float()

    def _picture(
        self,
        latents: Tensor,
        noise: Tensor,
        output: Tensor,
        noised: Tensor,
        timesteps: Tensor,
        points: Tensor | None = None,
    ) -> Tensor:
        """Eq. 8, decoded: [B, 3, H, W]."""
        bound = self.f_max if self.inversion == "ani" else float("inf")
        clean = adaptive_noise_inversion(latents, noise, output, noised, timesteps, self.scheduler, bound)
        with torch.autocast(clean.device.type, enabled=False):
            return decode(self.vae, clean, points, self.region, self.checkpointing).clamp(-1, 1)

    def _template(self, latents: Tensor) -> Tensor:
        """The picture whose expression is wanted: of a pair both show the same one, so the target stands for it."""
        with torch.no_grad():
            return decode(self.vae, latents, checkpointing=self.checkpointing).clamp(-1, 1)
