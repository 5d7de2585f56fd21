"""Shards, records and studies."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mien.cli.show import lines, summary
from mien.core.text import printable
from mien.data.shards import read_shard
from mien.evaluation.study.plan import load_study, tasks_of
from mien.evaluation.study.results import results
from mien.evaluation.study.votes import Votes
from mien.provenance.png import CHUNK, examine
from tests.data.test_shards import record as sample
from tests.fuzz.kind import Kind
from tests.fuzz.mutate import mutated, mutated_json

RECORD: dict[str, Any] = {
    "format": 1, "mien": "0.1.0", "settings": {"seed": 3, "prompt": "a person", "scales": {"landmarks": 1.0}},
    "index": 0,
    "inputs": {"identity": "a" * 64}, "models": {"unet/model.safetensors": "b" * 64}, "environment": {"threads": "1"},
}  # fmt: skip
STUDY: dict[str, Any] = {
    "title": "Which?", "seed": 0, "drawn": 2, "questions": [{"text": "?", "sets": [
        {"name": str(number), "shown": [f"pictures/{number}.png"],
         "options": {"ours": [f"pictures/a{number}.png"], "base": [f"pictures/b{number}.png"]}} for number in range(3)
    ]}],
}  # fmt: skip
VOTE = {"participant": "a" * 32, "question": 0, "set": 1, "choice": "ours"}


def _png(rng: np.random.Generator, size: int = 48) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (size, size, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def shard(rng: np.random.Generator, folder: Path) -> Path:
    form = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)[int(rng.integers(0, 3))]
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for number in range(3):
            told = json.dumps(sample(picture=number))
            parts = {
                "png": _png(rng),
                "json": (mutated_json(json.loads(told), rng) if rng.random() < 0.3 else told).encode(),
            }
            for ending, content in parts.items():
                info = tarfile.TarInfo(f"{'d' * 120 + '/' if rng.random() < 0.2 else ''}0000007-00{number}.{ending}")
                info.size = len(content)
                if rng.random() < 0.05:
                    info.type, info.linkname, info.size = tarfile.SYMTYPE, info.name[-50:], 0
                archive.addfile(info, io.BytesIO(content))
    path = folder / "shard-00000.tar"
    path.write_bytes(mutated(stream.getvalue(), rng) if rng.random() < 0.8 else stream.getvalue())
    return path


def record(rng: np.random.Generator, folder: Path) -> Path:
    about = PngInfo()
    about.add_itxt(CHUNK, mutated_json(RECORD, rng))
    path = folder / "a.png"
    Image.new("RGB", (64, 64), (90, 80, 70)).save(path, pnginfo=about)
    return path


def study(rng: np.random.Generator, folder: Path) -> Path:
    (folder / "study.json").write_text(mutated_json(STUDY, rng) if rng.random() < 0.7 else json.dumps(STUDY))
    votes = "".join(f"{mutated_json(VOTE, rng) if rng.random() < 0.3 else json.dumps(VOTE)}\n" for _ in range(3))
    content = votes.encode()
    (folder / "votes.jsonl").write_bytes(mutated(content, rng) if rng.random() < 0.5 else content)
    return folder


def read_study(folder: Path) -> None:
    plan = load_study(folder)
    tasks_of(plan, "a" * 32)
    results(plan, Votes(folder).all(), draws=10)


def show(path: Path) -> None:
    found = examine(path)
    assert all(
        "\n" not in (line := printable(one)) and "\x1b" not in line and "\u202e" not in line for one in lines(found)
    )
    json.loads(printable(json.dumps(summary(found), ensure_ascii=False, allow_nan=False), keep="\n"))


KINDS = {
    "shards": Kind(shard, lambda path: list(read_shard(path))),
    "records": Kind(record, show),
    "studies": Kind(study, read_study),
}
