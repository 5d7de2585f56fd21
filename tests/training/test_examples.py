from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mien.data.corpus import Corpus
from mien.models import StudioAutoencoder, train_tokenizer
from mien.training.examples import Examples
from mien.training.export import save_half
from mien.training.features import face_places, training_landmarks
from mien.training.prompts import Kind
from mien.training.sources import Sources
from tests.synthetic import write_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus.load(write_corpus(tmp_path_factory.mktemp("examples") / "data", people=2, per_person=2))


def test_face_places_are_the_mask_and_what_moves_in_it(corpus: Corpus) -> None:
    places = face_places(corpus)
    assert places.shape == (4, 16, 16) and places.max() == 2
    assert (places[:, :3] <= 1).all() and (places[:, 8, 8] >= 1).all()  # the test mask spans the middle half
    mouth = (training_landmarks(corpus)[0, 13, :2] / 8).astype(int)
    assert places[0, mouth[1], mouth[0]] >= 1
    chin = (training_landmarks(corpus)[0, 152, :2] / 8).astype(int)
    assert places[0, chin[1], chin[0]] <= 1


def test_an_example_is_one_picture_with_the_identity_of_another(corpus: Corpus, tmp_path: Path) -> None:
    from mien.faces.networks import IdentityEmbedder

    torch.manual_seed(0)
    save_half(StudioAutoencoder(), tmp_path / "vae")
    save_half(IdentityEmbedder(), tmp_path / "identity")
    tokenizer = train_tokenizer(corpus.captions)
    examples = Examples(corpus, Sources((tmp_path,)), tokenizer, 256, ("landmarks", "emotion", "identity"))
    rows, other = np.array([0, 3]), np.array([1, 2])
    batch = examples.batch(rows, other, np.array([Kind.CAPTION, Kind.EMPTY]))
    assert batch["latents"].shape == (2, 16, 16, 16) and batch["places"].shape == (2, 16, 16)
    torch.testing.assert_close(batch["identity"], torch.from_numpy(examples.identity[other]).float())
    torch.testing.assert_close(examples.condition("identity", rows, other), batch["identity"])
    drawn = examples.condition("landmarks", rows, other)
    assert drawn.shape == (2, 128, 128, 3) and drawn.dtype == torch.uint8
    torch.testing.assert_close(
        examples.condition("emotion", rows, other), torch.from_numpy(corpus["emotion"][rows]).float()
    )
