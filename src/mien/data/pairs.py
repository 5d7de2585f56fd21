"""Pairs of pictures of one person: which picture shows who it is when another is to be drawn (FaceCrafter sec. 3.2)."""

from __future__ import annotations

import logging

import numpy as np

from mien.data.corpus import Corpus
from mien.errors import BadInput

log = logging.getLogger(__name__)
CANDIDATES = 4
POSE_APART, POSE_ALIKE = 5.0, 10.0
"""Degrees between two poses from which they count as different, and up to which as the same (*inferred*)."""
EXPRESSION_APART = 0.01
"""Mean difference of the coefficients from which two expressions count as different (*inferred*)."""
ENOUGH = 0.5
"""Share of pictures with a partner below which a dataset is warned about."""


class Pairs:
    """Draws the partner of a picture: another one of the same person.

    Landmark pre-training wants a partner of another pose and another expression, emotion pre-training one of another
    expression at the same pose: the nearest in pose of some candidates.

    Args:
        corpus: the pictures.
        same_pose: partners of nearly the same pose.

    Raises:
        BadInput: if no picture has a partner of another expression (and, unless ``same_pose``, another pose).
    """

    def __init__(self, corpus: Corpus, same_pose: bool = False) -> None:
        self.corpus, self.same_pose = corpus, same_pose
        share, possible = self.shares()
        wanted = "another expression at the same pose" if same_pose else "another pose and expression"
        if possible == 0:
            raise BadInput(
                f"No person in {corpus.folder} has two pictures that differ enough: this stage draws one with {wanted} "
                "than the other. Give a dataset with several pictures of each person."
            )
        if share < ENOUGH:
            log.warning(
                "only %.0f %% of the pictures in %s have a partner with %s; the others are paired with what is there",
                100 * share, corpus.folder, wanted,
            )  # fmt: skip

    def partners(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A row of the same person for each row [B]; the row itself where the person has no other picture."""
        if not self.same_pose:
            return self.corpus.same_person(rows, rng)
        options = np.stack([self.corpus.same_person(rows, rng) for _ in range(CANDIDATES)])
        pose = self.corpus["pose"]
        distance = np.linalg.norm(pose[options] - pose[rows], axis=-1)
        return options[distance.argmin(0), np.arange(len(rows))]

    def shares(self) -> tuple[float, float]:
        """Shares of the pictures that have a partner of the wanted kind, and of the wanted kind at whatever pose."""
        corpus = self.corpus
        order = np.argsort(corpus.person_index, kind="stable")
        found, possible = 0, 0
        for rows in np.split(order, np.flatnonzero(np.diff(corpus.person_index[order])) + 1):
            pose, shape = corpus["pose"][rows], corpus["coefficients"][rows]
            angle = np.linalg.norm(pose[:, None] - pose[None], axis=-1)
            moved = np.abs(shape[:, None] - shape[None]).mean(-1) >= EXPRESSION_APART
            wanted = moved & (angle <= POSE_ALIKE if self.same_pose else angle >= POSE_APART)
            found += int(wanted.any(1).sum())
            possible += int((moved if self.same_pose else wanted).any(1).sum())
        return found / len(corpus), possible / len(corpus)
