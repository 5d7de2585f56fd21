"""Decoding inside a loss: only the face, again in the backward pass, by a tiny decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny

from mien.assets import embedded_or_none
from mien.errors import BadInput, MissingAsset
from mien.faces.linear.face import LinearFace
from mien.models import StudioAutoencoder
from mien.pipelines.autoencoders import decode_latents, vae_scale_factor
from mien.training.bases import base_autoencoder
from mien.training.decoding import MARGIN, Box, _recorded, decode, decode_boxes, face_boxes, tiny_autoencoder
from tests.memory import KeptBytes

KINDS = ("studio", "kl", "tiny")


def autoencoder(kind: str) -> Any:
    """The studio's trained one, one in SD's layout, one in TAESD's; :func:`pixels` says how many a cell has."""
    torch.manual_seed(0)
    four: Any = (8, 8, 8, 8)
    if kind == "studio":
        trained = embedded_or_none("studio")
        found: Any = StudioAutoencoder() if trained is None else base_autoencoder(trained / "vae")
    elif kind == "kl":
        down: Any = ("DownEncoderBlock2D",) * 4
        up: Any = ("UpDecoderBlock2D",) * 4
        found = AutoencoderKL(
            down_block_types=down, up_block_types=up, block_out_channels=four, norm_num_groups=4, latent_channels=4
        )
    else:
        found = AutoencoderTiny(encoder_block_out_channels=four, decoder_block_out_channels=four, latent_channels=4)
    return found.eval().requires_grad_(False)


def pixels(vae: Any) -> int:
    """Of a cell's side."""
    return vae_scale_factor(vae)


def small_faces(size: int) -> torch.Tensor:
    """Two faces of about a third of the picture, one left and up, one right and down."""
    points = torch.from_numpy(LinearFace.load().landmarks(size=size)).float()
    middle = points.mean(0)
    moved = [
        (points - middle) * 0.5 + middle + torch.tensor([dx, dy, 0]) * size for dx, dy in ((-0.2, -0.1), (0.1, 0.15))
    ]
    return torch.stack(moved)


def latents_of(kind: str, side: int = 24) -> torch.Tensor:
    channels = 16 if kind == "studio" else 4
    latents = torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.avg_pool2d(latents, 3, 1, 1) * 2  # neighbours alike, as in a picture's latents


def test_boxes_hold_the_faces_and_their_margins() -> None:
    points = small_faces(192)
    boxes = face_boxes(points, 24, 24, 8)
    assert len({(box.height, box.width) for box in boxes}) == 1
    for box, face in zip(boxes, points, strict=True):
        low, high = face[:, :2].amin(0) / 8, face[:, :2].amax(0) / 8
        assert box.left + MARGIN <= low[0] + 0.01 or box.left == 0
        assert box.top + MARGIN <= low[1] + 0.01 or box.top == 0
        assert box.left + box.width >= min(24, high[0] + MARGIN) and box.top + box.height >= min(24, high[1] + MARGIN)
    assert boxes[0] != boxes[1] and boxes[0].height * boxes[0].width < 0.6 * 24 * 24
    # faces that leave the picture: the box stays inside
    (outside,) = face_boxes(points[:1] + 150, 24, 24, 8)
    assert outside.top + outside.height <= 24 and outside.left + outside.width <= 24
    (whole,) = face_boxes(points[:1] * 10, 24, 24, 8)
    assert whole == Box(0, 0, 24, 24)


