"""Typed settings that refuse unknown keys and still take the names of the release before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import model_validator

from mien.core.strict import StrictModel


class Settings(StrictModel):
    """Settings of a run or of its objective.

    Attributes:
        former_names: name in 0.1.0 -> name now; accepted for one release in files, presets and ``--set``.
    """

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


def _other(name: str, current: str, values: Mapping[str, Any]) -> str:
    return name if name != current else next(key for key in values if key != name)
