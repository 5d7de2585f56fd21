"""What `mien data import` and `mien generate --from` read: folders of raw data with their text files, and requests."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mien.data.check import check, read_contents
from mien.data.importing.layouts import LAYOUTS
from mien.generation.many import Drawer, generate_many
from tests import raw_data
from tests.data.importing.test_import_job import job
from tests.data.importing_fakes import colour_faces
from tests.fakes import FakePipeline, fake_tools
from tests.fuzz.kind import Kind
from tests.fuzz.mutate import mutated, mutated_json

NAMES = (
    "²_a_³_f.jpg", "٣.png", "1" * 80 + ".png", "a b.jpg", "é.png", "-o.png", "0_A_" + "9" * 90 + "_f.jpg",
    "con.png", "a\nb.png", "\u202e.png", "..png", "~.jpg", "%s%n.png", "M003", "video", "a.mp4", "0_A_1_f.png",
    "a\udcff.png",
)  # fmt: skip
"""Of files and folders, in the place of one that there is."""
REQUESTS: tuple[dict[str, Any], ...] = (
    {"id": "a", "identity": "photo.png", "yaw": 20, "seed": 3, "emotion": "happy:0.5"},
    {"id": "b", "identities": ["photo.png", "photo.png"], "expression": "photo.png", "blendshapes": {"jawOpen": 0.5}},
    {"identity": "photo.png", "prompt": "a person", "emotion": [0.4, 0.2, 0.1, 0.9, 0, 0, 0, 0, 0, 0], "count": 2},
)
_HELD: list[tempfile.TemporaryDirectory[str]] = []


@cache
def sound(layout: str) -> Path:
    """Raw data as published, in a folder that goes with the process."""
    holder = tempfile.TemporaryDirectory(prefix="mien-fuzz-")
    _HELD.append(holder)
    folder = Path(holder.name)
    if layout == "folder":
        (folder / "ann").mkdir()
        for name in ("ann/1", "ann/2", "bob"):
            colour_faces(len(name), 0, 64).save(folder / f"{name}.png")
            (folder / f"{name}.txt").write_text("a woman with a hat\n")
    elif layout == "video":
        raw_data.write_clips(folder, colour_faces, videos=1, seconds=2)
    elif layout == "ffhq":
        raw_data.write_ffhq(folder, colour_faces, people=2, side=64)
    elif layout == "mead":
        raw_data.write_mead(folder, colour_faces, ("M003",), ("happy",), seconds=2)
    else:
        write = {"celeba": raw_data.write_celeba, "agedb": raw_data.write_agedb}[layout]
        write(folder, colour_faces, people=2, per_person=2)
    return folder


def raw(rng: np.random.Generator, folder: Path) -> Path:
    """Raw data with some of its files damaged, gone or of other names, in a folder that is called like its layout."""
    layout = list(LAYOUTS)[int(rng.integers(len(LAYOUTS)))]
    source = folder / layout
    shutil.copytree(sound(layout), source)
    for _ in range(int(rng.integers(1, 4))):
        files = sorted(path for path in source.rglob("*") if path.is_file())
        texts = [path for path in files if path.suffix == ".txt"] or files
        some = texts if rng.random() < 0.6 else files
        if not some:
            break
        path, action = some[int(rng.integers(len(some)))], rng.random()
        if action < 0.6:
            path.write_bytes(mutated(path.read_bytes(), rng))
        elif action < 0.7:
            path.unlink()
        elif action < 0.75:
            path.unlink()
            path.mkdir()
        else:
            path.rename(path.with_name(NAMES[int(rng.integers(len(NAMES)))]))
    return source


def read_raw(source: Path) -> None:
    """Imported, and looked over."""
    made = job(source, source.with_name("made"), source.name, every=0.5)
    made.run()
    made.summary()
    check(read_contents(source.with_name("made")))


def requests(rng: np.random.Generator, folder: Path) -> Path:
    """A file of requests beside the picture that they name."""
    colour_faces(1, 0, 64).save(folder / "photo.png")
    if rng.random() < 0.6:
        lines = [mutated_json(one, rng) if rng.random() < 0.7 else json.dumps(one) for one in REQUESTS]
        path, content = folder / "requests.jsonl", "\n".join(lines)
    else:
        stream = io.StringIO()
        cells = {key: json.dumps(value) if isinstance(value, list | dict) else value
                 for key, value in REQUESTS[int(rng.integers(2))].items()}  # fmt: skip
        cells["identity"] = "photo.png"
        table = csv.DictWriter(stream, list(cells))
        table.writeheader()
        table.writerow(cells)
        table.writerow(json.loads(mutated_row) if (mutated_row := _row(cells, rng)) else cells)
        path, content = folder / "requests.csv", stream.getvalue()
    raw_bytes = content.encode("utf-8", "surrogatepass")
    path.write_bytes(mutated(raw_bytes, rng) if rng.random() < 0.4 else raw_bytes)
    return path


def _row(cells: dict[str, Any], rng: np.random.Generator) -> str:
    """The cells of a table with hostile values, as JSON; empty where they are none any more."""
    text = mutated_json(cells, rng)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    return text if isinstance(value, dict) and set(value) <= set(cells) else ""


def read_requests(path: Path) -> None:
    """Drawn, twice: the second time there is nothing to do."""
    drawer = Drawer(FakePipeline(path.with_name("model")), fake_tools())
    for _ in range(2):
        generate_many(path, path.with_name("out"), {"steps": 1}, per_part=2, batch=2, drawer=drawer)
    for line in path.with_name("out").joinpath("manifest.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        assert row["files"] or row["error"]
        assert "Error: " not in row["error"], row["error"]


KINDS = {"raw data": Kind(raw, read_raw), "requests": Kind(requests, read_requests)}
