"""How invisible the mark is, what it survives, and how often it is seen where it is not.

    python benchmarks/mark.py            # writes benchmarks/results/mark.json
    python benchmarks/mark.py --marked 40 --unmarked 200

Carriers are portraits (the demo's example renders, each turned a little) and photographs (what scikit-image ships, cut
into squares of random place and scale; a tenth of them are noise).
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from result_files import write_result

from mien.demo.examples import FOLDER
from mien.media.pictures import open_picture
from mien.provenance.watermark import detect_watermark, embed_watermark

SIDES = (128, 256, 512)
RESULT = Path(__file__).parent / "results" / "mark.json"
Change = Callable[[Image.Image], Image.Image]


def portraits(count: int, side: int, generator: np.random.Generator) -> Iterator[Image.Image]:
    """Example renders, turned by up to 8 degrees."""
    renders = [open_picture(path) for path in sorted(FOLDER.glob("*.png"))]
    for index in range(count):
        picture = renders[index % len(renders)]
        angle, corner = float(generator.uniform(-8, 8)), picture.getpixel((2, 2))
        turned = picture.rotate(angle, Image.Resampling.BICUBIC, fillcolor=corner)
        yield turned.resize((side, side), Image.Resampling.LANCZOS)


def photographs(count: int, side: int, generator: np.random.Generator) -> Iterator[Image.Image]:
    """Squares of random place and scale; a tenth are noise or flat colour."""
    from skimage import data

    arrays = [data.astronaut(), data.coffee(), data.chelsea(), data.camera(), data.coins(), data.page()]
    pictures = [Image.fromarray(array).convert("RGB") for array in arrays]
    for index in range(count):
        if index % 10 == 0:
            noise = generator.normal(generator.uniform(0, 255), generator.uniform(0, 60), (side, side, 3))
            yield Image.fromarray(noise.clip(0, 255).astype(np.uint8))
            continue
        picture = pictures[generator.integers(len(pictures))]
        span = int(generator.uniform(min(side, *picture.size), min(picture.size) + 0.999))
        x, y = (int(generator.integers(length - span + 1)) for length in picture.size)
        yield picture.crop((x, y, x + span, y + span)).resize((side, side), Image.Resampling.LANCZOS)


CARRIERS = {"portraits": portraits, "photographs": photographs}


def jpeg(quality: int) -> Change:
    def save(image: Image.Image) -> Image.Image:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality)
        return Image.open(stream).convert("RGB")

    return save


def noise(sigma: float) -> Change:
    def add(image: Image.Image) -> Image.Image:
        pixels = np.asarray(image, np.float64)
        pixels = pixels + np.random.default_rng(0).normal(0, sigma, pixels.shape)
        return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))

    return add


def half(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)


def cropped(image: Image.Image) -> Image.Image:
    """A tenth of each side gone, at no multiple of anything."""
    width, height = image.size
    return image.crop((width * 7 // 100, height * 2 // 100, width - width * 3 // 100, height - height * 8 // 100))


CHANGES: dict[str, Change] = {
    "none": lambda image: image,
    **{f"jpeg {quality}": jpeg(quality) for quality in (95, 90, 85, 80, 75, 60)},
    "noise of 2 levels": noise(2.0),
    "half the size": half,
    "cropped by 10 %": cropped,
    "cropped by 10 %, jpeg 75": lambda image: jpeg(75)(cropped(image)),
}


def measured(kind: str, side: int, marked: int, unmarked: int) -> dict[str, Any]:
    """The row of one carrier and size."""
    generator = np.random.default_rng(0)
    quality, survived = [], dict.fromkeys(CHANGES, 0)
    for image in CARRIERS[kind](marked, side, generator):
        watermark_id = f"{generator.integers(1 << 32):08x}"
        carrier = embed_watermark(image, watermark_id)
        error = np.mean((np.asarray(image, np.float64) - np.asarray(carrier, np.float64)) ** 2)
        quality.append(10 * np.log10(255**2 / error))
        for name, change in CHANGES.items():
            found = detect_watermark(change(carrier))
            survived[name] += found is not None and found.id == watermark_id
    images = CARRIERS[kind](unmarked, side, np.random.default_rng(1))
    return {
        "carriers": kind,
        "side": side,
        "marked": marked,
        "psnr_db": {"mean": round(float(np.mean(quality)), 2), "least": round(float(np.min(quality)), 2)},
        "share_read_after": {name: round(count / marked, 4) for name, count in survived.items()},
        "unmarked": unmarked,
        "false_positives": sum(detect_watermark(image) is not None for image in images),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--marked", type=int, default=200, help="of each carrier and size")
    parser.add_argument("--unmarked", type=int, default=7000, help="of each carrier and size")
    asked = parser.parse_args()
    rows = [measured(kind, side, asked.marked, asked.unmarked) for side in SIDES for kind in CARRIERS]
    unmarked, false = (sum(row[key] for row in rows) for key in ("unmarked", "false_positives"))
    result = {
        "rows": rows,
        "unmarked": unmarked,
        "false_positives": false,
        # rule of three: with no event in n trials, 95 % confidence that the rate is below 3 / n
        "false_positive_rate_at_most": 3 / unmarked if false == 0 else None,
    }
    write_result(RESULT, result)
    sys.stdout.write(RESULT.read_text())


if __name__ == "__main__":
    main()
