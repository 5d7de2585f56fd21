"""What is wrong with a request: a sentence, and the field that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from mien.errors import ABSENT, BadInput, MienError, first_problem
from mien.generation.request import GenerateRequest

WHOLE = ""
"""The field of a problem that belongs to no one field."""


class FieldProblem(MienError):
    """A value that cannot be used.

    Args:
        field: its name in the request; `WHOLE` where it is the combination of several.
        sentence: what is wrong and what to do.
    """

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class Refused(MienError):
    """A request that would be fine at another time.

    Args:
        sentence: why.
        seconds: after which to try again.
    """

    def __init__(self, sentence: str, seconds: float) -> None:
        super().__init__(sentence)
        self.seconds = seconds


def checked_request(values: Mapping[str, Any]) -> GenerateRequest:
    """A `GenerateRequest`, or the field that stands in its way.

    Raises:
        FieldProblem: with pydantic's or our own sentence.
    """
    try:
        return GenerateRequest.model_validate(dict(values))
    except ValidationError as error:
        where, what, given = first_problem(error, GenerateRequest.model_fields)
        given = "" if given is ABSENT or isinstance(given, dict | list | tuple) else f", not {given!r}"
        raise FieldProblem(where.partition(".")[0], f"{where}: {what[0].lower()}{what[1:]}{given}.") from error
    except BadInput as error:
        raise FieldProblem(_field_of(error, values), str(error)) from error


def _field_of(error: BadInput, values: Mapping[str, Any]) -> str:
    """The field that is refused for the same reason when it stands alone."""
    for name, value in values.items():
        try:
            GenerateRequest.model_validate({"prompt": "portrait"} | {name: value})
        except BadInput as alone:
            if str(alone) == str(error):
                return name
        except ValidationError:
            continue
    return WHOLE
