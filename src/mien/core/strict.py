"""The one base of values that come from users and files: unknown keys are refused, a misfit is one sentence."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from mien.errors import ABSENT, WHOLE, BadInput, ConfigError, MienError, first_problem


class StrictModel(BaseModel):
    """Typed values that refuse unknown keys, are finite where they are numbers, and cannot be set anew."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def checked(cls, **values: Any) -> Self:
        """What somebody asks for.

        Raises:
            BadInput: for an unknown key, or a value that does not fit.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            where, what, given = first_problem(error, cls.model_fields)
            value = "" if given is ABSENT else f", not {given!r}"
            raise BadInput(f"{where}: {what[0].lower()}{what[1:]}{value}.") from error

    @classmethod
    def parsed(cls, values: object, of: object, error: type[MienError] = ConfigError) -> Self:
        """What a file holds.

        Args:
            values: the values by name; JSON as text or bytes.
            of: the file, or what else they belong to, for the message.
            error: what is raised.

        Raises:
            MienError: of the type ``error``, for an unknown key, or a value that does not fit.
        """
        try:
            return cls.model_validate_json(values) if isinstance(values, str | bytes) else cls.model_validate(values)
        except ValidationError as found:
            where, what, _ = first_problem(found, cls.model_fields)
            place = of if where == WHOLE else f"{of}: {where}"
            raise error(f"{place}: {what.removeprefix('Value error, ')}.") from found
