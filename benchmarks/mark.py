"""How invisible the mark is, what it survives, and how often it is seen where it is not.

    python benchmarks/mark.py --renders RENDERS --photographs FOLDER [FOLDER ...]
    python benchmarks/mark.py ... --minutes 8                 # in sittings: the same command goes on
    python benchmarks/mark.py --marked 40 --unmarked 200 -o trial.json   # with what is at hand, a trial

Carriers are renders (those of a data set, else the demo's examples, each turned a little), photographs (what
scikit-image ships and every picture of the folders, each cut to a square of random place and scale) and noise. Writes
``benchmarks/results/mark.json`` and the table of docs/provenance-and-responsible-use.md.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from docs_parts import write_tables
from PIL import Image
from result_files import write_result

from mien.core.io import read_json
from mien.data.shards import read_shard
from mien.demo.examples import FOLDER
from mien.evaluation.report.tables import table
from mien.media.pictures import open_picture
from mien.metrics.reconstruction import decibels, squared_error
from mien.provenance import watermark
from mien.provenance.watermark import detect_watermark, embed_watermark

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "mark.json"
MARKED = {256: 1.0, 128: 0.2, 512: 0.05}
"""Side -> how many are marked, in those of the size that ships."""
NOISE = 0.1
"""How many squares of noise are marked, likewise."""
UNMARKED = {64: 0.7, 128: 0.25, 256: 0.05}
"""Side -> its share of the pictures without a mark: chance does not depend on it, and small ones are read sooner."""
SHIPPED = 256
"""Side of the pictures without a mark that are looked at after each change, too."""
KEYS = 1000
CHUNK = {"marked": 20, "unmarked": 100}
"""Pictures that one process takes at a time."""
RENDERS = 1200
"""Of a data set, at most."""
SCIKIT = ("astronaut", "camera", "chelsea", "coffee", "coins", "moon", "rocket", "retina")
"""Photographs that scikit-image ships."""
Change = Callable[[Image.Image], Image.Image]
_CARRIERS: Carriers


@dataclass(frozen=True)
class Carriers:
    """Pictures to mark.

    Attributes:
        renders: portraits.
        photographs: source -> photographs.
    """

    renders: Sequence[Image.Image]
    photographs: dict[str, Sequence[Image.Image]]

    def squares(self, kind: str, side: int, generator: np.random.Generator) -> Iterator[Image.Image]:
        """Squares of one kind, without end.

        Renders are turned by up to 8 degrees; photographs are cut at a random place and scale, never enlarged.
        """
        if kind == "noise":
            while True:
                noise = generator.normal(generator.uniform(0, 255), generator.uniform(0, 60), (side, side, 3))
                yield Image.fromarray(noise.clip(0, 255).astype(np.uint8))
        pictures = [one for some in self.photographs.values() for one in some if min(one.size) >= side]
        while True:
            for picture in self.renders if kind == "renders" else pictures:
                if kind == "renders":
                    angle, corner = float(generator.uniform(-8, 8)), picture.getpixel((2, 2))
                    square = picture.rotate(angle, Image.Resampling.BICUBIC, fillcolor=corner)
                else:
                    span = int(generator.uniform(side, min(picture.size) + 0.999))
                    x, y = (int(generator.integers(length - span + 1)) for length in picture.size)
                    square = picture.crop((x, y, x + span, y + span))
                yield square.resize((side, side), Image.Resampling.LANCZOS)


def opened(renders: Path | None, folders: Sequence[Path]) -> Carriers:
    """The carriers of this run."""
    from skimage import data

    ours = [Image.fromarray(getattr(data, name)()).convert("RGB") for name in SCIKIT]
    photographs: dict[str, Sequence[Image.Image]] = {"scikit-image": ours}
    for folder in folders:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        photographs[folder.name] = [open_picture(file) for file in files]
    if renders is None:
        portraits = [open_picture(path) for path in sorted(FOLDER.glob("*.png"))]
    else:
        shards = (entry for shard in sorted(renders.glob("shard-*.tar")) for entry in read_shard(shard))
        portraits = [Image.fromarray(entry.image) for entry in islice(shards, RENDERS)]
    return Carriers(portraits, photographs)


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


def screenshot(percent: int) -> Change:
    """The picture on a page, as a display shows it that enlarges everything, captured and cut out by hand."""

    def capture(image: Image.Image) -> Image.Image:
        width, height = (round(side * percent / 100) for side in image.size)
        page = Image.new("RGB", (width * 114 // 100, height * 109 // 100), "#faf8f4")
        page.paste(image.resize((width, height), Image.Resampling.BILINEAR), (width * 9 // 100, height * 3 // 100))
        return page

    return capture


CHANGES: dict[str, Change] = {
    "none": lambda image: image,
    **{f"jpeg {quality}": jpeg(quality) for quality in (95, 90, 85, 80, 75, 60)},
    "noise of 2 levels": noise(2.0),
    "half the size": half,
    "half the size, jpeg 75": lambda image: jpeg(75)(half(image)),
    "cropped by 10 %": cropped,
    "cropped by 10 %, jpeg 75": lambda image: jpeg(75)(cropped(image)),
    "screenshot": screenshot(100),
    **{f"screenshot at {percent} %": screenshot(percent) for percent in (125, 150, 200)},
}


class Marked(NamedTuple):
    """What came of pictures of one kind and size with a mark.

    Attributes:
        carriers: their kind.
        side: in pixels.
        marked: how many.
        psnr_db: mean and least PSNR of the mark.
        read_after: change -> how many were still read.
    """

    carriers: str
    side: int
    marked: int
    psnr_db: dict[str, float]
    read_after: dict[str, int]

    def __add__(self, other: Marked) -> Marked:  # type: ignore[override]
        marked = self.marked + other.marked
        mean = (self.marked * self.psnr_db["mean"] + other.marked * other.psnr_db["mean"]) / marked
        least = min(self.psnr_db["least"], other.psnr_db["least"])
        hits = {name: count + other.read_after[name] for name, count in self.read_after.items()}
        return Marked(self.carriers, self.side, marked, {"mean": mean, "least": least}, hits)


def measured(carriers: Carriers, kind: str, side: int, first: int, count: int) -> Marked:
    """Pictures of one kind and size, from number ``first``."""
    generator = np.random.default_rng([side, len(kind), first])
    quality, survived = [], dict.fromkeys(CHANGES, 0)
    for image in islice(carriers.squares(kind, side, generator), count):
        watermark_id = f"{generator.integers(1 << 32):08x}"
        carrier = embed_watermark(image, watermark_id)
        quality.append(float(decibels(squared_error(np.asarray(image), np.asarray(carrier)))))
        for name, change in CHANGES.items():
            found = detect_watermark(change(carrier))
            survived[name] += found is not None and found.id == watermark_id
    return Marked(kind, side, count, {"mean": float(np.mean(quality)), "least": float(np.min(quality))}, survived)


class Tally(NamedTuple):
    """What came of pictures without a mark.

    Attributes:
        seen: marks in them.
        fitting: readings that fit a picture, whose checksums were looked at.
        by_other_keys: how many of these had the right checksum by one of `KEYS` other keys.
        changed: how many were looked at after each change, too.
        seen_after: change -> marks in these.
    """

    seen: int
    fitting: int
    by_other_keys: int
    changed: int
    seen_after: dict[str, int]

    def __add__(self, other: Tally) -> Tally:  # type: ignore[override]
        seen_after = {name: self.seen_after[name] + count for name, count in other.seen_after.items()}
        return Tally(*(a + b for a, b in zip(self[:4], other[:4], strict=True)), seen_after=seen_after)


class Checksums:
    """Stands in for the watermark's checksum, and compares by other keys as well: chance many times over."""

    def __init__(self) -> None:
        self.fitting = self.hits = 0

    def __call__(self, content: bytes) -> Any:
        right = hashlib.sha256(b"mien" + content).digest()[: watermark.CHECKS]
        checksums = self

        class Compared:
            def __eq__(self, other: object) -> bool:
                checksums.fitting += 1
                keyed = (hashlib.sha256(b"%d" % key + content).digest() for key in range(KEYS))
                checksums.hits += sum(one[: watermark.CHECKS] == other for one in keyed)
                return right == other

        return Compared()


