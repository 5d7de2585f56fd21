"""Names of face readers, as ``--reader`` takes them."""

from __future__ import annotations

from mien.errors import BadInput

READERS = ("auto", "mediapipe-torch", "mediapipe", "studio", "uniface", "antelopev2")
NETWORKS = ("arcface", "auraface", "facenet", "emotieff", "emonet", "smirk", "emoca")
"""Networks that read a face which a reader has found (`mien.faces.published.networks`)."""


def reader_names(text: str) -> tuple[str, ...]:
    """The names in ``READER[+NAME...]``: the reader that finds faces, and who adds to what it tells.

    Raises:
        BadInput: for a name that there is not, or at a place where it cannot stand.
    """
    first, *others = names = tuple(text.split("+"))
    if first not in READERS:
        raise BadInput(f"There is no reader called {first!r}; choose {', '.join(READERS)}.")
    further = (*READERS[1:], *NETWORKS)
    for name in others:
        if name not in further:
            raise BadInput(f"The reader {first} cannot be joined by {name!r}; choose of {', '.join(further)}.")
    return names
