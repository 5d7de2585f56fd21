"""How invisible the mark is, what it survives, and how often it is seen where it is not.

    python benchmarks/mark.py            # writes benchmarks/results/mark.json

Carriers are the demo's example renders and the pictures that scikit-image ships, cut into squares of 128 px.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from result_files import write_result

from mien.demo.examples import FOLDER
from mien.provenance.watermark import detect_watermark, embed_watermark

SIDE = 128
MARKED, UNMARKED = 400, 40_000
RESULT = Path(__file__).parent / "results" / "mark.json"
Change = Callable[[Image.Image], Image.Image]


def sources() -> list[Image.Image]:
    from skimage import data

    arrays = [data.astronaut(), data.coffee(), data.chelsea(), data.camera(), data.coins(), data.page()]
    renders = [Image.open(path).convert("RGB") for path in sorted(FOLDER.glob("*.png"))]
    return [Image.fromarray(array).convert("RGB") for array in arrays] + renders


def crops(count: int, generator: np.random.Generator) -> Iterator[Image.Image]:
    """Squares of random place and scale; a tenth are noise or flat colour."""
    pictures = sources()
    for index in range(count):
        if index % 10 == 0:
            noise = generator.normal(generator.uniform(0, 255), generator.uniform(0, 60), (SIDE, SIDE, 3))
            yield Image.fromarray(noise.clip(0, 255).astype(np.uint8))
            continue
        picture = pictures[generator.integers(len(pictures))]
        side = int(generator.uniform(SIDE, min(picture.size) + 0.999))
        x, y = (int(generator.integers(length - side + 1)) for length in picture.size)
        yield picture.crop((x, y, x + side, y + side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


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


CHANGES: dict[str, Change] = {
    "none": lambda image: image,
    **{f"jpeg {quality}": jpeg(quality) for quality in (95, 90, 85, 80, 75, 60)},
    "noise of 2 levels": noise(2.0),
    "resized to 112 px and back": lambda image: image.resize((112, 112), Image.Resampling.LANCZOS).resize((SIDE, SIDE)),
    "cropped by 8 px": lambda image: image.crop((8, 8, SIDE, SIDE)),
}


def main() -> None:
    generator = np.random.default_rng(0)
    quality, survived = [], dict.fromkeys(CHANGES, 0)
    for image in crops(MARKED, generator):
        watermark_id = f"{generator.integers(1 << 32):08x}"
        marked = embed_watermark(image, watermark_id)
        error = np.mean((np.asarray(image, np.float64) - np.asarray(marked, np.float64)) ** 2)
        quality.append(10 * np.log10(255**2 / error))
        for name, change in CHANGES.items():
            found = detect_watermark(change(marked))
            survived[name] += found is not None and found.id == watermark_id
    false = sum(detect_watermark(image) is not None for image in crops(UNMARKED, np.random.default_rng(1)))
    result = {
        "side": SIDE,
        "marked": MARKED,
        "psnr_db": {"mean": round(float(np.mean(quality)), 2), "least": round(float(np.min(quality)), 2)},
        "share_read_after": {name: count / MARKED for name, count in survived.items()},
        "unmarked": UNMARKED,
        "false_positives": false,
        # rule of three: with no event in n trials, 95 % confidence that the rate is below 3 / n
        "false_positive_rate_at_most": 3 / UNMARKED if false == 0 else None,
    }
    write_result(RESULT, result)
    sys.stdout.write(RESULT.read_text())


if __name__ == "__main__":
    main()
