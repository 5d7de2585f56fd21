"""Hair styles: how each is combed, how long it is and how it falls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.faces.linear.vectors import smoothstep
from mien.studio.person import HairShape

Field = NDArray[Any]


@dataclass(frozen=True)
class Style:
    """Strands at full detail, points a strand, length and ribbon width in units."""

    strands: int
    points: int
    length: float
    width: float


STYLES: Final[dict[str, Style]] = {
    "buzz cut": Style(2600, 3, 0.5, 0.16),
    "short": Style(2600, 5, 2.6, 0.22),
    "crop": Style(2600, 5, 3.6, 0.24),
    "side part": Style(2600, 7, 6.5, 0.27),
    "quiff": Style(2500, 6, 5.0, 0.27),
    "slicked back": Style(2600, 7, 8.0, 0.27),
    "bob": Style(3400, 9, 15.0, 0.32),
    "long straight": Style(3600, 10, 29.0, 0.34),
    "long wavy": Style(3600, 11, 28.0, 0.34),
    "bangs": Style(3600, 10, 24.0, 0.34),
    "afro": Style(2400, 6, 6.0, 0.32),
    "curly": Style(2400, 9, 8.0, 0.33),
    "bun": Style(2400, 7, 13.0, 0.28),
    "locs": Style(165, 14, 22.0, 0.48),
    "box braids": Style(330, 14, 26.0, 0.27),
    "plaits": Style(2600, 8, 14.0, 0.28),
}
LONG: Final = ("bob", "long straight", "long wavy", "bangs", "locs", "box braids")
DOWN = np.array([0.0, -1.0, 0.0])


@dataclass
class Growth:
    """How one style grows from each of N roots.

    ``flow`` [N, 3] is where the hair is combed; ``lift`` how steeply it leaves the skin; ``gravity``, ``stiffness``,
    ``volume`` [N] (clearance over the skin); ``lengths`` [N]; ``curl`` and ``frizz`` amplitudes in units.
    """

    flow: Field
    lengths: Field
    volume: Field
    lift: float = 0.35
    gravity: float = 0.0
    stiffness: float = 0.75
    curl: float = 0.0
    frizz: float = 0.04
    wave: float = 0.0
    fringe: Field | None = None


@dataclass(frozen=True, eq=False)
class Hairs:
    """The roots of N strands.

    Attributes:
        root: [N, 3] on the person's neutral head, in units.
        outward: [N, 3] unit normals there.
        home: [N, 3] the same places on the kit's neutral head, on which styles are drawn up.
        side: [N] 1 or -1, the side of the parting.
        chance: [N] in [0, 1), each strand's own.
    """

    root: Field
    outward: Field
    home: Field
    side: Field
    chance: Field

    def __len__(self) -> int:
        return len(self.root)


def growth_of(name: str, style: Style, hair: HairShape, rng: np.random.Generator, hairs: Hairs) -> Growth:
    """What each style does with the hair at each root."""
    root, outward, home, side = hairs.root, hairs.outward, hairs.home, hairs.side
    count, one = len(root), np.ones(len(root))
    up, front, back = smoothstep(3, 11, home[:, 1]), smoothstep(1, 8, home[:, 2]), smoothstep(0, -5, home[:, 2])
    lengths = style.length * hair.length * (0.85 + 0.3 * rng.random(count))
    volume = 0.15 + hair.volume * rng.random(count)
    growth = Growth(outward.copy(), lengths, volume, wave=hair.wave)
    if name == "buzz cut":
        growth.lift = 1.0
        volume[:] = 0.1
    elif name == "short":
        growth.flow = np.stack([0.25 * side, -0.2 * one, 0.8 * hair.forward * one], 1)
        growth.lengths = lengths * (0.55 + 0.45 * up)
        growth.gravity, growth.lift = 0.1, 0.5
    elif name == "crop":
        growth.flow = np.stack([0.4 * hair.lean * one, -0.1 * one, 0.9 * one], 1)
        growth.lengths = lengths * (0.4 + 0.6 * up)
        growth.gravity, growth.lift = 0.12, 0.45
    elif name == "side part":
        flow = np.stack([side, 0 * one, -0.25 + 0.35 * front], 1)
        growth.flow = np.where((back > 0.5)[:, None], DOWN + 0.2 * flow, flow)
        growth.lengths = lengths * (0.35 + 0.65 * up)
        growth.gravity, growth.lift, growth.volume = 0.25, 0.7, volume + 0.3 * up
    elif name == "quiff":
        growth.flow = np.stack([0.25 * hair.lean * one, 1.1 * front + 0.1, -0.45 * one], 1)
        growth.lengths = lengths * (0.3 + 0.7 * up * (0.4 + 0.6 * front))
        growth.gravity, growth.lift, growth.volume = 0.02, 0.9, volume + 0.5 * up * front
    elif name == "slicked back":
        flow = np.stack([0.15 * np.sign(root[:, 0]), 0.15 * one, -one], 1)
        growth.flow = np.where((home[:, 2] < -3)[:, None], DOWN, flow)
        growth.lengths = lengths * (0.4 + 0.6 * up)
        growth.gravity, growth.lift, growth.volume = 0.15, 0.45, volume + 0.2
    elif name in LONG:
        flow = np.stack([side, -0.1 * one, -0.35 * one], 1)
        growth.flow = np.where((back > 0.4)[:, None], DOWN + 0.35 * flow, flow)
        growth.gravity, growth.lift, growth.stiffness, growth.volume = 0.42, 0.3, 0.78, 0.55 * volume + 0.05
        if name == "locs":
            growth.volume, growth.lift = volume + 0.3, 0.5
        if name == "long wavy":
            growth.wave = max(hair.wave, 0.55)
        if name == "bangs":
            growth.fringe = (home[:, 2] > 6.2) & (np.abs(home[:, 0]) < 4.6)
            fringe = growth.fringe
            growth.flow[fringe] = np.stack([0.03 * root[:, 0], -0.3 * one, one], 1)[fringe]
            growth.lengths[fringe] = (np.clip(home[:, 1] - 5.8, 3, 9) * 1.15 * hair.fringe)[fringe]
    elif name == "afro":
        growth.lengths = lengths * 0.8 * (0.55 + 0.45 * smoothstep(-2, 6, home[:, 1]))
        growth.lift, growth.curl, growth.frizz = 1.0, 0.45, 0.16
    elif name == "curly":
        growth.flow = np.stack([0.7 * side, -0.1 * one, 0.2 * front - 0.3 * back], 1) + 0.6 * outward
        growth.lengths = lengths * (0.6 + 0.4 * up)
        growth.gravity, growth.curl, growth.lift, growth.frizz = 0.16, 0.42, 0.9, 0.1
        growth.volume = volume + 0.6
    return growth
