from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mien.faces import networks as nets

# Not sorted, as attributes come in training; a configuration's file is.
CLASSES = {
    "hair_style": ("bald", "bob", "bun", "locs"),
    "beard": ("none", "stubble"),
    "glasses": ("none", "round", "square"),
    "headwear": ("none", "hat"),
    "hair_color": ("red",),
}

CASES: list[tuple[type, int, dict[str, Any], float]] = [
    (nets.IdentityEmbedder, 96, {}, 1.33),
    (nets.StudioFaceNet, 128, {"classes": CLASSES}, 1.30),
    (nets.Detector, 128, {}, 0.25),
    (nets.ExpressionEncoder, 96, {}, 0.65),
    (nets.ExpressionReader, 128, {}, 1.75),
    (nets.JudgeIdentity, 96, {}, 0.85),
    (nets.JudgeFace, 96, {}, 0.70),
    (nets.JudgeAttributes, 96, {"classes": CLASSES}, 0.35),
]


@pytest.mark.parametrize(("kind", "size", "options", "millions"), CASES)
def test_saved_network_comes_back_the_same(
    kind: type, size: int, options: dict[str, Any], millions: float, tmp_path: Path
) -> None:
    net = kind(**options).eval()
    assert sum(p.numel() for p in net.parameters()) < millions * 1e6
    x = torch.randn(2, 3, size, size)
    net.save_pretrained(tmp_path)
    again = kind.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        before, after = net(x), again(x)
    if isinstance(before, torch.Tensor):
        before, after = {"": before}, {"": after}
    for name, value in before.items():
        torch.testing.assert_close(value, after[name])


def test_attributes_have_one_order_however_they_are_given() -> None:
    expected = ["hair_style", "hair_color", "beard", "glasses", "headwear"]
    for given in (CLASSES, dict(sorted(CLASSES.items())), dict(reversed(CLASSES.items()))):
        assert list(nets.JudgeAttributes(classes=given).classes) == expected
        assert list(nets.StudioFaceNet(classes=given).classes) == expected
    assert nets.JudgeAttributes().classes == {}


def test_embeddings_have_length_one() -> None:
    out = nets.IdentityEmbedder().eval()(torch.randn(3, 3, 96, 96))
    assert out.shape == (3, 512)
    torch.testing.assert_close(out.norm(dim=1), torch.ones(3))


def test_reader_outputs_have_the_units_of_a_face() -> None:
    out = nets.StudioFaceNet(classes=CLASSES).eval().predict(torch.randn(2, 3, 128, 128))
    shapes = {name: tuple(value.shape[1:]) for name, value in out.items()}
    expected = {"landmarks": (478, 3), "blendshapes": (52,), "coefficients": (53,), "pose": (3,), "gaze": (2,)}
    expected |= {"emotion": (10,), "mask": (64, 64), "beard": (2,), "glasses": (3,)}
    assert expected.items() <= shapes.items()
    torch.testing.assert_close(out["emotion"][:, 2:].sum(1), torch.ones(2))


def test_landmark_head_starts_at_the_mean_and_spans_the_shapes() -> None:
    generator = torch.Generator().manual_seed(0)
    basis = torch.randn(8, 478 * 3, generator=generator)
    shapes = 64 + 5 * (torch.randn(200, 8, generator=generator) @ basis).view(200, 478, 3)
    net = nets.StudioFaceNet(basis=8)
    net.init_landmarks(shapes)
    torch.testing.assert_close(net.points.bias * 128, shapes.mean(0).flatten(), atol=1e-2, rtol=0)
    wanted = ((shapes - shapes.mean(0)) / 128).flatten(1)
    solved = torch.linalg.lstsq(net.points.weight, wanted.T).solution
    assert (net.points.weight @ solved - wanted.T).detach().abs().max() < 1e-3


def test_detector_finds_the_peaks_of_its_map() -> None:
    net = nets.Detector().eval()
    score, rest = torch.full((1, 16, 16), -9.0), torch.zeros(1, 2, 16, 16)
    score[0, 3, 5], score[0, 12, 10], score[0, 12, 11] = 4.0, 2.0, 1.0
    maps = {"score": score, "offset": rest, "log_radius": torch.full((1, 16, 16), 2.0)}
    net.forward = lambda pictures: maps  # type: ignore[method-assign]
    (rows,) = net.detect(torch.zeros(1, 3, 128, 128))
    assert rows[:, :2].tolist() == [[44.0, 28.0], [84.0, 100.0]]
