"""An expression read from a picture as the landmark branch's tokens of the mean face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mien.adapters import Injection, load_adapter, preset_branch, save_adapter
from mien.data.corpus import Corpus
from mien.errors import BadInput
from mien.faces.alignment import face_place, studio_matrix, transform_points
from mien.faces.networks import ExpressionReader, StudioFaceNet, expression_input, open_expression_encoder
from mien.models.unet import build_unet
from mien.training.objectives.distillation import DistillationConfig, DistillationObjective
from mien.training.sources import Sources
from tests.synthetic import write_corpus

SMALL = {"block_out_channels": (32, 32, 32), "attention_head_dim": 1, "cross_attention_dim": 32}


@pytest.fixture(scope="module")
def unet() -> Any:
    torch.manual_seed(0)
    return build_unet(**SMALL).eval()


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory, unet: Any) -> Path:
    folder = tmp_path_factory.mktemp("distillation")
    torch.manual_seed(1)
    StudioFaceNet(size=64, widths=(16, 16, 16, 16), hidden=32, basis=8).save_pretrained(folder / "reader" / "face")
    branch = preset_branch(unet, "studio", "landmarks")
    for pair in branch.projections().values():
        torch.nn.init.normal_(pair.to_v.weight, std=0.2)  # zero at the start of training
    save_adapter(folder / "adapters" / "landmarks.safetensors", {"landmarks": branch})
    write_corpus(folder / "data", people=3, per_person=2, size=64)
    return folder


@pytest.fixture
def objective(sources: Path) -> DistillationObjective:
    torch.manual_seed(0)
    made = DistillationObjective(Sources((sources,)), DistillationConfig(channels=32, depth=1))
    made.prepare(Corpus.load(sources / "data"), sources)
    return made


def test_it_starts_from_the_mean_and_learns_the_tokens(objective: DistillationObjective, sources: Path) -> None:
    corpus = Corpus.load(sources / "data")
    frozen = {name: value.clone() for name, value in objective.branch.state_dict().items()}
    optimizer = torch.optim.Adam(objective.trained().values(), lr=2e-3)
    shares: list[float] = []
    for step in range(30):
        batch = objective.batch(corpus, np.random.default_rng(step % 4), 6)
        share, _ = objective(batch, torch.Generator().manual_seed(step % 4))
        share.backward()
        if not shares:
            silent = {name for name, value in objective.trained().items() if value.grad is None}
            assert not silent, "every trained weight has a gradient"
        optimizer.step()
        optimizer.zero_grad()
        shares.append(float(share.detach()))
    assert shares[0] > 0.7, "the mean of the tokens leaves their variance"
    assert np.mean(shares[-4:]) < 0.9 * np.mean(shares[:4])
    assert all(torch.equal(value, frozen[name]) for name, value in objective.branch.state_dict().items())


def test_the_mean_face_stands_where_the_face_stands(objective: DistillationObjective, sources: Path) -> None:
    corpus = Corpus.load(sources / "data")
    batch = objective.rows(corpus, objective.mean_face, np.arange(4))
    flip = torch.tensor([False, True, False, True])
    jitter = torch.tensor([[1.1, 0.0, 3.0], [0.0, 1.1, -5.0]]).repeat(4, 1, 1)
    crops, points = objective.pair(batch, jitter, flip)
    assert crops.shape == (4, 3, 64, 64)
    framed = transform_points(studio_matrix(batch["landmarks"], 64), batch["landmarks"])
    framed = transform_points(jitter, framed)
    framed[flip, :, 0] = 64 - framed[flip, :, 0]
    torch.testing.assert_close(face_place(points) / 128, face_place(framed) / 64, atol=1e-3, rtol=0)
    left, right = points[:, 33, 0], points[:, 263, 0]  # outer corners of the eyes
    assert (left < right).all(), "a mirrored face has its landmarks renamed"


def test_the_exported_branch_draws_as_the_landmark_branch_does(
    objective: DistillationObjective, sources: Path, unet: Any, tmp_path: Path
) -> None:
    objective.export(tmp_path)
    landmarks = load_adapter(sources / "adapters" / "landmarks.safetensors")["landmarks"].eval()
    expression = load_adapter(tmp_path / "adapters" / "expression.safetensors")["expression"].float().eval()
    points = torch.from_numpy(objective.mean_face[:2].astype(np.float32))
    tokens = objective.tokens(points)
    noised, steps, words = torch.randn(2, 16, 16, 16), torch.tensor([300, 700]), torch.randn(2, 5, 32)
    drawn = {}
    for branch, given in ((landmarks, tokens), (expression, expression.encode(tokens))):
        injection = Injection(unet, {branch.kind: branch})
        with torch.no_grad(), injection:
            plan = injection.condition({branch.kind: given})
            drawn[branch.kind] = unet(noised, steps, words, cross_attention_kwargs=plan).sample
    with torch.no_grad():
        without = unet(noised, steps, words).sample
    assert (drawn["landmarks"] - without).abs().max() > 1e-2
    torch.testing.assert_close(drawn["expression"], drawn["landmarks"], atol=2e-3, rtol=0)  # keys and values in fp16
    encoder = open_expression_encoder(tmp_path / "expression_encoder")
    assert isinstance(encoder, ExpressionReader)
    assert expression_input(encoder.config) == {"size": 64, "framing": "studio"}
    assert encoder(torch.zeros(2, 3, 64, 64)).shape == tokens.shape


def test_right_pictures_are_told_from_others(objective: DistillationObjective, sources: Path) -> None:
    corpus = Corpus.load(sources / "data")
    assert objective.gaps(corpus) == {}
    corpus.held_out = Corpus.load(sources / "data")
    found = objective.eval().gaps(corpus)
    assert found["gap"] == pytest.approx(found["shuffled"] - found["right"])
    assert found["right"] == pytest.approx(1, abs=0.05), "the mean leaves the variance"


def test_a_folder_without_an_encoder_of_ours_is_refused(sources: Path) -> None:
    with pytest.raises(BadInput, match="no ExpressionEncoder or ExpressionReader"):
        open_expression_encoder(sources / "reader" / "face")
