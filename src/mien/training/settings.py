"""Typed settings that refuse unknown keys and still take the names of the release before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from mien.errors import ConfigError, first_problem


class Settings(BaseModel):
    """Settings of a run or of its objective.

    Attributes:
        former_names: name in 0.1.0 -> name now; accepted for one release in files, presets and ``--set``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    former_names: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _rename(cls, values: Any) -> Any:
        return cls.renamed(values) if isinstance(values, Mapping) else values

    @classmethod
    def renamed(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The same settings under the names they have now.

        Raises:
            ValueError: if one is given under both of its names.
        """
        found: dict[str, Any] = {}
        for name, value in values.items():
            current = cls.former_names.get(name, name)
            if current in found:
                raise ValueError(f"{current} is given twice, also as {_other(name, current, values)}")
            found[current] = value
        return found

    @classmethod
    def checked(cls, values: Mapping[str, Any], of: str) -> Self:
        """The settings in a mapping.

        Args:
            values: setting -> value.
            of: what they belong to, for the message.

        Raises:
            ConfigError: for an unknown setting, or a value that does not fit.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            where, what, _ = first_problem(error)
            what = what.removeprefix("Value error, ")
            if where == "the whole":
                raise ConfigError(f"The settings of {of} do not fit together: {what}.") from error
            raise ConfigError(f"Setting '{where}' of {of} is wrong: {what}.") from error


def _other(name: str, current: str, values: Mapping[str, Any]) -> str:
    return name if name != current else next(key for key in values if key != name)
