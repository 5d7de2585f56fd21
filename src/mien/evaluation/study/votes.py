"""Votes on disk: one JSON line each, written through before the participant is told that it counts."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from mien.errors import BadInput

FILE = "votes.jsonl"


@dataclass(frozen=True)
class Vote:
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
    """The votes of a study; safe for several threads of one process.

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
        self._load()

    def _load(self) -> None:
        if not self._path.exists():
            return
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                vote = Vote(**json.loads(line))
            except (TypeError, ValueError) as error:
                raise BadInput(f"{self._path}, line {number} is no vote; mend or remove the line.") from error
            self._votes[vote.participant, vote.question, vote.set] = vote
        if len(whole) < len(content):
            with self._path.open("r+b") as stream:
                stream.truncate(len(whole))

    def add(self, vote: Vote) -> bool:
        """Keep a vote; False (and nothing kept) where this participant has decided this set before."""
        key = (vote.participant, vote.question, vote.set)
        with self._lock:
            if key in self._votes:
                return False
            with self._path.open("ab") as stream:
                stream.write(json.dumps(asdict(vote)).encode() + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
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
