"""FaceNet as facenet-pytorch publishes it (Inception-ResNet v1 on VGGFace2): 160 px crops -> 512 numbers.

Its package cannot be installed beside a current torch, so the network is written down here, with its names of weights.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.errors import BadInput

Size = int | tuple[int, int]


class Convolution(nn.Module):
    """Convolution, batch norm, ReLU; "same" padding where ``pad``, none elsewhere."""

    def __init__(self, channels: int, out: int, kernel: Size, stride: int = 1, pad: bool = False) -> None:
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (sides[0] // 2, sides[1] // 2) if pad else (0, 0)
        self.conv = nn.Conv2d(channels, out, sides, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, out, ...]."""
        return F.relu(self.bn(self.conv(x)))


def _chain(channels: int, *steps: tuple[int, Size, int, bool]) -> nn.Sequential:
    """Convolutions one after the other, each (out, kernel, stride, pad)."""
    layers = []
    for out, kernel, stride, pad in steps:
        layers.append(Convolution(channels, out, kernel, stride, pad))
        channels = out
    return nn.Sequential(*layers)


class Residual(nn.Module):
    """x + scale x (branches, joined by a 1x1 convolution)."""

    def __init__(self, channels: int, first: int, *branches: nn.Module, joined: int, scale: float, last: bool = False):
        super().__init__()
        self.scale, self.last = scale, last
        self.branch0 = Convolution(channels, first, 1)
        for number, branch in enumerate(branches, 1):
            self.add_module(f"branch{number}", branch)
        self.count = len(branches) + 1
        self.conv2d = nn.Conv2d(joined, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        branches = torch.cat([getattr(self, f"branch{number}")(x) for number in range(self.count)], 1)
        out = x + self.scale * self.conv2d(branches)
        return out if self.last else F.relu(out)


class Reduction(nn.Module):
    """Branches of stride 2 and a max pooling, side by side."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        for number, branch in enumerate(branches):
            self.add_module(f"branch{number}", branch)
        self.count = len(branches)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, sum of the branches and C, ...]."""
        branches = [getattr(self, f"branch{number}")(x) for number in range(self.count)]
        return torch.cat([*branches, F.max_pool2d(x, 3, 2)], 1)


def _block35() -> Residual:
    return Residual(
        256, 32, _chain(256, (32, 1, 1, False), (32, 3, 1, True)),
        _chain(256, (32, 1, 1, False), (32, 3, 1, True), (32, 3, 1, True)), joined=96, scale=0.17,
    )  # fmt: skip


def _block17() -> Residual:
    return Residual(896, 128, _chain(896, (128, 1, 1, False), (128, (1, 7), 1, True), (128, (7, 1), 1, True)),
                    joined=256, scale=0.10)  # fmt: skip


def _block8(scale: float = 0.20, last: bool = False) -> Residual:
    return Residual(1792, 192, _chain(1792, (192, 1, 1, False), (192, (1, 3), 1, True), (192, (3, 1), 1, True)),
                    joined=384, scale=scale, last=last)  # fmt: skip


class FaceNet(nn.Module):
    """Inception-ResNet v1 with the names of weights of facenet-pytorch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d_1a = Convolution(3, 32, 3, 2)
        self.conv2d_2a = Convolution(32, 32, 3)
        self.conv2d_2b = Convolution(32, 64, 3, pad=True)
        self.conv2d_3b = Convolution(64, 80, 1)
        self.conv2d_4a = Convolution(80, 192, 3)
        self.conv2d_4b = Convolution(192, 256, 3, 2)
        self.repeat_1 = nn.Sequential(*(_block35() for _ in range(5)))
        self.mixed_6a = Reduction(
            Convolution(256, 384, 3, 2), _chain(256, (192, 1, 1, False), (192, 3, 1, True), (256, 3, 2, False))
        )
        self.repeat_2 = nn.Sequential(*(_block17() for _ in range(10)))
        self.mixed_7a = Reduction(
            _chain(896, (256, 1, 1, False), (384, 3, 2, False)), _chain(896, (256, 1, 1, False), (256, 3, 2, False)),
            _chain(896, (256, 1, 1, False), (256, 3, 1, True), (256, 3, 2, False)),
        )  # fmt: skip
        self.repeat_3 = nn.Sequential(*(_block8() for _ in range(5)))
        self.block8 = _block8(scale=1.0, last=True)
        self.last_linear = nn.Linear(1792, 512, bias=False)
        self.last_bn = nn.BatchNorm1d(512, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """Crops [B, 3, 160, 160], (value of 0..255 - 127.5) / 128 -> embeddings [B, 512] of L2 norm 1."""
        x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x)))
        x = self.conv2d_4b(self.conv2d_4a(self.conv2d_3b(F.max_pool2d(x, 3, 2))))
        x = self.repeat_2(self.mixed_6a(self.repeat_1(x)))
        x = self.block8(self.repeat_3(self.mixed_7a(x)))
        return F.normalize(self.last_bn(self.last_linear(x.mean((2, 3)))))


def load_facenet(path: Path) -> FaceNet:
    """From the published file of weights; its classifier is left out.

    Raises:
        BadInput: if the file is another one.
    """
    from mien.faces.published.weights import read_weights

    weights = {name: value for name, value in read_weights(path).items() if not name.startswith("logits.")}
    network = FaceNet()
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise BadInput(f"{path} does not hold FaceNet's weights: get facenet again.") from error
    return network.eval()
