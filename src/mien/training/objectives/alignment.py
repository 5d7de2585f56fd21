"""EmojiDiff's fine-tuning: ID-enhanced contrast alignment with adaptive noise inversion (suppl. A.1, Eq. 8)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from mien.core.modules import placed
from mien.diffusion.inversion import SD_F_MAX, adaptive_noise_inversion, f_of_timestep
from mien.training.bases import base_autoencoder
from mien.training.decoding import Region, decode, tiny_autoencoder
from mien.training.diffusion import loss_of, noisy
from mien.training.frozen_base import Prompts, Selection
from mien.training.heads import FaceHeads
from mien.training.objective import Logs
from mien.training.objectives.branch import BranchConfig, BranchObjective
from mien.training.sources import Sources

if TYPE_CHECKING:
    from mien.data.corpus import Corpus
    from mien.models.autoencoder import Autoencoder

Inversion = Literal["ani", "none", "drop"]
IDENTITY_FILE = "adapters/expression_identity.safetensors"
BOTH, IDENTITY = frozenset({"expression", "identity"}), frozenset({"identity"})


class AlignmentConfig(BranchConfig):
    """Options of :class:`AlignmentObjective`.

    Attributes:
        w_id: weight of the identity term.
        w_exp: weight of the expression term.
        inversion: ``"ani"`` bounds f(t) by ``f_max`` (Eq. 8); ``"none"`` does not (Eq. 6); ``"drop"`` leaves rows
            beyond the bound out of the two terms (the two alternatives of the paper's ablation).
        f_max: f(R_tmax), see `mien.diffusion.inversion`.
        identity_head: ``phi``, an ArcFace network as an ONNX file or an asset's name; the base's own by default.
        expression_head: ``b``, MediaPipe's ``face_landmarker.task`` or its asset's name; by default the studio's face
            reader, on another base MediaPipe's.
        decode: ``"face"`` computes the decoder's gradient for the face alone, see `mien.training.decoding`.
        tiny_decoder: folder of a diffusers ``AutoencoderTiny`` that decodes in the autoencoder's place.
        kind: the expression.
        init: the branch of the stage before.
        companions: the identity comes through its branch, so that one prediction can do without the expression alone.
        prompts: without the face, for the same reason.
        checkpointing: of the UNet, and of the decoder, picture by picture.
    """

    kind: Literal["landmarks", "emotion", "identity", "expression"] = "expression"
    init: str | None = "adapters/expression.safetensors"
    companions: dict[str, str] = Field(default_factory=lambda: {"identity": IDENTITY_FILE})
    prompts: Prompts = (0.9, 0.0, 0.0, 0.1)
    w_id: float = 0.08
    w_exp: float = 10.0
    inversion: Inversion = "ani"
    f_max: float = SD_F_MAX
    identity_head: str | None = None
    expression_head: str | None = None
    decode: Region = "whole"
    tiny_decoder: str | None = None

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        if self.kind != "expression" or self.companions.keys() != {"identity"}:
            raise ValueError("it trains the expression branch beside the identity's: leave kind and companions out")
        return self

    def build(self, sources: Sources) -> AlignmentObjective:
        """See the base class."""
        return AlignmentObjective(sources, self)


class AlignmentObjective(BranchObjective):
    """One noisy latent, two predictions: with identity and expression, and with the identity alone.

    Both are brought to pictures in one step. The first is to show the person of the second (whose side gets no
    gradient) and the expression of the template:
    ``L = L_diff + w_id (1 - cos(phi(x_exp), phi(x_id))) + w_exp mean |b(x_exp) - b(template)|`` (*inferred* from the
    abstract and the settings). Trained: the expression branch and the identity's projection.

    Args:
        sources: where base, branches, identity embedder ``phi``, face reader ``b`` and autoencoder are.
        config: the options.

    Attributes:
        w_id, w_exp, inversion, f_max: of the options.
    """

    config_type = AlignmentConfig
    vae: Autoencoder
    heads: FaceHeads

    def __init__(self, sources: Sources, config: AlignmentConfig) -> None:
        super().__init__(sources, config)
        self.w_id, self.w_exp, self.inversion, self.f_max = config.w_id, config.w_exp, config.inversion, config.f_max
        self.region: Region = config.decode
        self.checkpointing, self.tiny_decoder = config.checkpointing, config.tiny_decoder
        self.head_places = {
            "identity": sources.named(config.identity_head or "identity"),
            "expression": sources.named(config.expression_head or "reader/face"),
        }

    def prepare(self, corpus: Corpus, folder: Path) -> None:
        """Also the frozen networks that judge the pictures."""
        super().prepare(corpus, folder)
        if self.tiny_decoder is None:
            vae = base_autoencoder(self.base.sources.path("vae"))
        else:
            channels, side = self.base.examples.latents.shape[1:3]
            vae = tiny_autoencoder(Path(self.tiny_decoder), channels, side, self.base.examples.size)
        device = self.unet.device
        self.vae = placed(vae.eval().requires_grad_(False), device=device, dtype=torch.float32)
        self.heads = FaceHeads(self.head_places["identity"], self.head_places["expression"]).to(device)

    def gather(self, selection: Selection) -> dict[str, Tensor]:
        """The batch of a selection, with the landmarks that crops are taken by."""
        return super().gather(selection) | {"points": selection.examples.landmarks(selection.rows)}

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        diffusion, identity, expression = self.terms(batch, generator)
        logs = {"diffusion": diffusion, "identity": identity, "expression": expression}
        terms: Logs = {name: value.detach() for name, value in logs.items()}  # type: ignore[assignment]
        return diffusion + self.w_id * identity + self.w_exp * expression, terms

    def terms(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """The diffusion loss, the identity term and the expression term of a batch, not weighted."""
        latents, places = batch["latents"], 1 + self.config.emphasis * batch["places"]
        noised, timesteps, noise = noisy(self.base.scheduler, latents, generator)
        with_both, alone = self._two(batch, noised, timesteps)
        diffusion = loss_of(self.base.scheduler, with_both, latents, noise, timesteps, self.config.gamma, places)
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
            "expression": self.branch_set["expression"].encode(batch["condition"]),
            "identity": self.branch_set["identity"].encode(batch["identity"]),
        }
        plan = self.injection.condition(tokens, evaluations=(BOTH, IDENTITY))
        twice = torch.cat([noised, noised]).contiguous(memory_format=torch.channels_last)
        kwargs = self.base.unet_kwargs(batch, 2)
        output = self.unet(twice, timesteps.repeat(2), cross_attention_kwargs=plan, **kwargs).sample
        return list(output.float().chunk(2))

    def _counted(self, timesteps: Tensor) -> Tensor:
        """Which rows the two terms are taken over, [B] of 0 and 1."""
        if self.inversion != "drop":
            return torch.ones(len(timesteps), device=timesteps.device)
        return (f_of_timestep(self.base.scheduler, timesteps) <= self.f_max).float()

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
        clean = adaptive_noise_inversion(latents, noise, output, noised, timesteps, self.base.scheduler, bound)
        with torch.autocast(clean.device.type, enabled=False):
            return decode(self.vae, clean, points, self.region, self.checkpointing).clamp(-1, 1)

    def _template(self, latents: Tensor) -> Tensor:
        """The picture whose expression is wanted: of a pair both show the same one, so the target stands for it."""
        with torch.no_grad():
            return decode(self.vae, latents, checkpointing=self.checkpointing).clamp(-1, 1)
