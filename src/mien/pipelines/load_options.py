"""How a base is loaded: what is added to it, its precision and where it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from mien.core.strict import StrictModel
from mien.errors import BadInput

Precision = Literal["auto", "fp32", "fp16", "bf16"]
Device = Literal["auto", "cpu", "cuda", "mps"]

_RECORDED = frozenset({"precision", "tiling"})
"""What of the loading a record keeps besides the weights of LoRA files."""


class Lora(StrictModel):
    """A LoRA file and its weight."""

    file: Path
    weight: float = Field(default=1.0, ge=-10, le=10)


class Loading(StrictModel):
    """How a base is loaded.

    Attributes:
        adapters: files, or names of assets, of adapters that are added to the base's own; one of a kind that the base
            has takes its place.
        image_encoder: folder of the CLIP image encoder for adapters that read pictures through one; the asset that fits
            them when None.
        loras: LoRA files in the layouts that diffusers reads.
        precision: of the weights; ``auto`` is float16 on a GPU for a base of full size, else float32.
        device: ``auto`` is a GPU where there is one; Apple's for a base of full size only.
        offload: keep on the GPU only the network that is at work.
        tiling: encode and decode pictures in tiles, one at a time.
    """

    adapters: tuple[str, ...] = ()
    image_encoder: Path | None = None
    loras: tuple[Lora, ...] = ()
    precision: Precision = "auto"
    device: Device = "auto"
    offload: bool = False
    tiling: bool = False

    def settings(self) -> dict[str, Any]:
        """What a record keeps of it: what may change bits, without paths, which often name people."""
        weights = {"lora_weights": [lora.weight for lora in self.loras]} if self.loras else {}
        return self.model_dump(include=set(_RECORDED), exclude_defaults=True) | weights

    def repeated(self, recorded: Mapping[str, Any]) -> Loading:
        """This, with what a record kept: to draw the same picture again.

        Raises:
            BadInput: if the record names another number of LoRA files, or settings that cannot be.
        """
        kept = dict(recorded) if isinstance(recorded, Mapping) else {"loading": recorded}
        weights = kept.pop("lora_weights", [])
        if not isinstance(weights, list) or not kept.keys() <= _RECORDED:
            raise BadInput("The picture's record describes its loading in a way that this mien does not know.")
        if len(weights) != len(self.loras):
            raise BadInput(f"The picture was made with {len(weights)} LoRA files: give them again, in their order.")
        loras = [{"file": one.file, "weight": weight} for one, weight in zip(self.loras, weights, strict=True)]
        return Loading.checked(**{**dict(self), **kept, "loras": loras})


def loras_of(words: Sequence[str]) -> tuple[Lora, ...]:
    """LoRA files of words such as ``style.safetensors`` or ``style.safetensors:0.7``.

    Raises:
        BadInput: if a weight is not a number from -10 to 10.
    """
    found = []
    for word in words:
        path, colon, number = word.rpartition(":")
        if not colon or Path(word).is_file():
            found.append(Lora(file=Path(word)))
            continue
        try:
            found.append(Lora(file=Path(path), weight=float(number)))
        except ValueError as error:
            raise BadInput(f"Write --lora as FILE or FILE:WEIGHT (-10 to 10), not {word!r}.") from error
    return tuple(found)
