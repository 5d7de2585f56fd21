"""README: its commands run, its branches work in a stock pipeline, its authors are those of the citation file.

Its Python quickstart runs in test_doc_examples.py, with the snippets of all pages.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import mien

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def snippet(containing: str) -> str:
    (found,) = [block for block in blocks("python") if containing in block]
    return found


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in with me.jpg and friend.jpg."""
    examples = Path(mien.__file__).parent / "assets" / "examples"
    for name, source in {"me.jpg": "person-Ada.png", "friend.jpg": "template-laugh.png"}.items():
        Image.open(examples / source).convert("RGB").save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_quickstart_in_the_shell(photos: Path) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("mien ")]
    assert len(lines) == 3 and lines.pop() == "mien app --open"  # a server: its walk is tests/app/test_app_page.py
    for line in lines:
        words = line.replace("-n 4", "-n 1 --steps 3").split()[1:]
        done = subprocess.run([sys.executable, "-m", "mien", *words], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    assert (photos / "out" / "portrait-0001.png").is_file()


def test_the_branches_in_a_stock_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from diffusers import StableDiffusionPipeline

    from mien.adapters import save_adapter
    from tests.tiny import tiny_branch, tiny_pipeline

    ours = tiny_pipeline(())
    parts: Any = {name: getattr(ours, name) for name in ("vae", "text_encoder", "tokenizer", "unet", "scheduler")}
    without: Any = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    stock: Any = StableDiffusionPipeline(**parts, **without)
    monkeypatch.setattr(StableDiffusionPipeline, "from_pretrained", lambda name: stock)
    monkeypatch.chdir(tmp_path)
    save_adapter(tmp_path / "landmarks.safetensors", {"landmarks": tiny_branch(stock.unet, "landmarks")})
    stock.set_progress_bar_config(disable=True)
    before = stock("photo of a sailor", generator=torch.manual_seed(0), num_inference_steps=2, output_type="pt").images

    run = snippet("StableDiffusionPipeline").replace(
        '"photo of a sailor", ', '"photo of a sailor", generator=torch.manual_seed(0), num_inference_steps=2, '
        'output_type="pt", ',
    )  # fmt: skip
    names: dict[str, Any] = {"torch": torch, "landmark_image": torch.rand(1, 3, 32, 32) * 2 - 1}
    with torch.no_grad():
        exec(run, names)
    assert not torch.equal(names["image"], before[0])
    after = stock("photo of a sailor", generator=torch.manual_seed(0), num_inference_steps=2, output_type="pt").images
    assert torch.equal(after, before)


def test_the_authors_are_those_of_the_citation() -> None:
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    text = " ".join(README.split())
    assert len(citation["references"]) == 2
    for paper in citation["references"]:
        authors = ", ".join(f"{one['given-names']} {one['family-names']}" for one in paper["authors"])
        assert f"{authors}. *{paper['title']}*" in text
        assert paper["url"] in text and paper["url"].endswith(paper["identifiers"][0]["value"].removeprefix("arXiv:"))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{citation["version"]}"' in project and citation["version"] == mien.__version__
