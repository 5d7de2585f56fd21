"""The toy's picture: a column a moment of the training, a row a wish, and the error below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.demo.sheet import INK, LINE, MARGIN, MUTED, PAPER, paste, write

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

TILE, GAP, GUTTER, HEAD, CHART = 104, 6, 26, 104, 150
ACCENT = (179, 58, 58)


@dataclass(frozen=True, eq=False)
class Column:
    """One moment.

    Attributes:
        title: which.
        images: what was drawn, a picture a wish.
        error: of the pose, degrees; None where there is none.
    """

    title: str
    images: Sequence[Image.Image]
    error: float | None


def sheet(
    wanted: Sequence[Image.Image], labels: Sequence[str], columns: Sequence[Column], shipped: Column | None
) -> Image.Image:
    """Draw it.

    Args:
        wanted: landmark pictures, a picture a wish.
        labels: names of the wishes.
        columns: moments in their order, the first without the branch.
        shipped: the branch that comes with the package, which saw far more pictures; left out while there is none.

    Returns:
        RGB.
    """
    from PIL import Image as Pictures
    from PIL import ImageDraw

    shown = [*columns, *([shipped] if shipped else [])]
    lefts = [_left(index + 1) + (GUTTER if one is shipped else 0) for index, one in enumerate(shown)]
    bottom = HEAD + len(labels) * (TILE + GAP)
    canvas = Pictures.new("RGB", (max(lefts) + TILE + MARGIN, bottom + CHART + MARGIN // 2), PAPER)
    draw = ImageDraw.Draw(canvas)
    write(draw, (MARGIN, 44), "A branch takes hold", 24, INK)
    write(
        draw, (MARGIN, 66), "the same noise, words and people; on top how many pictures the branch has seen", 13, MUTED
    )
    write(draw, (_left(0) + TILE // 2, HEAD - 10), "wanted", 13, INK, "ms")
    for row, (picture, label) in enumerate(zip(wanted, labels, strict=True)):
        top = HEAD + row * (TILE + GAP)
        paste(canvas, picture, (_left(0), top), TILE)
        write(draw, (_left(0) + 6, top + TILE - 7), label, 12, (255, 255, 255))
    for left, column in zip(lefts, shown, strict=True):
        write(draw, (left + TILE // 2, HEAD - 10), column.title, 13, INK, "ms")
        for row, picture in enumerate(column.images):
            paste(canvas, picture, (left, HEAD + row * (TILE + GAP)), TILE)
    _chart(draw, list(zip(lefts, shown, strict=True)), shipped, bottom + 40)
    return canvas


def _chart(draw: ImageDraw.ImageDraw, shown: Sequence[tuple[int, Column]], shipped: Column | None, top: int) -> None:
    """Pose errors as a line under the columns, from 0; the shipped branch's as a level across."""
    write(draw, (MARGIN, top + 6), "pose error,", 13, INK)
    write(draw, (MARGIN, top + 22), "degrees", 13, INK)
    errors = [column.error for _, column in shown if column.error is not None]
    highest, height = max(errors, default=1.0) or 1.0, CHART - 50
    places = [
        (left + TILE // 2, top + height * (1 - column.error / highest), column)
        for left, column in shown
        if column.error is not None
    ]
    base = top + height
    draw.line([(_left(1), base), (shown[-1][0] + TILE, base)], LINE, 1)
    if shipped is not None and shipped.error is not None:
        level = top + height * (1 - shipped.error / highest)
        for x in range(_left(1), shown[-1][0] + TILE, 8):
            draw.line([(x, level), (x + 4, level)], MUTED, 1)
    draw.line([(x, y) for x, y, column in places if column is not shipped], ACCENT, 2)
    for x, y, column in places:
        draw.ellipse([x - 4, y - 4, x + 4, y + 4], fill=MUTED if column is shipped else ACCENT)
        write(draw, (x, int(y) - 9), f"{column.error:.1f}", 13, INK, "ms")


def _left(column: int) -> int:
    return MARGIN + column * (TILE + GAP) + (GUTTER if column else 0)
