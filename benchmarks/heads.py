"""ICA's frozen heads and memory levers: does MediaPipe in torch agree with MediaPipe, and what does a step hold?

    python benchmarks/heads.py --renders RENDERS --photo PHOTO ... [--limit 100]     # results/heads.json and the tables
    python benchmarks/heads.py                                                       # the tables alone

The astronaut of scikit-image is read as well. MediaPipe reads each picture twice: as a still picture, where its
detector finds the square that the landmarks are sought in, and as a video that does not move, where it is the square
around the last landmarks. The torch networks are given the square of the second. Memory is the most that the
decoder's activations take at once, forward and backward, for 4 pictures in float32; it is counted on tensors without
data, so a decoder of SD1.5's size needs no machine that could hold it.
"""

from __future__ import annotations

from mien.core.openmp import wait_passively  # noqa: F401 # isort: skip - importing mien says it before torch loads

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from docs_parts import write_tables
from numpy.typing import NDArray
from PIL import Image
from result_files import write_result

from mien.core.io import read_json, sha256_of
from mien.data.corpus import Corpus
from mien.evaluation.report.tables import table
from mien.faces.linear.face import LinearFace
from mien.faces.mediapipe import MediaPipeReader, find_model, tracked_reading
from mien.faces.mediapipe_torch import TorchFaceLandmarker
from mien.training.batches import pictures_to_tensor, spread_rows
from mien.training.decoding import decode

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "heads.json"
PICTURES = 4
LEVERS = {
    "neither": {},
    "decode=face": {"region": "face"},
    "checkpointing": {"checkpointing": True},
    "both": {"region": "face", "checkpointing": True},
}


def agreement(pictures: list[NDArray[np.uint8]], model: Path) -> dict[str, Any]:
    """Differences over pictures that MediaPipe reads both ways."""
    network, reader = TorchFaceLandmarker(model), MediaPipeReader(model, max_faces=1, retry=False)
    rows: list[dict[str, float]] = []
    for pixels in pictures:
        tracked, still = tracked_reading(pixels, model), reader.read(pixels).faces
        if tracked is None or not still:
            continue
        landmarks, blendshapes = tracked
        still_points, still_shapes = np.asarray(still[0].landmarks), np.asarray(still[0].blendshapes)
        with torch.no_grad():
            points = torch.from_numpy(landmarks)[None]
            found = network.landmarks(pictures_to_tensor(pixels[None]), points)
            scores = network.blendshapes(found)[0].numpy()
            alone = network.blendshapes(torch.from_numpy(still_points)[None])[0].numpy()
        away = np.linalg.norm(found[0, :, :2].numpy() - landmarks[:, :2], axis=1)
        between = np.linalg.norm(still_points[:, :2] - landmarks[:, :2], axis=1)
        face = float(np.ptp(landmarks[:, 0]))
        rows.append({
            "landmarks_px": float(away.mean()), "landmarks_of_face": float(away.mean() / face),
            "blendshapes": float(np.abs(scores - blendshapes).mean()),
            "blendshapes_worst": float(np.abs(scores - blendshapes).max()),
            "blendshape_network_alone": float(np.abs(alone - still_shapes).max()),
            "still_against_video_landmarks_px": float(between.mean()),
            "still_against_video_blendshapes": float(np.abs(still_shapes - blendshapes).mean()),
        })  # fmt: skip
    told = {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if not key.endswith(("worst", "alone"))}
    told |= {key: max(row[key] for row in rows) for key in rows[0] if key.endswith(("worst", "alone"))}
    return {"pictures": len(pictures), "read": len(rows), **{key: round(value, 7) for key, value in told.items()}}


def kept_megabytes(vae: Any, latents: torch.Tensor, points: torch.Tensor, **lever: Any) -> float:
    """What the decoder keeps for the backward pass."""
    weights = {p.untyped_storage()._cdata for p in vae.parameters()}
    kept: dict[int, tuple[int, Any]] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = (storage.nbytes(), storage)  # held, so that no address comes twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        pictures = decode(vae, latents, points, **lever)
    del pictures
    return sum(size for size, _ in kept.values()) / 2**20


