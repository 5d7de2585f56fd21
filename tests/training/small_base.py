"""A base's training with networks of the studio's classes, untrained, and a UNet that is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mien.data.corpus import Corpus
from mien.faces.networks import IdentityEmbedder, StudioFaceNet
from mien.models import StudioAutoencoder
from mien.training.objectives.base import BaseConfig, BaseObjective
from mien.training.sources import Sources
from tests.synthetic import write_corpus
from tests.tiny import tiny_text


def write_base(folder: Path) -> Path:
    """The networks that a base is trained with, and pictures in ``data``."""
    torch.manual_seed(0)
    for network, place in ((StudioAutoencoder(), "vae"), (IdentityEmbedder(), "identity"),
                           (StudioFaceNet(), "reader/face")):  # fmt: skip
        network.save_pretrained(folder / place)
    tokenizer, text_encoder = tiny_text()
    tokenizer.save_pretrained(folder / "tokenizer")
    text_encoder.save_pretrained(folder / "text_encoder")
    write_corpus(folder / "data", people=2, per_person=3)
    return folder


def objective(base: Path, **settings: Any) -> BaseObjective:
    """Ready to train on them."""
    torch.manual_seed(0)
    small = {"block_out_channels": (32, 32, 32), "attention_head_dim": 1, "cross_attention_dim": 32}
    made = BaseObjective(Sources((base,)), BaseConfig(unet=small, **settings))
    made.prepare(Corpus.load(base / "data"), base)
    return made
