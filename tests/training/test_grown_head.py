"""A network that learns a further attribute begins with what the old one knew."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from mien.faces.networks import JudgeAttributes, StudioFaceNet
from mien.training.export import save_half
from mien.training.objective import load_part

OLD = {"beard": ("none", "full"), "hair_color": ("black", "red")}
NEW = {"headwear": ("none", "cap"), "hair_color": ("red", "grey", "black"), "beard": ("none", "full")}


@pytest.mark.parametrize("kind", [JudgeAttributes, StudioFaceNet])
def test_rows_go_by_name_and_new_ones_are_zero(kind: type[nn.Module], tmp_path: Path) -> None:
    torch.manual_seed(0)
    old, new = kind(classes=OLD).eval(), kind(classes=NEW).eval()
    save_half(old, tmp_path / "old")
    load_part(new, tmp_path / "old")
    picture = torch.randn(2, 3, *([96, 96] if kind is JudgeAttributes else [128, 128]))
    before, after = kind.from_pretrained(tmp_path / "old").eval()(picture), new(picture)  # type: ignore[attr-defined]
    assert after["headwear"].abs().max() == 0 and after["hair_color"][:, 1].abs().max() == 0
    torch.testing.assert_close(after["hair_color"][:, [2, 0]], before["hair_color"])
    for name in before.keys() - {"hair_color"}:
        torch.testing.assert_close(after[name], before[name])