def false_positives(carriers: Carriers, side: int, first: int, count: int) -> Tally:
    """Marks that are seen in squares without one: four renders and five photographs for each square of noise.

    Those of the size that ships are looked at after each change, too.
    """
    generator = np.random.default_rng([1, side, first])
    kinds = ["renders"] * 4 + ["photographs"] * 5 + ["noise"]
    squares = {kind: carriers.squares(kind, side, generator) for kind in dict.fromkeys(kinds)}
    pictures = [next(squares[kinds[number % len(kinds)]]) for number in range(count)]
    with mock.patch.object(watermark, "_checksum", checksums := Checksums()):
        seen = sum(detect_watermark(picture) is not None for picture in pictures)
    changed = pictures if side == SHIPPED else []
    seen_after = {
        name: sum(detect_watermark(change(one)) is not None for one in changed) for name, change in CHANGES.items()
    }
    return Tally(seen, checksums.fitting, checksums.hits, len(changed), seen_after)


def _open(carriers: Carriers) -> None:
    """Hand the carriers to a process once."""
    global _CARRIERS
    _CARRIERS = carriers


def _measured(*what: Any) -> Marked:
    return measured(_CARRIERS, *what)


def _false_positives(side: int, first: int, count: int) -> Tally:
    return false_positives(_CARRIERS, side, first, count)


