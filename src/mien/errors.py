"""Errors that a user can act on: each message is one sentence that says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pydantic import ValidationError


class MienError(Exception):
    """Base of all errors mien raises on purpose; the command line prints it and exits with code 2.

    Example:
        >>> import mien
        >>> try:
        ...     mien.generate(emotion="hapy")
        ... except mien.MienError as error:
        ...     print(error)
        There is no emotion called 'hapy'; choose from neutral, happy, sad, surprise, fear, disgust, anger, contempt.
    """


class BadInput(MienError):
    """A picture, number or file given by the user cannot be used."""


class NoFaceFound(BadInput):
    """No face was found where one is needed.

    Example:
        >>> import mien
        >>> from PIL import Image
        >>> try:
        ...     mien.generate(identity=Image.new("RGB", (64, 64)))
        ... except mien.NoFaceFound as error:
        ...     print(error)
        no face found in the picture; use a picture where one face is large, lit and unobstructed
    """


class MissingDependency(MienError):
    """An optional package is not installed; the message carries the exact pip line."""


class MissingAsset(MienError):
    """Weights or data files are absent; the message says where they were looked for and how to get them."""


class ConfigError(MienError):
    """A configuration has an unknown key, a wrong type or a value out of range."""


class Problem(NamedTuple):
    """What pydantic finds wrong first.

    Attributes:
        where: the key, dotted; ``the whole`` where it is no one key.
        what: pydantic's words, without a full stop.
        given: the value.
    """

    where: str
    what: str
    given: Any


def first_problem(error: ValidationError) -> Problem:
    """The first of pydantic's findings, to be told in one sentence."""
    first = error.errors()[0]
    where = " ".join(
        ".".join(str(part) for part in first["loc"] if part != "[key]").split()
    )  # a key may hold a line end
    return Problem(where or "the whole", first["msg"], first["input"])
