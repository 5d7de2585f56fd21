"""What the encoders say at their start: different conditions must give different tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mien.adapters import branch_preset
from mien.adapters.encoders import build_encoder, encode
from mien.faces.drawing import draw_landmarks
from mien.faces.linear.face import LinearFace


def faces(count: int) -> torch.Tensor:
    face = LinearFace.load()
    pictures = []
    for index in range(count):
        rng = np.random.default_rng(index)
        coefficients = np.where(rng.random(53) < 0.1, rng.random(53), 0.0)
        yaw, pitch, roll = (float(v) for v in rng.normal(size=3) * (12, 7, 4))
        points = face.landmarks(coefficients, pose=(yaw, pitch, roll), size=128)
        pictures.append(torch.from_numpy(draw_landmarks(points, 128)).permute(2, 0, 1).float() / 127.5 - 1)
    return torch.stack(pictures)


def emotions(count: int) -> torch.Tensor:
    classes = torch.eye(8)[torch.arange(count) % 8]
    return torch.cat([torch.linspace(-1, 1, count)[:, None], torch.linspace(0.5, -0.5, count)[:, None], classes], 1)


def embeddings(count: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(count, 512, generator=torch.Generator().manual_seed(0)), dim=1)


CONDITIONS = {"landmarks": faces, "emotion": emotions, "identity": embeddings}


@pytest.mark.parametrize("kind", CONDITIONS)
def test_fresh_tokens_differ_between_conditions(kind: str) -> None:
    """A third of the tokens' spread at least lies between conditions, or a branch learns to ignore them first."""
    torch.manual_seed(0)
    preset = branch_preset("studio", kind)
    encoder = build_encoder(kind, preset.token_dim, preset.encoder)
    with torch.no_grad():
        tokens = encoder(CONDITIONS[kind](16))
    between = tokens.std(0).square().mean().sqrt()
    assert between / tokens.square().mean().sqrt() > 0.33


def test_a_landmark_picture_may_come_as_bytes() -> None:
    preset = branch_preset("studio", "landmarks")
    encoder = build_encoder("landmarks", preset.token_dim, preset.encoder)
    pictures = faces(2)
    as_bytes = (pictures * 127.5 + 127.5).round().byte().permute(0, 2, 3, 1)
    with torch.no_grad():
        assert torch.equal(encode(encoder, as_bytes), encoder(pictures))


def test_an_empty_landmark_picture_says_only_where_its_tokens_are() -> None:
    torch.manual_seed(0)
    preset = branch_preset("studio", "landmarks")
    encoder = build_encoder("landmarks", preset.token_dim, preset.encoder)
    with torch.no_grad():
        tokens = encoder(encoder.null(1))
    expected = encoder.state_dict()["positions"].flatten(2).transpose(1, 2)
    assert torch.allclose(tokens, expected, atol=1e-3)


def test_a_landmark_picture_of_another_size_is_brought_to_its_own_in_every_precision() -> None:
    torch.manual_seed(0)
    preset = branch_preset("studio", "landmarks")
    encoder = build_encoder("landmarks", preset.token_dim, preset.encoder)
    picture = torch.nn.functional.interpolate(faces(1), scale_factor=2, mode="nearest")
    with torch.no_grad():
        full = encoder(picture)
        half = encoder.to(torch.bfloat16)(picture.to(torch.bfloat16))
        assert half.dtype == torch.bfloat16 and half.shape == full.shape == encoder(faces(1).bfloat16()).shape
    assert (half.float() - full).abs().mean() < 0.02 * full.abs().mean()