def tables(report: dict[str, Any]) -> dict[Path, tuple[str, str]]:
    """Page -> what is said to write the table, table."""
    shown = ["jpeg 75", "half the size", "cropped by 10 %", "screenshot", "screenshot at 150 %",
             "cropped by 10 %, jpeg 75", "half the size, jpeg 75"]  # fmt: skip
    rows = [
        [row["carriers"], f"{row['side']} px", str(row["marked"]), f"{row['psnr_db']['least']:.1f}"]
        + [f"{100 * row['read_after'][name] / row['marked']:.1f} %" for name in shown]
        for row in report["rows"]
    ]
    head = ["Pictures", "side", "marked", "least PSNR (dB)", "JPEG 75", "half the size", "a tenth cut off",
            "screenshot", "screenshot at 150 %", "a tenth cut off, JPEG 75", "half the size, JPEG 75"]  # fmt: skip
    after = sum(report["false_positives_after"].values())
    bound = report["false_positive_rate_at_most"]
    trials = None if bound is None else float(f"{1 / bound:.2g}")
    sides = ", ".join(f"{count:,} of {side} px" for side, count in report["unmarked_by_side"].items() if count)
    told = (
        f"A mark was seen in {report['false_positives']} of {report['unmarked']:,} pictures without one ({sides})"
        f"{'' if trials is None else f', that is (95 % confidence) in less than 1 of {trials:,.0f}'}. "
        f"{report['fitting_readings']} readings of them fitted, and their checksums were compared by {KEYS:,} other "
        f"keys too: {report['false_positives_by_other_keys']} marks in {report['unmarked'] * KEYS:,} trials. "
        f"{report['changed']:,} of them were looked at after each of {len(CHANGES) - 1} changes as well, those of the "
        f"table among them: {after} marks ([JSON](../benchmarks/results/mark.json)).\n\n"
    )
    told += table(head, rows)
    return {ROOT / "docs" / "provenance-and-responsible-use.md": ("benchmarks/mark.py", told)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--renders", type=Path, help="a data set of mien studio render")
    parser.add_argument("--photographs", type=Path, nargs="*", default=[], help="folders of photographs")
    parser.add_argument("--marked", type=int, default=1000, help="of each carrier and size")
    parser.add_argument("--unmarked", type=int, default=33_000, help="in all")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="then stop; the same command goes on")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    asked = parser.parse_args()
    until = time.monotonic() + 60 * asked.minutes
    carriers = opened(asked.renders, asked.photographs)
    what = {
        "renders": len(carriers.renders),
        "photographs": {name: len(some) for name, some in carriers.photographs.items()},
        "watermark_code": hashlib.sha256(Path(watermark.__file__).read_bytes()).hexdigest(),
        "marked_of_each": asked.marked,
        "changes": list(CHANGES),
    }
    state = earlier(what, asked.output)
    kinds = [(kind, side, share) for side, share in MARKED.items() for kind in ("renders", "photographs")]
    kinds.append(("noise", SHIPPED, NOISE))
    begun = {(row.carriers, row.side): row.marked for row in state.rows}
    marked = [
        (kind, side, *chunk)
        for kind, side, share in kinds
        for chunk in chunks(begun.get((kind, side), 0), round(asked.marked * share), CHUNK["marked"])
    ]
    unmarked = [
        (side, *chunk)
        for side, share in UNMARKED.items()
        for chunk in chunks(state.done[side], round(asked.unmarked * share), CHUNK["unmarked"])
    ]
    with ProcessPoolExecutor(asked.workers, initializer=_open, initargs=(carriers,)) as pool:
        jobs: list[Future[Any]] = [pool.submit(_measured, *one) for one in marked]
        jobs += [pool.submit(_false_positives, *one) for one in unmarked]
        # in order, so that what is done is a beginning
        for job, chunk in zip(jobs, [*[None] * len(marked), *unmarked], strict=True):
            state.add(job.result(), chunk)
            state.write(what, asked.output)
            if time.monotonic() > until:
                break
        pool.shutdown(cancel_futures=True)


