"""Pictures with a record, a mark and a signature in every format, and lists of people who are not to be drawn."""

from __future__ import annotations

import json
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from mien.cli.show import lines
from mien.core.text import printable
from mien.errors import ConfigError
from mien.provenance.content_credentials import sign
from mien.provenance.png import write_picture
from mien.provenance.record import Record
from mien.provenance.refusals import RefusalList
from mien.provenance.verdict import WORDS, verify
from tests.authority import write_authority
from tests.fuzz.kind import Kind
from tests.fuzz.kinds_records import RECORD
from tests.fuzz.mutants import mutant
from tests.fuzz.mutate import mutated, mutated_json

ENDINGS = ("png", "jpg", "webp")
_HELD: list[tempfile.TemporaryDirectory[str]] = []


@cache
def sound() -> Path:
    """``a.ENDING`` and signed ``signed.ENDING`` in each format, and a list, in a folder that goes with the process."""
    holder = tempfile.TemporaryDirectory(prefix="mien-fuzz-")
    _HELD.append(holder)
    folder = Path(holder.name)
    write_authority(folder)
    noise = np.random.default_rng(0).integers(60, 200, (128, 128, 3), np.uint8)
    for ending in ENDINGS:
        write_picture(folder / f"a.{ending}", Image.fromarray(noise), Record.model_validate(RECORD))
        sign(folder / f"a.{ending}", folder / f"signed.{ending}", folder / "chain.pem", folder / "key.pem")
    RefusalList().added("studio", np.full(512, 512**-0.5, np.float32)).save(folder / "list.safetensors")
    return folder


def marked(rng: np.random.Generator, folder: Path) -> Path:
    """A file damaged anywhere, or in its metadata alone, where all of it stands as text."""
    name = f"{('a', 'signed')[int(rng.integers(2))]}.{ENDINGS[int(rng.integers(3))]}"
    content = (sound() / name).read_bytes()
    text = json.dumps(RECORD["settings"], separators=(",", ":"), ensure_ascii=False).encode()
    if rng.random() < 0.3 and text in content:
        other = mutated_json(RECORD["settings"], rng).encode("utf-8", "surrogatepass")[: len(text)]
        content = content.replace(text, other.ljust(len(text)))
    else:
        content = mutated(content, rng)
    path = folder / name
    path.write_bytes(content)
    return path


def judge(path: Path) -> None:
    verdict = verify(path)
    assert verdict.finding in WORDS
    for line in (*lines(verdict.found), *verdict.reasons):
        assert "\n" not in printable(line) and "\x1b" not in printable(line)


def refusal_list(rng: np.random.Generator, folder: Path) -> Path:
    path = folder / "list.safetensors"
    if rng.random() < 0.05:
        shutil.copy(sound() / "a.png", path)
        return path
    return mutant(sound() / "list.safetensors", int(rng.integers(2**31)), path)


def ask(path: Path) -> None:
    """A list that was read says yes or no, or that it does not know the network; it never protects nobody unsaid."""
    found = RefusalList.load(path)
    face = np.full(512, 512**-0.5, np.float32)
    for network in (*found.embeddings, "another"):
        try:
            assert found(face, network) in (True, False)
        except ConfigError:
            assert network == "another"


KINDS = {"marked pictures": Kind(marked, judge), "refusal lists": Kind(refusal_list, ask)}
