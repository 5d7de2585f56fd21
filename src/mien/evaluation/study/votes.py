"""Votes on disk: one JSON line each, written through before the participant is told that it counts."""

from __future__ import annotations

import threading
from pathlib import Path

from mien.core.log import append_line, read_lines
from mien.core.strict import StrictModel
from mien.errors import BadInput

FILE = "votes.jsonl"


class Vote(StrictModel):
    """One choice.

    Attributes:
        participant: the random token a browser was given; nothing else about a person is kept.
        question, set: indices in the study.
        choice: the chosen method.
    """

    participant: str
    question: int
    set: int
    choice: str


class Votes:
    """The votes of a study; safe for several threads of the one process that adds to them.

    Args:
        folder: the study. A line that was cut off when a machine stopped is dropped; its participant was not told that
            it counts.

    Raises:
        BadInput: if a whole line of the file is no vote.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._lock = threading.Lock()
        self._votes: dict[tuple[str, int, int], Vote] = {}
        for number, line in enumerate(read_lines(self._path), 1):
            vote = Vote.parsed(line, f"{self._path}, line {number} is no vote, mend or remove the line", BadInput)
            self._votes[vote.participant, vote.question, vote.set] = vote

    def add(self, vote: Vote) -> bool:
        """Keep a vote; False (and nothing kept) where this participant has decided this set before.

        Raises:
            MienError: if it cannot be written; nothing is kept then.
        """
        key = (vote.participant, vote.question, vote.set)
        with self._lock:
            if key in self._votes:
                return False
            append_line(self._path, vote.model_dump())
            self._votes[key] = vote
            return True

    def of(self, participant: str) -> dict[tuple[int, int], str]:
        """(question, set) -> choice of one participant."""
        with self._lock:
            return {key[1:]: vote.choice for key, vote in self._votes.items() if key[0] == participant}

    def all(self) -> list[Vote]:
        """Every vote, in the order in which they came."""
        with self._lock:
            return list(self._votes.values())
