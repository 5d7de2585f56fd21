"""Pictures of the docs, made by the demo.

    mien demo -o demo && python benchmarks/docs_images.py demo

Writes ``docs/images/sheet.png`` and ``docs/images/hero.png`` (the templates and the first two people under them), and
keeps the demo's numbers as ``benchmarks/results/demo.json``.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from PIL import Image, ImageOps

from mien.demo.sheet import GAP, GUTTER, MARGIN, PAPER, TILE, TITLE, head_height

ROOT = Path(__file__).resolve().parents[1]
ROWS = 2


def main(demo: Path) -> None:
    images = ROOT / "docs" / "images"
    images.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(demo / "sheet.png", images / "sheet.png")
    shutil.copyfile(demo / "metrics.json", ROOT / "benchmarks" / "results" / "demo.json")
    first = MARGIN + TITLE + head_height("expression")
    with Image.open(demo / "sheet.png") as sheet:
        bottom = first + ROWS * (TILE + GAP) - GAP
        strip = sheet.crop((MARGIN, first - TILE - GUTTER, sheet.width - MARGIN, bottom))
    ImageOps.expand(strip, GUTTER // 2, PAPER).save(images / "hero.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
