"""Pairs of pictures of one person: which picture shows who it is when another is to be drawn (FaceCrafter sec. 3.2)."""

from __future__ import annotations

import logging

import numpy as np

from mien.data.corpus import Corpus
from mien.errors import BadInput

log = logging.getLogger(__name__)
CANDIDATES = 4
"""Pictures of which the nearest in pose is taken where no partner is of the wanted kind (*inferred*)."""
POSE_APART, POSE_ALIKE = 5.0, 10.0
"""Degrees between two poses from which they count as different, and up to which as the same (*inferred*)."""
EXPRESSION_APART = 0.01
"""Mean difference of the coefficients from which two expressions count as different (*inferred*)."""
SHAPES_APART = 0.03
"""The same of MediaPipe's blendshapes, where a picture has no coefficients (*inferred*: reading a face twice differs by
0.0135, two people at rest by 0.046)."""
ENOUGH = 0.5
"""Share of pictures with a partner below which a dataset is warned about."""
_CHUNK = 256
"""Rows that are compared with all pictures of their people at once."""


class Pairs:
    """Draws the partner of a picture: another one of the same person.

    Landmark pre-training wants a partner of another pose and another expression, emotion pre-training one of another
    expression at the same pose; all partners of that kind are as likely. A picture without one is paired with any other
    of the person, or where the pose is to be the same with the nearest in pose of some (*inferred*).

    Args:
        corpus: the pictures.
        same_pose: partners of nearly the same pose.

    Raises:
        BadInput: if no picture has a partner of another expression (and, unless ``same_pose``, another pose).
    """

    def __init__(self, corpus: Corpus, same_pose: bool = False) -> None:
        self.corpus, self.same_pose = corpus, same_pose
        self._pose = corpus.poses
        rendered = not corpus.missing("coefficients").any()
        self._expression = corpus["coefficients" if rendered else "blendshapes_mediapipe"]
        self._apart = EXPRESSION_APART if rendered else SHAPES_APART
        share, possible = self.shares()
        wanted = "another expression at the same pose" if same_pose else "another pose and expression"
        if possible == 0:
            raise BadInput(
                f"No person in {corpus.folder} has two pictures that differ enough: this stage draws one with {wanted} "
                "than the other. Add a dataset with several pictures of each person (mien data join)."
            )
        if share < ENOUGH:
            log.warning(
                "only %.0f %% of the pictures in %s have a partner with %s; the others are paired with what is there",
                100 * share, corpus.folder, wanted,
            )  # fmt: skip

    def partners(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A row of the same person for each row [B]; the row itself where the person has no other picture."""
        others, first, moved, posed = self._compared(rows)
        wanted = moved & posed
        count = np.add.reduceat(wanted, first, dtype=np.int64)
        chosen = np.cumsum(count) - count + rng.integers(0, np.maximum(count, 1))
        there = count > 0
        found = np.empty(len(rows), np.int64)
        found[there] = others[wanted][chosen[there]]
        found[~there] = self._another(rows[~there], rng)
        return found

    def shares(self) -> tuple[float, float]:
        """Shares of the pictures that have a partner of the wanted kind, and of the wanted kind at whatever pose."""
        number, found, possible = len(self.corpus), 0, 0
        for start in range(0, number, _CHUNK):
            _, first, moved, posed = self._compared(np.arange(start, min(start + _CHUNK, number)))
            wanted = moved & posed
            found += int(np.logical_or.reduceat(wanted, first).sum())
            possible += int(np.logical_or.reduceat(moved if self.same_pose else wanted, first).sum())
        return found / number, possible / number

    def _compared(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """All pictures of the person of each row, end to end [K], and where those of a row begin [B].

        Also bool [K]: which have another expression than the row, and which are posed as is wanted.
        """
        others, count = self.corpus.all_of_person(rows)
        own = np.repeat(rows, count)
        angle = np.linalg.norm(self._pose[others] - self._pose[own], axis=-1)
        moved = np.abs(self._expression[others] - self._expression[own]).mean(-1) >= self._apart
        return others, np.cumsum(count) - count, moved, angle <= POSE_ALIKE if self.same_pose else angle >= POSE_APART

    def _another(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Partners of rows [B] that have none of the wanted kind."""
        if not self.same_pose:
            return self.corpus.same_person(rows, rng)
        options = np.stack([self.corpus.same_person(rows, rng) for _ in range(CANDIDATES)])
        distance = np.linalg.norm(self._pose[options] - self._pose[rows], axis=-1)
        return options[distance.argmin(0), np.arange(len(rows))]
