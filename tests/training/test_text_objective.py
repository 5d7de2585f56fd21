from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from mien.data.corpus import Corpus
from mien.training.objectives.text import TextObjective
from mien.training.sources import Sources


def test_all_of_it_is_on_one_device(small_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``meta`` stands for a GPU; the loop moves an objective there before it prepares it."""
    objective, corpus, seen = TextObjective(Sources((small_base,))), Corpus.load(small_base / "data"), set()
    objective.to("meta")
    objective.prepare(corpus, tmp_path)
    assert {parameter.device.type for parameter in objective.parameters()} == {"meta"}

    def similarities(batch: dict[str, Tensor]) -> Tensor:
        seen.update(value.device.type for value in batch.values())
        return torch.eye(len(batch["ids"]))

    monkeypatch.setattr(objective, "similarities", similarities)
    corpus.held_out = corpus
    assert objective.validate(corpus) == {"top1_caption": 1.0, "top1_identity": 1.0, "top1_both": 1.0}
    assert seen == {"meta"}
