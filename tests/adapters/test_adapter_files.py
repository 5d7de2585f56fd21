"""Adapter files: what goes in comes out, what is not understood is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from mien.adapters import Branch, describe_unet, load_adapter, save_adapter, select_blocks
from mien.errors import ConfigError, MissingAsset
from mien.pipelines.adapters_folder import load_adapters
from tests.tiny import tiny_branch, tiny_condition, tiny_unet

ODD: list[dict[str, Any]] = [
    {"kind": "emotion", "token_dim": 11, "encoder": {"hidden": 5, "tokens": 3}},
    {"kind": "identity", "token_dim": 7, "encoder": {"embedding_dim": 9, "hidden": 6, "tokens": 3}, "null": "zeros"},
    {"kind": "expression", "token_dim": 24, "encoder": {"feature_dim": 10, "tokens": 3, "pooled": True}},
    {
        "kind": "expression",
        "token_dim": 13,
        "encoder": {"feature_dim": 10, "tokens": 0, "pooled": False},
        "site": "self",
    },
    {
        "kind": "landmarks",
        "token_dim": 30,
        "encoder": {"size": 24, "unshuffle": 2, "channels": [8, 24], "residuals": [1, 0]},
        "site": "serial",
    },
]


@pytest.mark.parametrize("settings", ODD, ids=lambda s: f"{s['kind']}-{s['token_dim']}")
def test_round_trip_of_odd_sizes(tmp_path: Path, settings: dict[str, Any]) -> None:
    unet = tiny_unet(
        block_out_channels=(28, 56), attention_head_dim=(7, 14), norm_num_groups=7
    )  # 7 heads, mixed widths
    settings = dict(settings)
    branch = Branch.for_unet(unet, settings.pop("kind"), settings.pop("token_dim"), name="odd", **settings)
    save_adapter(tmp_path / "a.safetensors", {"first": branch})
    back = load_adapter(tmp_path / "a.safetensors")
    assert list(back) == ["first"]
    again = back["first"]
    assert again.config["encoder_config"] == branch.config["encoder_config"]
    assert (again.kind, again.label, again.null, again.site) == (branch.kind, "odd", branch.null, branch.site)
    assert again.blocks == branch.blocks
    assert list(again.state_dict()) == list(branch.state_dict())
    assert all(
        torch.equal(a, b) for a, b in zip(again.state_dict().values(), branch.state_dict().values(), strict=True)
    )
    condition = torch.randn(2, *branch.encoder.condition_shape)
    assert torch.equal(again.encode(condition), branch.eval().encode(condition))
    assert list(tmp_path.iterdir()) == [tmp_path / "a.safetensors"]


def test_several_branches_dtype_and_notes(tmp_path: Path) -> None:
    unet = tiny_unet()
    file = tmp_path / "both.safetensors"
    few = select_blocks(describe_unet(unet), ["mid_block/*", "up_blocks/0/*"])
    branches = {"a": tiny_branch(unet, "landmarks"), "b": tiny_branch(unet, "emotion", blocks=few)}
    save_adapter(file, branches, dtype=torch.float16, notes={"licence": "apache-2.0"})
    with safe_open(file, framework="pt") as stored:
        assert stored.metadata()["licence"] == "apache-2.0"
    assert {branch.dtype for branch in load_adapter(file).values()} == {torch.float32}
    back = load_adapter(file, dtype=None)
    assert {branch.dtype for branch in back.values()} == {torch.float16}
    assert len(back["b"].blocks) == 3
    assert not back["a"].training


def test_save_pretrained_works_too(tmp_path: Path) -> None:
    branch = tiny_branch(tiny_unet())
    branch.save_pretrained(tmp_path)
    again = Branch.from_pretrained(tmp_path)
    condition = tiny_condition("emotion", 2)
    assert torch.equal(again.encode(condition), branch.encode(condition))
    assert again.blocks == branch.blocks


def edited(file: Path, config: Any = None, tensors: Any = None, text: str | None = None, **metadata: str) -> Path:
    """A copy of an adapter file with something changed."""
    with safe_open(file, framework="pt") as stored:
        kept = dict(stored.metadata())
    settings, values = json.loads(kept["config"]), load_file(file)
    (config or (lambda _: None))(settings["a"])
    (tensors or (lambda _: None))(values)
    other = file.with_name("edited.safetensors")
    save_file(values, other, metadata={**kept, "config": text or json.dumps(settings), **metadata})
    return other


def test_what_is_not_understood_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    save_adapter(file, {"a": tiny_branch(tiny_unet())})
    changes: dict[str, dict[str, Any]] = {
        "unknown settings": {"config": lambda s: s.update(gate=True)},
        "encoder do not fit": {"config": lambda s: s["encoder_config"].update(depth=2)},
        "no branch owns": {"tensors": lambda t: t.update({"c.weight": torch.zeros(1)})},
        "does not fit its settings": {"tensors": lambda t: t.update({"a.weight": torch.zeros(1)})},
        "format version": {"version": "2"},
        "not an adapter of mien": {"format": "other"},
        "no readable configuration": {"text": "{"},
    }
    for message, change in changes.items():
        with pytest.raises(ConfigError, match=message):
            load_adapter(edited(file, **change))
    with pytest.raises(MissingAsset, match="no adapter file"):
        load_adapter(tmp_path / "absent.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ConfigError, match="not a safetensors file"):
        load_adapter(broken)
    with pytest.raises(ConfigError, match="without a dot"):
        save_adapter(file, {"a.b": tiny_branch(tiny_unet())})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value: float, tmp_path: Path) -> None:
    """They drew an all-black picture with a mark."""
    file = tmp_path / "a.safetensors"
    save_adapter(file, {"a": tiny_branch(tiny_unet())})
    with pytest.raises(ConfigError, match=r"holds values that are not finite, in a\.encoder\.net\.0\.bias"):
        load_adapter(edited(file, tensors=lambda t: t["a.encoder.net.0.bias"].fill_(value)))


def test_settings_of_another_type_or_size_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    save_adapter(file, {"a": tiny_branch(tiny_unet())})
    block = next(iter(tiny_branch(tiny_unet()).blocks))
    changes: list[Any] = [
        lambda s: s.update(token_dim="16"),
        lambda s: s.update(token_dim=10**12),
        lambda s: s.update(kind="gaze"),
        lambda s: s["blocks"].update({block: [16, 2]}),
        lambda s: s["blocks"].update({block: [16, 2, -32]}),
        lambda s: s["encoder_config"].update(hidden=2**40),
        lambda s: s["encoder_config"].update(hidden=[[16]]),
        lambda s: s.update(lora={"rank": 0, "blocks": {}}),
        lambda s: s.update(null="nothing"),
    ]
    for change in changes:
        with pytest.raises(ConfigError, match=r"has settings that cannot be"):
            load_adapter(edited(file, config=change))
    with pytest.raises(ConfigError, match=r"does not fit its settings \(encoder\.net\.0\.bias is .* of torch.int32"):
        load_adapter(edited(file, tensors=lambda t: t.update({"a.encoder.net.0.bias": torch.zeros(16).int()})))


def test_a_file_that_an_interrupted_save_left_is_nobodys(tmp_path: Path) -> None:
    branch = tiny_branch(tiny_unet())
    save_adapter(tmp_path / "adapters" / "emotion.safetensors", {"emotion": branch})
    (tmp_path / "adapters" / ".emotion.safetensors.x1y2.safetensors").write_bytes(b"half a file")
    assert list(load_adapters(tmp_path)) == ["emotion"]
