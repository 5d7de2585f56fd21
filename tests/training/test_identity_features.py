"""Embeddings of a data set: computed where there is a GPU, and not where its records hold them."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mien.core.io import sha256_of, write_json
from mien.data.corpus import Corpus
from mien.data.importing.embeddings import JOINED
from mien.data.join import join
from mien.data.schema import Origin
from mien.data.shards import Entry, ShardWriter, read_shard
from mien.faces import onnx as module
from mien.faces.arcface_embedder import ArcFaceEmbedder
from mien.faces.published.networks import open_face_network
from mien.faces.torch_onnx import TorchOnnxModel
from mien.training import features
from mien.training.features import identity_embeddings
from tests.arcface import iresnet
from tests.synthetic import write_corpus

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'mien[eval]'")


@pytest.fixture(scope="module")
def arcface(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return iresnet(tmp_path_factory.mktemp("arcface") / "w600k_r50.onnx")


def test_arcface_is_run_by_pytorch_on_a_gpu_that_onnx_runtime_cannot_use(
    arcface: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = torch.rand(3, 3, 112, 112, generator=torch.Generator().manual_seed(0)) * 2 - 1
    expected = ArcFaceEmbedder(arcface)(crops)
    monkeypatch.setattr(module, "spare_gpu", lambda runtime: "cpu")  # in the place of cuda
    embedder, side, device = features._embedder(arcface)
    assert isinstance(embedder, ArcFaceEmbedder) and isinstance(embedder._run, TorchOnnxModel)
    assert (side, device) == (112, "cpu")
    assert expected.std() > 0.01
    torch.testing.assert_close(embedder(crops), expected, atol=1e-3, rtol=0)
    for name, kind in (("arcface", TorchOnnxModel), ("auraface", TorchOnnxModel), ("emonet", module.OnnxModel)):
        assert isinstance(open_face_network(name, arcface).run, kind), name  # import reads by these


def test_what_pytorch_does_not_know_stays_with_onnx_runtime(arcface: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.errors import BadInput

    def unknown(path: Path) -> Any:
        raise BadInput(f"{path} has the operation Loop, which is not known here.")

    monkeypatch.setattr(module, "spare_gpu", lambda runtime: "cpu")
    monkeypatch.setattr("mien.faces.torch_onnx.onnx_graph", unknown)
    run, device = module.open_recognition(arcface)
    assert isinstance(run, module.OnnxModel) and device == "cpu"


def test_a_file_that_a_gpu_could_run_is_told_once(
    arcface: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    module._tell_of_cpu.cache_clear()
    caplog.set_level(logging.WARNING)
    module.OnnxModel(arcface)
    assert not caplog.messages, "there is no GPU"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for _ in range(2):
        module.OnnxModel(arcface)
    sentence = "w600k_r50.onnx runs on the CPU: install onnxruntime-gpu in the place of onnxruntime."
    assert [sentence in message for message in caplog.messages] == [True]
    module._tell_of_cpu.cache_clear()
    has_cuda = SimpleNamespace(get_available_providers=lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    has_none = SimpleNamespace(get_available_providers=lambda: ["CPUExecutionProvider"])
    assert [module.spare_gpu(one) for one in (has_cuda, has_none)] == [None, "cuda"]


def imported(folder: Path, network: str, told: dict[int, np.ndarray]) -> Path:
    """A data set whose records of some rows hold embeddings by a network with this sha256."""
    write_corpus(folder / "plain", people=1, per_person=4)
    entries = list(read_shard(folder / "plain" / "shard-00000.tar"))
    with ShardWriter(folder / "data" / "shard-00000.tar") as writer:
        for row, entry in enumerate(entries):
            by = {0: "arcface", 1: "studio"}.get(row, "arcface")
            more: dict[str, Any] = {"origin": Origin(file="a.png", who="a", read_by={"identity": by})}
            if row in told:
                more["identity"] = told[row].tolist()
            writer.write(Entry(entry.image, entry.mask, entry.sample.model_copy(update=more), None))
    write_json(folder / "data" / "import.json", {"models": {"arcface": network, "studio/identity": "0" * 64}})
    return folder / "data"


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures were embedded at each call."""
    counts: list[int] = []
    plain = ArcFaceEmbedder.__call__

    def counted(self: ArcFaceEmbedder, crops: torch.Tensor) -> torch.Tensor:
        counts.append(len(crops))
        return plain(self, crops)

    monkeypatch.setattr(ArcFaceEmbedder, "__call__", counted)
    return counts


def test_embeddings_of_records_are_not_computed_again(arcface: Path, tmp_path: Path, embedded: list[int]) -> None:
    """Those by the same file; the studio's of row 1, and what row 3 lacks, are."""
    told = {row: np.round(np.eye(512)[row], 5) for row in (0, 1, 2)}
    data = imported(tmp_path / "same", sha256_of(arcface), told)
    found = identity_embeddings(Corpus.load(data), arcface)
    assert embedded == [2] and found.dtype == np.float16
    for row in (0, 2):
        np.testing.assert_array_equal(found[row], told[row].astype(np.float16))
    other = identity_embeddings(Corpus.load(imported(tmp_path / "other", "f" * 64, told)), arcface)
    assert embedded == [2, 4], "by another file"
    np.testing.assert_allclose(found[[1, 3]], other[[1, 3]], atol=1e-3)
    assert np.abs(other[0] - found[0]).max() > 0.1


def test_a_joined_data_set_knows_who_told(arcface: Path, tmp_path: Path, embedded: list[int]) -> None:
    told = {row: np.eye(512)[row] for row in range(4)}
    own = imported(tmp_path / "a", sha256_of(arcface), told)
    join([own, write_corpus(tmp_path / "renders", people=1, per_person=2)], tmp_path / "both")
    identity_embeddings(Corpus.load(tmp_path / "both"), arcface)
    assert sum(embedded) == 3, "two renders, and the picture of which the studio told"
    join([own, imported(tmp_path / "b", "f" * 64, told)], tmp_path / "mixed")
    assert (tmp_path / "mixed" / JOINED).is_file()
    identity_embeddings(Corpus.load(tmp_path / "mixed"), arcface)
    assert sum(embedded) == 3 + 8, "nobody knows which file told which"
