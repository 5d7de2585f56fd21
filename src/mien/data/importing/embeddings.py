"""What an import has computed and nobody needs to compute again: embeddings by the ArcFace of a base."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mien.core.io import read_json
from mien.data.corpus import Corpus
from mien.data.decoding import ARCFACE, IDENTITY
from mien.data.importing.request import SETTINGS_FILE

JOINED = "joined.json"
"""What ``mien data join`` writes beside its shards."""


def arcface_files(folder: Path) -> set[str]:
    """sha256 of each ArcFace network that records of a dataset hold embeddings by, as far as the dataset says."""
    if (folder / SETTINGS_FILE).is_file():
        models = read_json(folder / SETTINGS_FILE).get("models", {})
        # the base's, and one beside the reader
        return {digest for name, digest in models.items() if name.partition("/")[0] == ARCFACE}
    return set(read_json(folder / JOINED).get(ARCFACE, ())) if (folder / JOINED).is_file() else set()


def arcface_embeddings(corpus: Corpus, sha256: str) -> np.ndarray | None:
    """Embeddings [N, 512] that records hold by an ArcFace network; NaN where another network, or none, told them.

    Args:
        corpus: the dataset.
        sha256: of the network's file.

    Returns:
        None where the dataset does not say that this file, and no other, told them.
    """
    there = IDENTITY in corpus.arrays and arcface_files(corpus.folder) == {sha256}
    return corpus.arrays[IDENTITY] if there else None
