"""``mien studio pairs`` and ``mien pairs build`` as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mien.data.shards import read_shard
from tests.cli.test_cli_commands import mien, one_sentence
from tests.manifests import read_manifest
from tests.synthetic import write_corpus

pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'mien[pairs]'")


@pytest.fixture(scope="module")
def rendered(kit_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("moderngl", reason="moderngl is not installed: pip install 'mien[studio]'")
    folder = tmp_path_factory.mktemp("rendered")
    told = mien("studio", "pairs", "--people", "4", "--per-person", "1", "--workers", "1", "-o", folder,
                env={"MIEN_FACEKIT": str(kit_path)})  # fmt: skip
    if "OpenGL" in told.stderr:
        pytest.skip(f"no OpenGL here: {told.stderr.strip()}")
    assert told.returncode == 0 and "4 pairs of 4 people" in told.stderr
    return folder


def test_studio_pairs_hold_a_template_each(rendered: Path) -> None:
    entries = list(read_shard(rendered / "shard-00000.tar"))
    assert len(entries) == 4
    for entry in entries:
        assert entry.template is not None and entry.sample.template is not None
        assert entry.sample.template.source == "oracle" and entry.sample.template.person != entry.sample.person


@pytest.mark.parametrize("maker", ["oracle", "redraw"])
def test_pairs_are_built_and_told(rendered: Path, kit_path: Path, tmp_path: Path, maker: str) -> None:
    words = ["pairs", "build", "--data", rendered, "-o", tmp_path, "--maker", maker, "--targets", "2", "--steps", "3",
             "--exp", "1", "--lms", "9", "--identity", "1", "--landmarks"]  # fmt: skip
    told = mien(*words, env={"MIEN_FACEKIT": str(kit_path)})
    assert told.returncode == 0, told.stderr
    rows = read_manifest(tmp_path / "manifest.parquet")
    assert [row["row"] for row in rows] == [0, 1] and {row["maker"] for row in rows} == {maker}
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["attempts"] == 2 and report["pairs"] == sum(row["kept"] for row in rows)
    if maker == "oracle":
        assert all(row["kept"] for row in rows)
        strict = mien(*words, "-o", tmp_path / "strict", "--identity", "-1", env={"MIEN_FACEKIT": str(kit_path)})
        assert "None of" in one_sentence(strict) and not list((tmp_path / "strict").glob("*.tar"))
    models = json.loads(rows[0]["models"])
    assert any("expression" in name for name in models) == (maker == "redraw")
    again = mien(*words, env={"MIEN_FACEKIT": str(kit_path)})
    assert again.stdout == told.stdout, "a finished set is told again"
    assert "other pairs" in one_sentence(mien(*words, "--seed", "5", env={"MIEN_FACEKIT": str(kit_path)}))


def test_what_cannot_be_built_is_one_sentence(tmp_path: Path) -> None:
    portraits = write_corpus(tmp_path / "portraits", people=3, per_person=1)
    out = ("-o", tmp_path / "out")
    assert "No shards" in one_sentence(mien("pairs", "build", "--data", tmp_path / "nothing", *out))
    assert "redraw, oracle" in one_sentence(mien("pairs", "build", "--data", portraits, *out, "--maker", "magic"))
    assert "thresholds.exp" in one_sentence(mien("pairs", "build", "--data", portraits, *out, "--exp", "-1"))
    assert "no spec nobody" in one_sentence(mien("pairs", "build", "--data", portraits, *out, "--model", "nobody"))
    (portraits / "shard-00000.tar").write_bytes(b"half a tar")
    assert "not a whole shard" in one_sentence(mien("pairs", "build", "--data", portraits, *out))
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())
