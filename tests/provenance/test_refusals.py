"""People who said no are not drawn, whatever the way; the list holds no pictures and no names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import mien
from mien.cli.main import main
from mien.core.weights import write_weights
from mien.errors import BadInput, ConfigError, IdentityRefused
from mien.generation.tools import identity_network
from mien.provenance import RefusalList, refuse_identities
from mien.provenance.refusals import FORMAT, VARIABLE, check_identity

EXAMPLES = Path(mien.__file__).parent / "assets" / "examples"
ADA, BO = EXAMPLES / "person-Ada.png", EXAMPLES / "person-Bo.png"


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list with Ada on it, made from the shell."""
    path = tmp_path_factory.mktemp("refused") / "refused.safetensors"
    assert main(["refuse", str(ADA), "--list", str(path), "--reader", "studio"]) == 0
    return path


def unit(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=512).astype(np.float32)
    return vector / np.linalg.norm(vector)


def test_who_is_on_the_list_is_not_drawn_and_others_are(
    listed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(listed))
    with pytest.raises(IdentityRefused, match="not to be drawn here"):
        mien.generate(identity=ADA, reader="studio", steps=1)
    changed = tmp_path / "changed.jpg"  # another file of the same face: smaller, cut, saved with losses
    Image.open(ADA).convert("RGB").crop((8, 8, 248, 250)).resize((160, 160)).save(changed, quality=70)
    with pytest.raises(IdentityRefused):
        mien.generate(identity=BO, identities=[changed], reader="studio", steps=1)
    with pytest.raises(IdentityRefused):
        mien.generate(edit=ADA, emotion="happy", reader="studio", steps=2)
    assert (
        len(mien.generate(identity=BO, expression=ADA, reader="studio", steps=1)) == 1
    )  # an expression is no identity


def test_the_command_line_says_it_in_one_sentence(
    listed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, str(listed))
    assert main(["generate", "--identity", str(ADA), "--reader", "studio", "-o", str(tmp_path / "out")]) == 2
    assert "not to be drawn here" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.png"))


def test_a_list_holds_embeddings_and_nothing_else(listed: Path) -> None:
    found = RefusalList.load(listed)
    (network,) = found.embeddings
    assert network == identity_network("studio")
    assert found.embeddings[network].shape == (1, 512)
    content = listed.read_bytes()
    assert b"Ada" not in content and len(content) < 4000


def test_lists_grow_and_survive_their_file(tmp_path: Path) -> None:
    people = RefusalList(near=0.4).added("a", unit(1)).added("a", unit(2)).added("b", unit(3))
    people.save(tmp_path / "list.safetensors")
    again = RefusalList.load(tmp_path / "list.safetensors")
    assert again.near == 0.4 and {name: len(rows) for name, rows in again.embeddings.items()} == {"a": 2, "b": 1}
    assert again(unit(2), "a") and not again(unit(3), "a") and again(unit(3), "b")


def test_a_list_that_knows_nothing_of_a_network_protects_nobody_and_says_so() -> None:
    with pytest.raises(ConfigError, match="reads identities with other"):
        RefusalList().added("a", unit(1))(unit(1), "other")


@pytest.mark.parametrize("content", [None, b"", b"not safetensors"])
def test_a_list_that_cannot_be_read_stops_everything(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "list.safetensors"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv(VARIABLE, str(path))
    with pytest.raises((BadInput, ConfigError)):
        check_identity(unit(1), lambda: "a")


@pytest.mark.parametrize("near", ["nan", "inf", "7", "null", "{}", ""])
def test_a_damaged_list_never_protects_nobody_unsaid(near: str, tmp_path: Path) -> None:
    """Nothing is nearer than NaN: the list was read, and let everybody pass."""
    path = tmp_path / "list.safetensors"
    rows = torch.from_numpy(unit(1)[None])
    write_weights(path, {"a": rows}, {"format": FORMAT, "near": near})
    with pytest.raises(BadInput, match="is damaged, and would not know everybody on it"):
        RefusalList.load(path)
    for wrong in (rows[:0], rows * 0.1):
        write_weights(path, {"a": wrong}, {"format": FORMAT, "near": "0.5"})
        with pytest.raises(BadInput, match="is damaged"):
            RefusalList.load(path)


def test_a_list_is_read_again_when_it_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "list.safetensors"
    monkeypatch.setenv(VARIABLE, str(path))
    RefusalList().added("a", unit(1)).save(path)
    check_identity(unit(2), lambda: "a")
    RefusalList().added("a", unit(1)).added("a", unit(2)).save(path)
    with pytest.raises(IdentityRefused):
        check_identity(unit(2), lambda: "a")


def test_a_hook_of_a_sites_own() -> None:
    asked: list[str] = []

    def hook(embedding: np.ndarray, network: str) -> bool:
        asked.append(network)
        return bool(embedding @ unit(1) > 0.9)

    undo = refuse_identities(hook)
    try:
        check_identity(unit(2), lambda: "a")
        with pytest.raises(IdentityRefused):
            check_identity(unit(1), lambda: "a")
    finally:
        undo()
    check_identity(unit(1), lambda: "a")
    assert asked == ["a", "a"]


def test_without_a_list_no_network_is_named() -> None:
    def name() -> str:
        raise AssertionError("hashing a network takes a second")

    check_identity(unit(1), name)
