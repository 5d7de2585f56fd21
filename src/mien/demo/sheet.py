"""The contact sheet: one picture of the whole demo, drawn with Pillow and its built-in font."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mien.demo.examples import Examples
from mien.demo.plan import POSES, Cell, Section, signed

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

TILE, GAP, MARGIN, GUTTER, TITLE = 128, 8, 48, 36, 72
PAPER, INK, MUTED, LINE = (250, 248, 244), (33, 30, 27), (122, 115, 105), (224, 218, 208)
HEADINGS: dict[Section, tuple[str, str]] = {
    "expression": ("Expression", "the face on top gives the expression, the face on the left the person"),
    "pose": ("Pose", "angles in degrees, no reference picture: yaw to the subject's left, pitch up"),
    "emotion": ("Emotion", "a feeling by name, nothing else"),
}


def sheet(cells: Sequence[Cell], images: Sequence[Image.Image], examples: Examples) -> Image.Image:
    """Draw the sheet.

    Args:
        cells: what was asked for, section by section.
        images: the outputs, in the same order.
        examples: the inputs.

    Returns:
        RGB, as wide as its widest section.
    """
    from PIL import Image as Pictures
    from PIL import ImageDraw

    columns = 1 + max(cell.column for cell in cells)
    width = 2 * MARGIN + TILE + GUTTER + columns * (TILE + GAP) - GAP
    canvas = Pictures.new("RGB", (width, _height(cells)), PAPER)
    draw = ImageDraw.Draw(canvas)
    write(draw, (MARGIN, MARGIN + 32), "mien", 44, INK)
    subtitle = "one dial each for who, which expression, which way, what feeling"
    write(draw, (MARGIN + 116, MARGIN + 32), subtitle, 16, MUTED)
    top = MARGIN + TITLE
    for section in HEADINGS:
        rows = [(cell, image) for cell, image in zip(cells, images, strict=True) if cell.section == section]
        if rows:
            top = _section(canvas, draw, section, rows, examples, top)
    return canvas


def _height(cells: Sequence[Cell]) -> int:
    total = MARGIN + TITLE + MARGIN - 44
    for section in HEADINGS:
        rows = {cell.row for cell in cells if cell.section == section}
        if rows:
            total += head_height(section) + len(rows) * (TILE + GAP) - GAP + 44
    return total


def head_height(section: Section) -> int:
    """Height of a section's heading and column labels: templates are pictures, the others are words."""
    return 52 + (TILE + 32 if section == "expression" else 42 if section == "pose" else 26)


def _section(
    canvas: Image.Image,
    draw: ImageDraw.ImageDraw,
    section: Section,
    rows: Sequence[tuple[Cell, Image.Image]],
    examples: Examples,
    top: int,
) -> int:
    """Draw one section at ``top``; the next section's top."""
    from PIL import Image as Pictures

    title, subtitle = HEADINGS[section]
    draw.line([(MARGIN, top), (canvas.width - MARGIN, top)], LINE, 1)
    write(draw, (MARGIN, top + 34), title, 22, INK)
    write(draw, (MARGIN + TILE + GUTTER, top + 34), subtitle, 14, MUTED)
    body = top + head_height(section)
    for column in sorted({cell.column for cell, _ in rows}):
        middle = _left(column) + TILE // 2
        if section == "expression":
            template = examples.templates[column]
            write(draw, (middle, body - TILE - GAP - 10), template.name, 15, INK, "ms")
            with Pictures.open(template.path) as picture:
                paste(canvas, picture, (_left(column), body - TILE - GAP))
        elif section == "pose":
            label, yaw, pitch = POSES[column]
            write(draw, (middle, body - 30), label, 15, INK, "ms")
            write(draw, (middle, body - 11), f"yaw {signed(yaw)}   pitch {signed(pitch)}", 12, MUTED, "ms")
        else:
            label = next(cell.label for cell, _ in rows if cell.column == column)
            write(draw, (middle, body - 12), label, 15, INK, "ms")
    people = {cell.row: cell.person for cell, _ in rows}
    for row, person in people.items():
        y = body + row * (TILE + GAP)
        with Pictures.open(person.path) as picture:
            paste(canvas, picture, (MARGIN, y))
    for cell, image in rows:
        paste(canvas, image, (_left(cell.column), body + cell.row * (TILE + GAP)))
    x = MARGIN + TILE + GUTTER // 2
    draw.line([(x, body), (x, body + len(people) * (TILE + GAP) - GAP)], LINE, 1)
    return body + len(people) * (TILE + GAP) - GAP + 44


def _left(column: int) -> int:
    return MARGIN + TILE + GUTTER + column * (TILE + GAP)


def paste(canvas: Image.Image, picture: Image.Image, place: tuple[int, int], side: int = TILE) -> None:
    """Paste at tile size with rounded corners; the corner mask is drawn four times too large, for smooth edges."""
    from PIL import Image as Pictures
    from PIL import ImageDraw

    large = Pictures.new("L", (4 * side, 4 * side), 0)
    ImageDraw.Draw(large).rounded_rectangle([0, 0, 4 * side - 1, 4 * side - 1], 40, fill=255)
    mask = large.resize((side, side), Pictures.Resampling.LANCZOS)
    canvas.paste(picture.convert("RGB").resize((side, side), Pictures.Resampling.LANCZOS), place, mask)


def write(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    words: str,
    size: int,
    colour: tuple[int, int, int],
    anchor: str = "ls",
) -> None:
    """Words in Pillow's built-in font; ``anchor`` as Pillow's."""
    from PIL import ImageFont

    draw.text(place, words, fill=colour, font=ImageFont.load_default(size), anchor=anchor)