@pytest.mark.parametrize("kind", KINDS)
def test_the_decoded_part_is_that_of_the_whole_picture(kind: str) -> None:
    vae, latents = autoencoder(kind), latents_of(kind)
    statistics: Any = {}
    with torch.no_grad():
        with _recorded(vae, statistics):
            whole = decode_latents(vae, latents)
        boxes = [Box(6, 5, 14, 13), Box(0, 10, 14, 13)]
        parts = decode_boxes(vae, latents, boxes, statistics)
        assert torch.equal(decode_latents(vae, latents), whole)  # nothing is left behind
    scale = pixels(vae)
    assert parts.shape == (2, 3, 14 * scale, 13 * scale)
    for part, picture, box in zip(parts, whole, boxes, strict=True):
        errors = []
        for inside in (MARGIN, MARGIN + 2):  # the border's effect fades with every cell, in a trained decoder by half
            inner = Box(inside, inside, 14 - 2 * inside, 13 - 2 * inside)
            errors.append((inner.of(part, scale) - inner.of(box.of(picture, scale), scale)).abs().mean() / whole.std())
        assert errors[0] < 0.03 and errors[1] < 0.004
    top = Box(0, MARGIN + 2, MARGIN, 13 - 2 * (MARGIN + 2))  # the picture's own border needs no margin
    assert (top.of(parts[1], scale) - top.of(boxes[1].of(whole[1], scale), scale)).abs().mean() < 0.004 * whole.std()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_face_alone_gives_the_same_picture_and_the_faces_gradient(kind: str, checkpointing: bool) -> None:
    vae = autoencoder(kind)
    side = 24 * pixels(vae)
    points = small_faces(side)
    weights = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(2))
    face = torch.zeros(2, 1, side, side)
    for row, one in enumerate(points):
        (x0, y0), (x1, y1) = one[:, :2].amin(0).long().tolist(), one[:, :2].amax(0).long().tolist()
        face[row, :, y0:y1, x0:x1] = 1
    found = {}
    for region in ("whole", "face"):
        latents = latents_of(kind).requires_grad_()
        pictures = decode(vae, latents, points, region, checkpointing)  # type: ignore[arg-type]
        (pictures * weights * face).sum().backward()
        found[region] = (pictures.detach(), latents.grad)
    torch.testing.assert_close(found["face"][0], found["whole"][0], rtol=0, atol=1e-6)
    one, other = (found[region][1] for region in ("whole", "face"))
    assert torch.nn.functional.cosine_similarity(one.flatten(1), other.flatten(1)).min() > 0.99
    assert float(other.norm() / one.norm()) == pytest.approx(1, abs=0.03)
    # what is outside the face has no gradient
    latents = latents_of(kind).requires_grad_()
    (decode(vae, latents, points, "face", checkpointing)[0] * weights[0])[:, -16:, -16:].sum().backward()
    assert latents.grad is not None and float(latents.grad.abs().max()) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_checkpointing_changes_nothing_but_what_is_kept(kind: str) -> None:
    vae = autoencoder(kind)
    points = small_faces(24 * pixels(vae))
    found, kept = {}, {}
    for name in [("whole", False), ("whole", True), ("face", False), ("face", True)]:
        latents = latents_of(kind).requires_grad_()
        counter = KeptBytes(vae)
        with counter:
            pictures = decode(vae, latents, points, *name)  # type: ignore[arg-type]
        pictures.square().sum().backward()
        found[name], kept[name] = (pictures.detach(), latents.grad), counter.total
    for region in ("whole", "face"):
        for plain, again in zip(found[region, False], found[region, True], strict=True):
            assert (again - plain).norm() < 1e-4 * plain.norm()
    assert kept["face", False] < 0.7 * kept["whole", False]
    assert kept["whole", True] < 0.05 * kept["whole", False] and kept["face", True] < 0.05 * kept["whole", False]


def test_where_no_gradient_is_wanted_the_picture_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.training import decoding

    calls = []
    monkeypatch.setattr(
        decoding, "decode_latents", lambda vae, latents: calls.append(1) or decode_latents(vae, latents)
    )
    decode(autoencoder("tiny"), latents_of("tiny"), small_faces(192), "face")
    assert calls == [1]


def test_a_tiny_decoder_is_one_made_for_the_base(tmp_path: Path) -> None:
    autoencoder("tiny").save_pretrained(tmp_path / "tiny")
    assert isinstance(tiny_autoencoder(tmp_path / "tiny", 4, 16, 128), AutoencoderTiny)
    with pytest.raises(BadInput, match="16 channels and 8 pixels"):
        tiny_autoencoder(tmp_path / "tiny", 16, 16, 128)
    with pytest.raises(BadInput, match="4 channels and 4 pixels"):
        tiny_autoencoder(tmp_path / "tiny", 4, 16, 64)
    autoencoder("kl").save_pretrained(tmp_path / "kl")
    for folder in ("kl", "nowhere"):
        with pytest.raises(MissingAsset, match="no AutoencoderTiny"):
            tiny_autoencoder(tmp_path / folder, 4, 16, 128)
