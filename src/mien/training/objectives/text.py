"""Pre-train the text encoder as CLIP does: which caption, or which face embedding, belongs to which picture.

Stable Diffusion and Arc2Face start from a CLIP that knows what words mean. Without that, the studio's base learned to
draw and ignored what was asked for: the states of different prompts hardly differed (docs/studio-training.md).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.core.modules import placed
from mien.models import build_text_encoder, load_or_train_tokenizer
from mien.models.text import encode_ids
from mien.training.contrast import symmetric_cross_entropy
from mien.training.examples import Examples
from mien.training.objective import Logs, Objective, ObjectiveConfig
from mien.training.prompts import Kind
from mien.training.sources import Sources

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from mien.data.corpus import Corpus


class TextConfig(ObjectiveConfig):
    """Options of :class:`TextObjective`.

    Attributes:
        mixture: probabilities of a caption, an identity prompt, both in one prompt (:class:`Kind`).
        width: of the space in which prompts and pictures are compared.
    """

    mixture: tuple[float, float, float] = (0.5, 0.25, 0.25)
    width: int = 256

    def build(self, sources: Sources) -> TextObjective:
        """See the base class."""
        return TextObjective(sources, self)


class TextObjective(Objective):
    """Symmetric cross-entropy over a batch of (prompt, latents) pairs (CLIP, Radford et al. 2021).

    Args:
        sources: where the autoencoder and the identity embedder are.
        config: the options.
    """

    config_type = TextConfig
    tokenizer: PreTrainedTokenizerBase

    def __init__(self, sources: Sources, config: TextConfig | None = None) -> None:
        super().__init__()
        self.sources, self.config = sources, config or TextConfig()
        self.picture_tower = nn.Sequential(
            nn.Conv2d(16, 64, 3, 2, 1), nn.SiLU(), nn.Conv2d(64, 128, 3, 2, 1), nn.SiLU(),
            nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten()), nn.Linear(128 * 16, 512), nn.SiLU(),
            nn.Linear(512, self.config.width),
        )  # fmt: skip
        self.log_scale = nn.Parameter(torch.tensor(2.6593))  # exp(2.66) = 1 / 0.07, as CLIP starts

    def prepare(self, corpus: Corpus, folder: Path) -> None:
        """Tokenizer, cached latents and embeddings, tokenised prompts."""
        self.tokenizer = load_or_train_tokenizer(folder / "tokenizer", corpus.captions)
        device = self.log_scale.device
        self.text_encoder = placed(build_text_encoder(self.tokenizer), device=device)
        self.projection = nn.Linear(self.text_encoder.config.hidden_size, self.config.width, bias=False).to(device)
        self.examples = self._examples(corpus)

    def _examples(self, corpus: Corpus) -> Examples:
        return Examples(corpus, self.sources, self.tokenizer, self.text_encoder.config.hidden_size)

    def batch(self, corpus: Corpus, rng: np.random.Generator, size: int) -> dict[str, Tensor]:
        """Different pictures where there are enough, each with a prompt of one kind."""
        rows = rng.choice(len(corpus), size, replace=size > len(corpus))
        return self.examples.batch(
            rows, corpus.same_person(rows, rng), rng.choice(3, size, p=np.asarray(self.config.mixture))
        )

    def similarities(self, batch: dict[str, Tensor]) -> Tensor:
        """Cosines [B, B], prompts by pictures; a prompt is read at its end-of-text token, as in CLIP."""
        hidden = encode_ids(self.text_encoder, batch["ids"], batch["identity"], self.examples.prompts.id_token)
        padding = self.tokenizer.pad_token_id
        assert isinstance(padding, int)  # a list for several tokens
        last = (batch["ids"] != padding).sum(1) - 1
        asked = self.projection(hidden[torch.arange(len(hidden)), last])
        seen = self.picture_tower(batch["latents"])
        return F.normalize(asked.float(), dim=1) @ F.normalize(seen.float(), dim=1).T

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Logs]:
        """See the class."""
        logits = self.similarities(batch) * self.log_scale.clamp(max=4.6).exp()
        return symmetric_cross_entropy(logits), {"top1": _first(logits.detach())}  # type: ignore[dict-item]

    def validate(self, corpus: Corpus) -> Logs:
        """How often the right one of 200 held-out pictures comes first, by kind of prompt."""
        held_out = corpus.held_out
        if held_out is None:
            return {}
        examples = self._examples(held_out)
        rng, logs = np.random.default_rng(0), {}
        first = np.unique(held_out.person_index, return_index=True)[1][:200]  # one picture a person
        other = held_out.same_person(first, rng)
        for kind in (Kind.CAPTION, Kind.IDENTITY, Kind.BOTH):
            batch = examples.batch(first, other, np.full(len(first), kind))
            cosines = self.similarities({name: value.to(self.log_scale.device) for name, value in batch.items()})
            logs[f"top1_{kind.name.lower()}"] = float(_first(cosines))
        return logs

    def parts(self) -> dict[str, nn.Module]:
        """See the base class."""
        return {"text_encoder": self.text_encoder}

    def export(self, folder: Path) -> None:
        """``text_encoder/`` and ``tokenizer/``."""
        super().export(folder)
        self.tokenizer.save_pretrained(folder / "tokenizer")


def _first(similarities: Tensor) -> Tensor:
    """The share of prompts whose own picture is the most similar one, from [B, B]."""
    own = torch.arange(len(similarities), device=similarities.device)
    return (similarities.argmax(1) == own).float().mean()
