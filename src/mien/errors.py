"""Errors that a user can act on: each message is one sentence that says what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = [
    "BadInput",
    "ConfigError",
    "IdentityRefused",
    "MienError",
    "MissingAsset",
    "MissingDependency",
    "NoFaceFound",
]


class MienError(Exception):
    """Base of all errors mien raises on purpose; the command line prints it and exits with code 2.

    Example:
        >>> import mien
        >>> try:
        ...     mien.generate(emotion="gleeful")
        ... except mien.MienError as error:
        ...     print(error)
        There is no emotion called 'gleeful'; choose from neutral, happy, sad, surprise, fear, disgust, anger, contempt.
    """


class BadInput(MienError):
    """A picture, number or file given by the user cannot be used.

    Example:
        >>> from mien.conditions import Pose
        >>> from mien.errors import BadInput
        >>> try:
        ...     Pose(yaw=200)
        ... except BadInput as error:
        ...     print(error)
        The yaw must lie between -90 and 90 degrees, not 200.
    """


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


class IdentityRefused(BadInput):
    """The person in a picture said no to being drawn here (`mien.provenance.refusals`).

    Example:
        >>> import mien
        >>> from mien.errors import IdentityRefused
        >>> from mien.provenance import refuse_identities
        >>> undo = refuse_identities(lambda embedding, network: True)
        >>> try:
        ...     mien.generate(identity="me.jpg", steps=1)
        ... except IdentityRefused:
        ...     print("asked, and refused")
        asked, and refused
        >>> undo()
    """


class MissingDependency(MienError):
    """An optional package is not installed; the message carries the exact pip line.

    Example:
        >>> from mien.core.optional import require
        >>> from mien.errors import MissingDependency
        >>> try:
        ...     require("package_that_is_not_there", extra="studio")
        ... except MissingDependency as error:
        ...     print("pip install" in str(error))
        True
    """


class MissingAsset(MienError):
    """Weights or data files are absent; the message says where they were looked for and how to get them.

    Example:
        >>> from mien.assets import embedded
        >>> from mien.errors import MissingAsset
        >>> try:
        ...     embedded("another-model")
        ... except MissingAsset:
        ...     print("not in this package")
        not in this package
    """


class ConfigError(MienError):
    """A configuration has an unknown key, a wrong type or a value out of range.

    Example:
        >>> from mien.adapters import branch_preset
        >>> from mien.errors import ConfigError
        >>> try:
        ...     branch_preset("sd15", "smile")
        ... except ConfigError as error:
        ...     print(error)
        A branch of kind 'smile' is unknown; choose among landmarks, emotion, expression, identity.
    """


WHOLE = "the whole"
"""Where pydantic finds a problem that is of no one key."""


ABSENT = object()
"""In the place of the value of a key that should not be there."""


class Problem(NamedTuple):
    """What pydantic finds wrong first.

    Attributes:
        where: the key, dotted; `WHOLE` where it is no one key.
        what: pydantic's words, without a full stop.
        given: the value; `ABSENT` where the key itself is what is wrong.
    """

    where: str
    what: str
    given: object


def first_problem(error: ValidationError, known: Iterable[str] = ()) -> Problem:
    """The first of pydantic's findings, to be told in one sentence.

    Args:
        error: what pydantic raised.
        known: the keys that there are, for one that is not.
    """
    found = error.errors()
    # a mistyped key comes first: it is why another is missing
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    where = " ".join(
        ".".join(str(part) for part in first["loc"] if part != "[key]").split()
    )  # a key may hold a line end
    if first["type"] == "extra_forbidden":
        keys = list(known) if len(first["loc"]) == 1 else []
        return Problem(where, f"There is no such key{one_of(str(first['loc'][0]), keys)}", ABSENT)
    return Problem(where or WHOLE, first["msg"], first["input"])


def first_line(error: BaseException) -> str:
    """The first line of what an error of a library says, or its kind, for a sentence that tells it."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def one_of(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about a word that is not known: the one that was meant, or else all of them.

    Args:
        word: as typed.
        known: what could have been meant.
    """
    words = list(known)
    return did_you_mean(word, words) or (f"; choose one of: {', '.join(words)}" if words else "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A part of a sentence about a mistyped word, such as `` (did you mean 'studio'?)``; "" where nothing is near.

    Args:
        word: as typed.
        known: what could have been meant; case is ignored.
    """
    spelled = {one.lower(): one for one in known}
    near = difflib.get_close_matches(word.lower(), spelled, n=1, cutoff=0.7)
    return f" (did you mean {spelled[near[0]]!r}?)" if near else ""
