"""`mien generate` on tiny bases in the published layouts, from photographs to files."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.cli.main import main
from mien.errors import BadInput, MissingAsset
from mien.generation.generate import generate
from mien.generation.repeat import repeat
from mien.generation.request import GenerateRequest
from mien.generation.tools import FaceTools
from mien.pipelines.load_options import Loading
from mien.provenance.png import read_record
from tests.ip_adapters import write_ip_adapter
from tests.ldm import write_checkpoint
from tests.published import write_arc2face, write_arcface, write_sd15, write_sdxl
from tests.scrfd import write_scrfd


@pytest.fixture(scope="module")
def assets(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for MIEN_ASSETS with every base, ArcFace and MediaPipe's model."""
    pytest.importorskip("mediapipe")
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("assets")
    write_sd15(folder / "sd15")
    write_sdxl(folder / "sdxl")
    write_arc2face(folder / "arc2face")
    (folder / "arcface-r50").mkdir()
    write_arcface(folder / "arcface-r50" / "w600k_r50.onnx")
    shutil.copy(shared / "models" / "face_landmarker.task", folder)
    return folder


@pytest.fixture(autouse=True)
def here(assets: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIEN_ASSETS", str(assets))
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def photos(shared: Path) -> tuple[Path, Path]:
    return shared / "photos" / "portrait_a.png", shared / "photos" / "portrait_b.png"


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def test_arc2face_in_one_line(photos: tuple[Path, Path], tmp_path: Path) -> None:
    settings: dict[str, Any] = {"base": "arc2face", "steps": 2, "output": tmp_path / "a"}
    (file,) = generate(GenerateRequest(identity=photos[0], **settings))
    assert Image.open(file).size == (512, 512)
    record = read_record(file)
    assert {"identity/arcface.onnx", "text_encoder/pytorch_model.bin", "face_landmarker.task"} <= record.models.keys()
    assert {
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
    } <= record.models.keys()
    (again,) = repeat(file, {"identity": photos[0]}, tmp_path / "again")
    assert again.read_bytes() == file.read_bytes()
    unmarked = [pixels(generate(GenerateRequest(identity=photo, provenance=False, **settings))[0]) for photo in photos]
    assert (unmarked[0] != unmarked[1]).any(), "another face is another picture, even with random weights"


def test_faceid_on_a_named_base_and_on_its_single_file(photos: tuple[Path, Path], tmp_path: Path) -> None:
    from mien.pipelines.bases import open_base

    base = open_base("sd15")
    adapter = write_ip_adapter(base.unet, tmp_path / "faceid.bin", "faceid", 512, rank=4)
    loading = Loading(adapters=(str(adapter),), device="cpu")
    request = GenerateRequest(identity=photos[0], base="sd15", loading=loading, steps=2, output=tmp_path / "a")
    (file,) = generate(request)
    assert "adapter:1" in read_record(file).models and "faceid" not in read_record(file).text()
    assert "loading" not in read_record(file).settings, "files are told by their hashes alone"
    plain = request.model_copy(update={"provenance": False})
    single = plain.model_copy(update={"base": str(write_checkpoint(base, tmp_path / "base.safetensors"))})
    one, other = (pixels(generate(asked)[0]) for asked in (plain, single))
    assert np.abs(one - other).max() <= 1
    assert single.settings()["base"] == "folder"
    with pytest.raises(BadInput, match="no adapter for identity; load one"):
        generate(request.model_copy(update={"loading": Loading(device="cpu")}))


def test_sdxl_from_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["generate", "--base", "sdxl", "--prompt", "photo", "--steps", "1", "--device", "cpu", "--tiling"]
    assert main([*words, "-o", str(tmp_path / "out")]) == 0, capsys.readouterr().err
    file = Path(capsys.readouterr().out.strip())
    assert Image.open(file).size == (1024, 1024)
    assert {name.partition("/")[0] for name in read_record(file).models} >= {"text_encoder", "text_encoder_2", "unet"}


def test_arc2face_from_the_points_of_insightfaces_detector(assets: Path, tmp_path: Path) -> None:
    write_scrfd(assets / "scrfd_10g_bnkps.onnx")
    pixels = np.zeros((480, 640, 3), np.uint8)
    pixels[128:160, 160:192, 0] = 255
    photo = tmp_path / "photo.png"
    Image.fromarray(pixels).save(photo)
    settings: dict[str, Any] = {"base": "arc2face", "reader": "antelopev2", "steps": 1, "output": tmp_path / "a"}
    (file,) = generate(GenerateRequest(identity=photo, **settings))
    record = read_record(file)
    assert record.settings["reader"] == "antelopev2" and "scrfd_10g_bnkps.onnx" in record.models
    assert repeat(file, {"identity": photo}, tmp_path / "again")[0].read_bytes() == file.read_bytes()
    with pytest.raises(BadInput, match="antelopev2 gives no landmarks; choose another"):
        generate(GenerateRequest(identity=photo, **{**settings, "base": "studio"}))


def test_without_arcface_the_sentence_says_how_to_get_it(
    photos: tuple[Path, Path], tmp_path: Path, assets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poor = tmp_path / "poor"
    shutil.copytree(assets / "sd15", poor / "sd15")
    shutil.copy(assets / "face_landmarker.task", poor)
    monkeypatch.setenv("MIEN_ASSETS", str(poor))
    tools = FaceTools.load("sd15", "auto")
    assert tools.describe({}) == "portrait photo of a person"
    with pytest.raises(MissingAsset, match="mien assets get arcface-r50"):
        generate(GenerateRequest(identity=photos[0], base="sd15", output=tmp_path / "out"), tools=tools)