def most_megabytes(vae: Any, latents: torch.Tensor, points: torch.Tensor, **lever: Any) -> float:
    """What is held at most: what was kept, and what checkpointing computes again, picture by picture."""
    held = kept_megabytes(vae, latents, points, **lever)
    if lever.pop("checkpointing", False):
        held += kept_megabytes(vae, latents[:1], points[:1], **lever)
    return round(held, 1)


def memory() -> dict[str, dict[str, float]]:
    """Megabytes by network and lever, for faces as large as the studio frames them."""
    from diffusers import AutoencoderKL, AutoencoderTiny

    from mien.assets import embedded
    from mien.training.bases import base_autoencoder

    four: Any = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    four |= {"block_out_channels": (128, 256, 512, 512)}
    large: Any = AutoencoderKL(**four, layers_per_block=2, latent_channels=4)
    networks = {
        "studio, 128 px": (base_autoencoder(embedded("studio") / "vae"), 16, 16),
        "SD1.5's size, 512 px": (large, 4, 64),
        "AutoencoderTiny, 512 px": (AutoencoderTiny(), 4, 64),
    }
    told = {}
    for name, (vae, channels, side) in networks.items():
        vae.eval().requires_grad_(False).to("meta")
        points = torch.from_numpy(LinearFace.load().landmarks(size=side * 8)).float().expand(PICTURES, -1, -1)
        latents = torch.empty(PICTURES, channels, side, side, device="meta").requires_grad_()
        told[name] = {lever: most_megabytes(vae, latents, points, **options) for lever, options in LEVERS.items()}
    return told


def tables(result: dict[str, Any]) -> dict[Path, tuple[str, str]]:
    """Page -> what is said to write the table, table."""
    columns = {
        "landmarks_px": "landmarks, px", "landmarks_of_face": "of the face's width", "blendshapes": "blendshapes, mean",
        "blendshapes_worst": "worst", "blendshape_network_alone": "blendshape network alone, worst",
        "still_against_video_landmarks_px": "MediaPipe's own two ways: landmarks, px",
        "still_against_video_blendshapes": "blendshapes, mean",
    }  # fmt: skip
    rows = [
        [f"{name} ({one['read']})", *(f"{one[key]:.2g}" for key in columns)]
        for name, one in result["agreement"].items()
    ]
    held = [[name, *(f"{value:,.0f}" for value in one.values())] for name, one in result["decoder_megabytes"].items()]
    return {
        ROOT / "docs" / "faces.md": ("benchmarks/heads.py, agreement", table(["pictures", *columns.values()], rows)),
        ROOT / "docs" / "studio-training.md": (
            "benchmarks/heads.py, memory",
            table([f"decoder of {PICTURES} pictures, MB held at most", *LEVERS], held),
        ),
    }


def main(
    renders: Annotated[Path | None, typer.Option(help="Rendered set.")] = None,
    photo: Annotated[list[Path] | None, typer.Option(help="Photographs.")] = None,
    limit: Annotated[int, typer.Option(help="Renders to read.")] = 100,
) -> None:
    if renders is not None:
        from skimage import data

        model = find_model()
        paths = [np.asarray(Image.open(path).convert("RGB")) for path in photo or []]
        corpus = Corpus.load(renders)
        sets = {
            "photographs": [data.astronaut(), *paths],
            "renders, 128 px": list(corpus["images"][spread_rows(len(corpus), limit)]),
        }
        result = {
            "agreement": {name: agreement([one.copy() for one in pictures], model) for name, pictures in sets.items()},
            "decoder_megabytes": memory(),
            "model": sha256_of(model),
            "torch": torch.__version__,
        }
        write_result(RESULT, result)
    write_tables(tables(read_json(RESULT)))


if __name__ == "__main__":
    typer.run(main)
