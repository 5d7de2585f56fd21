"""What a rehearsal works on: raw data in the published layouts, and tiny networks in the published layouts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from mien.assets import require_asset
from mien.core.io import read_json, write_json
from mien.faces.published.facenet import FaceNet
from tests.arcface import iresnet
from tests.ip_adapters import write_ip_adapter
from tests.published import write_arc2face, write_sd15
from tests.published_networks import OUTPUTS, Means, onnx_file
from tests.raw_data import (
    Faces,
    write_agedb,
    write_celeba,
    write_clips,
    write_ffhq,
    write_mead,
)  # fmt: skip
from tests.rehearsal.drawing import teach_faces

LANDMARKER = "mediapipe-face-landmarker"


class Size(NamedTuple):
    """How much of everything.

    Attributes:
        pixels: side of the pictures that the bases draw.
        people: of FFHQ; of the pictures of nobody half as many.
        several: people with several pictures, in CelebA; of AgeDB a third.
        actors: of MEAD, with their emotions and seconds of each video.
        clips: videos of two people each.
    """

    pixels: int
    people: int
    several: int
    actors: tuple[int, int, int]
    clips: int


WHOLE = Size(pixels=128, people=68, several=18, actors=(3, 3, 3), clips=6)
SHORT = Size(pixels=128, people=8, several=9, actors=(2, 2, 2), clips=2)


DRAWN = ((802, 5), (805, 8), (806, 9))
"""Person and number of the pictures that the bases draw."""


def write_raw(folder: Path, size: Size, faces: Faces) -> None:
    """The folders that the recipes name, and two photographs.

    Args:
        folder: where they go.
        size: how many.
        faces: the portraits.
    """
    emotions = ("happy", "sad", "angry", "fear")
    actors, felt, seconds = size.actors
    pieces: dict[str, Callable[[Path], Any]] = {
        "FFHQ": lambda place: write_ffhq(place, faces, size.people),
        "MEAD": lambda place: write_mead(
            place, faces, ("M003", "W009", "M005", "W011")[:actors], emotions[:felt], seconds
        ),
        "MEAD-held-out": lambda place: write_mead(place, faces, ("M007",), emotions[:2], 2, first=150),
        "CelebA": lambda place: write_celeba(place, faces, size.several, 4),
        "AgeDB": lambda place: write_agedb(place, faces, max(2, size.several // 3), 2),
        "SYNTH": lambda place: write_ffhq(place, faces, size.people // 2, first=600),
        "VIDEOS": lambda place: write_clips(place, faces, size.clips),
        "VIDEOS-held-out": lambda place: write_clips(place, faces, 1, first=350),
    }  # fmt: skip
    for name, write in pieces.items():
        _whole(folder / name, write)
    for number, name in enumerate(("me.jpg", "friend.jpg")):
        faces(700 + number, 3 + number, 256).save(folder / name, quality=95)


def write_networks(folder: Path, pixels: int, faces: Faces) -> None:
    """What ``mien assets get`` fetches and what users export: the published names and layouts, few channels.

    Weights are random, but for the bases', which draw three portraits.

    Args:
        folder: where they go.
        pixels: side of the pictures that the bases draw.
        faces: the portraits.
    """
    pieces: dict[str, Callable[[Path], Any]] = {
        "sd15": lambda place: teach_faces(write_sd15(place), [faces(*one, pixels) for one in DRAWN]),
        "arc2face": _write_arc2face,
        "arcface-r50": lambda place: iresnet(_made(place) / "w600k_r50.onnx"),
        "arcface": lambda place: iresnet(_made(place) / "glintr100.onnx"),
        "facenet": lambda place: torch.save(FaceNet().state_dict(), _made(place) / "20180402-114759-vggface2.pt"),
        "inception": lambda place: torch.jit.script(Means()).save(str(_made(place) / "inception-2015-12-05.pt")),
        "lpips-alex": _write_alexnet,
        "ip-adapter-image-encoder-vit-h": _write_image_encoder,
        "ip-adapter-sd15": lambda place: _write_adapter(place, "ip-adapter_sd15.safetensors", "plain", 1024, 0),
        "ip-adapter-faceid-sd15": lambda place: _write_adapter(place, "ip-adapter-faceid_sd15.bin", "faceid", 512, 4),
    }
    for seed, (name, write) in enumerate(pieces.items()):
        torch.manual_seed(seed)
        _whole(folder / name, write)
    for file, name, side in (("emonet_8.onnx", "emonet", 256), ("smirk_encoder.onnx", "smirk", 224)):
        onnx_file(folder / file, side, OUTPUTS[name])
    for config in (folder / "sd15" / "unet" / "config.json", folder / "arc2face" / "arc2face" / "config.json"):
        write_json(config, read_json(config) | {"sample_size": pixels // 8})
    if not (folder / "face_landmarker.task").exists():
        (folder / "face_landmarker.task").symlink_to(require_asset(LANDMARKER).resolve())


def _whole(folder: Path, write: Callable[[Path], Any]) -> None:
    """A folder that is written whole or not at all, and only once."""
    if folder.exists():
        return
    temporary = folder.with_name(f"{folder.name}.part")
    if temporary.exists():
        shutil.rmtree(temporary)
    write(temporary)
    temporary.rename(folder)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _write_arc2face(folder: Path) -> None:
    """It draws what sd15 draws; as published, it is that UNet, trained further."""
    shutil.copytree(write_arc2face(folder).parent / "sd15" / "unet", folder / "arc2face", dirs_exist_ok=True)


def _write_alexnet(folder: Path) -> None:
    from mien.evaluation.networks.lpips import Lpips, published_heads

    weights = Lpips("alex", published_heads("alex")).state_dict()
    named = {name: value for name, value in weights.items() if name.startswith("features.")}
    torch.save(named, _made(folder) / "alexnet-owt-7be5be79.pth")


def _write_image_encoder(folder: Path) -> None:
    sizes: Any = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = CLIPVisionConfig(**sizes, image_size=224, patch_size=32, projection_dim=1024)
    CLIPVisionModelWithProjection(vision).save_pretrained(folder / "models" / "image_encoder")


def _write_adapter(folder: Path, file: str, layout: str, features: int, rank: int) -> None:
    """Its weights are small, as published ones are, beside which the base still draws."""
    unet = UNet2DConditionModel.from_pretrained(folder.parent / "sd15" / "unet")
    write_ip_adapter(unet, _made(folder) / file, layout, features, rank, size=0.01)