def chunks(first: int, end: int, count: int) -> list[tuple[int, int]]:
    """(First, how many) of pictures ``first`` to ``end``, at most ``count`` at a time."""
    return [(start, min(count, end - start)) for start in range(first, end, count)]


@dataclass
class State:
    """What is done.

    Attributes:
        rows: of each kind and size.
        done: side -> pictures without a mark.
        tally: what came of these.
    """

    rows: list[Marked]
    done: dict[int, int]
    tally: Tally

    def add(self, found: Marked | Tally, chunk: tuple[int, int, int] | None) -> None:
        """Take the result of a chunk in; ``chunk`` is one of pictures without a mark, or None."""
        if isinstance(found, Tally):
            assert chunk is not None
            self.tally += found
            self.done[chunk[0]] += chunk[2]
        elif self.rows and (self.rows[-1].carriers, self.rows[-1].side) == (found.carriers, found.side):
            self.rows[-1] += found
        else:
            self.rows.append(found)

    def write(self, what: dict[str, Any], output: Path) -> None:
        """Write the result; of the usual one also the page."""
        unmarked = sum(self.done.values())
        result = {
            **what,
            "rows": [row._asdict() for row in self.rows],
            "unmarked": unmarked,
            "unmarked_by_side": self.done,
            "false_positives": self.tally.seen,
            # rule of three: with no event in n trials, 95 % confidence that the rate is below 3 / n
            "false_positive_rate_at_most": 3 / unmarked if unmarked and self.tally.seen == 0 else None,
            "fitting_readings": self.tally.fitting,
            "other_keys": KEYS,
            "false_positives_by_other_keys": self.tally.by_other_keys,
            "changed": self.tally.changed,
            "false_positives_after": self.tally.seen_after,
        }
        write_result(output, result)
        if output == RESULT:
            write_tables(tables(read_json(RESULT)))


def earlier(what: dict[str, Any], output: Path) -> State:
    """What earlier sittings with the same pictures and code did."""
    found = read_json(output) if output.exists() else {}
    if any(found.get(name) != value for name, value in what.items()):
        return State([], dict.fromkeys(UNMARKED, 0), Tally(0, 0, 0, 0, dict.fromkeys(CHANGES, 0)))
    counts = [
        found[name] for name in ("false_positives", "fitting_readings", "false_positives_by_other_keys", "changed")
    ]
    tally = Tally(*counts, seen_after=found["false_positives_after"])
    done = {int(side): count for side, count in found["unmarked_by_side"].items()}
    return State([Marked(**row) for row in found["rows"]], done, tally)


if __name__ == "__main__":
    main()
