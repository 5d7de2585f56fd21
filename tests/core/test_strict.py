"""The base of typed values: what it refuses, and how it says so."""

from __future__ import annotations

import pytest
from pydantic import Field, ValidationError, model_validator

from mien.core.strict import StrictModel
from mien.errors import BadInput, ConfigError


class Sizes(StrictModel):
    width: int = Field(gt=0)
    height: int = 1

    @model_validator(mode="after")
    def _is_flat(self) -> Sizes:
        if self.height > self.width:
            raise ValueError("it is higher than wide")
        return self


def test_what_is_asked_for_is_refused_with_the_value() -> None:
    assert Sizes.checked(width=2) == Sizes(width=2)
    with pytest.raises(BadInput, match=r"^width: input should be greater than 0, not 0\.$"):
        Sizes.checked(width=0)
    with pytest.raises(BadInput, match="depth"):
        Sizes.checked(width=1, depth=1)
    with pytest.raises(BadInput, match=r"^widht: there is no such key \(did you mean 'width'\?\)\.$"):
        Sizes.checked(widht=1)


class Rate(StrictModel):
    value: float = 1.0


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400"])
def test_numbers_are_finite(value: str) -> None:
    """``--set max_grad_norm=nan`` was taken, and trained weights that are not finite."""
    with pytest.raises(BadInput, match=r"^value: input should be a finite number, not"):
        Rate.checked(value=float(value))
    for text in (value, f'"{value}"'):
        with pytest.raises(ConfigError, match=r"^a\.json:"):
            Rate.parsed(f'{{"value": {text}}}', "a.json")


@pytest.mark.parametrize("values", ['{"width": 2}', b'{"width": 2}', {"width": 2}])
def test_a_file_is_read_from_json_or_values(values: object) -> None:
    assert Sizes.parsed(values, "a.json") == Sizes(width=2)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ('{"width": 0}', r"^a\.json: width: Input should be greater than 0\.$"),
        ('{"width": ', r"^a\.json: Invalid JSON"),
        ([1], r"^a\.json: Input should be a valid dictionary"),
        ({"width": 1, "depth": 1}, r"^a\.json: depth: There is no such key; choose one of: width, height\.$"),
        ({"width": 1, "height": 2}, r"^a\.json: it is higher than wide\.$"),
    ],
)
def test_a_file_is_refused_by_its_name(values: object, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Sizes.parsed(values, "a.json")
    with pytest.raises(BadInput, match=sentence):
        Sizes.parsed(values, "a.json", BadInput)


def test_values_stay_as_they_are() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Sizes(width=1).width = 2  # type: ignore[misc]
