"""What a branch is built from, as an adapter file states it: types and ranges, checked before anything is built."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from mien.adapters.blocks import Site
from mien.adapters.branch import Null
from mien.adapters.encoders import Kind
from mien.core.strict import StrictModel

Width = Annotated[int, Field(ge=1, le=2**16)]
"""A number of channels, tokens or heads; no network known is a tenth as wide."""
_DEPTHS = ("depth", "residuals")
"""Settings of encoders that say how many layers there are."""


class _Checked(StrictModel):
    model_config = ConfigDict(strict=True)  # no number is read from a text


class LowRankSettings(_Checked):
    """See `mien.adapters.low_rank.build_low_rank`."""

    rank: Width
    blocks: dict[str, list[Width]]


class BranchSettings(_Checked):
    """The arguments of `mien.adapters.Branch`, which says what they mean."""

    kind: Kind
    blocks: dict[str, Annotated[list[Width], Field(min_length=3, max_length=3)]]
    token_dim: Width
    name: str | None = None
    null: Null = "cut"
    site: Site = "parallel"
    encoder_config: dict[str, Any] | None = None
    local: bool = False
    lora: LowRankSettings | None = None

    @model_validator(mode="after")
    def _sizes_are_possible(self) -> BranchSettings:
        for name, value in (self.encoder_config or {}).items():
            numbers = value if isinstance(value, list) else [value]
            most = 64 if name in _DEPTHS else 2**16
            for number in numbers:
                if not isinstance(number, int | float | str | None) or len(numbers) > most:
                    raise ValueError(f"encoder_config.{name} is no setting")
                if isinstance(number, int | float) and not 0 <= number <= most:
                    raise ValueError(f"encoder_config.{name} must lie between 0 and {most}")
        return self
