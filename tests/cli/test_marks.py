"""Every command that writes pictures or films: what they carry of the record, the declaration and the watermark."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from mien.cli.main import COMMANDS, main
from mien.provenance.png import examine
from mien.provenance.watermark import SMALLEST_SIDE, detect_watermark
from tests.data.idi_fakes import builder
from tests.synthetic import write_corpus

EXAMPLES = Path(mien.__file__).parent / "assets" / "examples"
ADA, LAUGH = str(EXAMPLES / "person-Ada.png"), str(EXAMPLES / "template-laugh.png")
SMALL_TOY = ["--rounds", "1", "--pictures", "8", "--people", "3", "--per-person", "2", "--quiet"]
CARRYING: dict[str, list[str]] = {
    "generate": ["--identity", ADA, "--steps", "1", "-n", "2", "-o", "OUT"],
    "generate --edit": ["generate", "--edit", ADA, "--expression", LAUGH, "--steps", "4", "-o", "OUT"],
    "generate --from": ["generate", "--from", "ASKED", "--steps", "1", "-o", "OUT"],
    "sweep": ["--identity", ADA, "--yaw", "-20..20", "--steps", "2", "--denoising-steps", "1", "-o", "OUT"],
    "animate": ["--identity", ADA, "--driving", "FRAMES", "--steps", "1", "-o", "OUT/me.gif"],
    "animate webp": ["animate", "--identity", ADA, "--driving", "FRAMES", "--steps", "1", "-o", "OUT/me.webp"],
    "demo": ["--steps", "1", "-o", "OUT"],
    "toy": [*SMALL_TOY, "-o", "OUT"],
    "evaluate": ["diversity", "--model", "a=embedded-fast", "--identities", "FRAMES", "--target-count", "2",
                 "--steps", "1", "--draws", "10", "--pictures", "KEPT", "-o", "OUT"],
}  # fmt: skip
"""What a trained model drew: all of it carries all three."""
FAST = ("generate", "generate --edit", "sweep", "animate")
ELSEWHERE = ("app", "sign", "study")
"""The app's pictures, signed pictures and a blind study's copies have tests of their own."""
NOTHING = ("pairs", "studio", "data")
"""Training data: `test_training_data_carries_nothing`."""
NO_PICTURES = (
    "show", "verify", "refuse", "read", "score", "model", "bench", "train", "runs", "assets", "facekit",
)  # fmt: skip


def test_every_command_is_in_one_of_the_lists() -> None:
    named = {name.split()[0] for name in CARRYING} | {*ELSEWHERE, *NOTHING, *NO_PICTURES}
    assert set(COMMANDS) == named, "say in this file what its pictures carry"


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    for number, name in enumerate(("template-laugh.png", "template-surprise.png"), 1):
        Image.open(EXAMPLES / name).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("name", [pytest.param(one, marks=() if one in FAST else pytest.mark.slow) for one in CARRYING])
def test_what_a_model_drew_carries_all_three(
    name: str, tmp_path: Path, frames: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    places = {"OUT": tmp_path / "out", "FRAMES": frames, "KEPT": tmp_path / "kept", "ASKED": tmp_path / "asked.jsonl"}
    places["ASKED"].write_text(json.dumps({"identity": ADA}) + "\n")
    words = CARRYING[name] if " " in name else [name, *CARRYING[name]]
    for place, path in places.items():
        words = [word.replace(place, str(path)) for word in words]
    assert main(words) == 0
    pictures = [path for path in places["OUT"].rglob("*") if path.suffix in (".png", ".gif", ".webp", ".mp4", ".jpg")]
    pictures = [path for path in pictures if not is_input(name, path, places["OUT"])]
    assert pictures
    for path in pictures:
        found = examine(path)
        assert found.record is not None and found.digital_source_type is not None, path
        with Image.open(path) as image:
            if min(image.size) >= SMALLEST_SIDE:
                assert found.watermark_fits, path


def is_input(name: str, path: Path, folder: Path) -> bool:
    """Whether a picture of an output is a user's own, or a renderer's, that is shown beside."""
    parts = path.relative_to(folder).parts
    return (name == "evaluate" and path.stem.endswith("-1")) or (name == "toy" and parts[0] == "data")


def test_training_data_carries_nothing(tmp_path: Path) -> None:
    """A mark in what a model learns from would be learnt."""
    data, pairs = tmp_path / "data", tmp_path / "pairs"
    write_corpus(data, people=4, per_person=3)
    builder(data).build(pairs)
    from mien.data.shards import read_shard

    entries = [entry for shard in sorted(pairs.glob("*.tar")) for entry in read_shard(shard)]
    assert entries
    for entry in entries:
        for pixels in (entry.image, entry.template):
            assert pixels is not None and detect_watermark(Image.fromarray(np.asarray(pixels))) is None
