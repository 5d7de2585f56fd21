"""From one layout of adapter files to another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mien.adapters import load_adapter, save_adapter
from mien.adapters.convert import base_shape, convert_adapter
from mien.cli.main import main
from mien.errors import BadInput, ConfigError
from tests.ip_adapters import write_ip_adapter
from tests.tiny import tiny_branch, tiny_unet


@pytest.fixture
def base(tmp_path: Path) -> Path:
    tiny_unet().save_pretrained(tmp_path / "base" / "unet")
    return tmp_path / "base"


def test_a_pickle_becomes_a_file_of_ours_and_goes_back(base: Path, tmp_path: Path) -> None:
    source = write_ip_adapter(tiny_unet(), tmp_path / "faceid.bin", "faceid", 512, rank=4)
    assert convert_adapter(source, tmp_path / "ours.safetensors", str(base)) == ["identity"]
    (branch,) = load_adapter(tmp_path / "ours.safetensors").values()
    assert (branch.kind, branch.null) == ("identity", "zeros")
    convert_adapter(tmp_path / "ours.safetensors", tmp_path / "back.safetensors", str(base), "ip-adapter")
    nested: dict[str, Any] = torch.load(source, weights_only=True)
    flat = {f"{part}.{key}": value for part, weights in nested.items() for key, value in weights.items()}
    back = load_file(tmp_path / "back.safetensors")
    assert back.keys() == flat.keys()
    assert all(torch.equal(back[key], flat[key]) for key in flat)


def test_one_of_several_branches_in_half_precision(base: Path, tmp_path: Path) -> None:
    unet = tiny_unet()
    encoder = {"feature_dim": 20, "tokens": 4, "pooled": True}
    expression = tiny_branch(unet, "expression", 32, encoder=encoder, null="zeros")
    save_adapter(tmp_path / "two.safetensors", {"face": expression, "feeling": tiny_branch(unet)})
    target = tmp_path / "out.safetensors"
    with pytest.raises(BadInput, match="name one of face, feeling"):
        convert_adapter(tmp_path / "two.safetensors", target, str(base), "ip-adapter")
    with pytest.raises(BadInput, match="holds no branch 'pose'"):
        convert_adapter(tmp_path / "two.safetensors", target, str(base), "ip-adapter", "pose")
    with pytest.raises(ConfigError, match="no place there"):
        convert_adapter(tmp_path / "two.safetensors", target, str(base), "ip-adapter", "feeling")
    convert_adapter(tmp_path / "two.safetensors", target, str(base), "ip-adapter", "face", half=True)
    assert {value.dtype for value in load_file(target).values()} == {torch.float16}


def test_what_would_have_no_effect_is_refused(base: Path, tmp_path: Path) -> None:
    unet, source, target = tiny_unet(), tmp_path / "one.safetensors", tmp_path / "out.safetensors"
    save_adapter(source, {"feeling": tiny_branch(unet)})
    for branch in ("feeling", "foo"):
        with pytest.raises(BadInput, match=r"--branch.*--layout ip-adapter"):
            convert_adapter(source, target, str(base), branch=branch)
    for other in ("studio", "sd15"):
        with pytest.raises(ConfigError, match="made for another base"):
            convert_adapter(source, target, other)
    assert not target.exists()
    assert convert_adapter(source, target, str(base)) == ["feeling"]


def test_the_command_line(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_ip_adapter(tiny_unet(), tmp_path / "plain.safetensors", "plain", 20)
    words = ["model", "convert", str(source), "--base", str(base), "-o", str(tmp_path / "out.safetensors")]
    assert main(words) == 0
    assert capsys.readouterr().out == "expression\n"
    assert main([*words[:-1], str(tmp_path / "out.bin")]) == 2
    assert "writes no pickles" in capsys.readouterr().err
    assert main([*words, "--layout", "gguf"]) == 2
    assert main(["model", "convert", str(source), "--base", "nowhere", "-o", str(tmp_path / "x.safetensors")]) == 2
    assert "There is no base 'nowhere'" in capsys.readouterr().err


def test_bases_without_their_weights() -> None:
    assert base_shape("sdxl").config["cross_attention_dim"] == 2048
    assert base_shape("arc2face").config["cross_attention_dim"] == 768
    assert next(base_shape("sd15").parameters()).is_meta
