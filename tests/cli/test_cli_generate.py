"""`mien generate` from photographs to files, in processes of its own, with an untrained model of the right shape."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mien.faces.networks import Detector, IdentityEmbedder, StudioFaceNet
from mien.provenance.png import read_record
from tests.tiny import tiny_pipeline


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out like the embedded one, with random weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("base")
    tiny_pipeline().save_pretrained(folder)
    for name, net in {"reader/detector": Detector, "reader/face": StudioFaceNet, "identity": IdentityEmbedder}.items():
        net().save_pretrained(folder / name)
    return folder


def mien(*words: object, assets: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MIEN_ASSETS": str(assets), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "mien", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def heard(result: subprocess.CompletedProcess[str]) -> str:
    """The error stream, without the note that the tiny base of these tests reads few words."""
    return re.sub(r"mien: note: this base reads 22 tokens.*\n", "", result.stderr)


def test_from_photographs_to_a_file_and_back(shared: Path, assets_folder: Path, base: Path, tmp_path: Path) -> None:
    pytest.importorskip("mediapipe")
    photos = ("--identity", shared / "photos" / "portrait_a.png", "--expression", shared / "photos" / "portrait_b.png")
    first = mien(
        "generate", *photos, "--yaw", 20, "--emotion", "happy:0.8", "--steps", 2, "-n", 2, "--seed", 3,
        "--base", base, "-o", tmp_path / "a", assets=assets_folder,
    )  # fmt: skip
    assert first.returncode == 0, first.stderr
    assert re.fullmatch(r"read as: .*; template: .*\n", heard(first))
    files = [Path(line) for line in first.stdout.splitlines()]
    assert [file.name for file in files] == ["portrait-0003.png", "portrait-0004.png"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [file.name for file in files]
    record = read_record(files[1])
    assert record.settings["reader"] == "mediapipe-torch"
    assert str(tmp_path) not in record.text()
    assert {"face_landmarker.task", "identity/diffusion_pytorch_model.safetensors"} <= record.models.keys()

    again = mien("generate", "--like", files[1], *photos, "--base", base, "-o", tmp_path / "b", assets=assets_folder)
    assert again.returncode == 0, again.stderr
    assert heard(again) == ""
    assert (tmp_path / "b" / files[1].name).read_bytes() == files[1].read_bytes()

    wrong = mien(
        "generate",
        "--like",
        files[1],
        *photos[:3],
        photos[1],
        "--base",
        base,
        "-o",
        tmp_path / "c",
        assets=assets_folder,
    )
    assert wrong.returncode == 2
    assert "is not the expression picture" in wrong.stderr
    assert not (tmp_path / "c").exists()


def test_two_people_are_mixed_and_repeated(shared: Path, assets_folder: Path, base: Path, tmp_path: Path) -> None:
    pytest.importorskip("mediapipe")
    one, other = (shared / "photos" / f"portrait_{letter}.png" for letter in "ab")
    mixed = mien(
        "generate", "--identity", f"{one}:0.7", "--identity", f"{other}:0.3", "--yaw", 10, "--steps", 2, "--rescale",
        0.5, "--scheduler", "ddpm", "--base", base, "-o", tmp_path / "a", assets=assets_folder,
    )  # fmt: skip
    assert mixed.returncode == 0 and re.fullmatch(r"read as: .*\n", heard(mixed))
    file = Path(mixed.stdout.strip())
    assert read_record(file).settings["weights"] == [0.7, 0.3]
    people = ("--identity", one, "--identity", other)
    again = mien("generate", "--like", file, *people, "--base", base, "-o", tmp_path / "b", assets=assets_folder)
    assert (again.returncode, heard(again)) == (0, "")
    assert (tmp_path / "b" / file.name).read_bytes() == file.read_bytes()
    swapped = ("--identity", other, "--identity", one)
    refused = mien("generate", "--like", file, *swapped, "--base", base, "-o", tmp_path / "c", assets=assets_folder)
    assert refused.returncode == 2 and "not the identity picture" in refused.stderr


def test_a_portrait_is_edited_with_an_adapter_and_a_lora(
    shared: Path, assets_folder: Path, base: Path, tmp_path: Path
) -> None:
    from mien.adapters import save_adapter
    from tests.pipelines.test_pipeline_loading import write_lora
    from tests.tiny import tiny_branch, tiny_unet

    pytest.importorskip("mediapipe")
    photo = shared / "photos" / "portrait_a.png"
    save_adapter(tmp_path / "feeling.safetensors", {"emotion": tiny_branch(tiny_unet(), seed=8)})
    write_lora(tiny_pipeline(), tmp_path / "style.safetensors")
    added = ("--adapter", tmp_path / "feeling.safetensors", "--lora", f"{tmp_path / 'style.safetensors'}:0.5")
    words = ("--edit", photo, *added, "--device", "cpu", "--base", base)
    first = mien(
        "generate", *words, "--emotion", "happy:0.9", "--strength", 0.5, "--steps", 4, "--precision", "fp32",
        "-o", tmp_path / "a", assets=assets_folder,
    )  # fmt: skip
    assert first.returncode == 0 and re.fullmatch(r"read as: .*\n", heard(first))
    file = Path(first.stdout.strip())
    record = read_record(file)
    assert {"adapter:1", "lora:1"} <= record.models.keys() and "style" not in record.text()
    assert record.settings["loading"] == {"precision": "fp32", "lora_weights": [0.5]}
    words = ("--edit", photo, *added[:3], tmp_path / "style.safetensors", "--base", base)
    again = mien("generate", "--like", file, *words, "-o", tmp_path / "b", assets=assets_folder)
    assert (again.returncode, heard(again)) == (0, "")
    assert (tmp_path / "b" / file.name).read_bytes() == file.read_bytes()
    without = mien(
        "generate", "--like", file, "--edit", photo, "--base", base, "-o", tmp_path / "c", assets=assets_folder
    )
    assert without.returncode == 2 and "made with 1 LoRA files" in without.stderr
    wrong = mien("generate", "--prompt", "a", "--base", "nowhere", "-o", tmp_path / "c", assets=assets_folder)
    assert wrong.returncode == 2 and "There is no base 'nowhere'" in wrong.stderr
    wrong = mien("generate", "--prompt", "a", "--precision", "int8", "-o", tmp_path / "c", assets=assets_folder)
    assert wrong.returncode == 2 and "precision" in wrong.stderr
