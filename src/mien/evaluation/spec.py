"""What a model of an evaluation is: base, adapters, and how they are used, as one JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mien.errors import ConfigError, MissingAsset
from mien.io import read_json

if TYPE_CHECKING:
    from mien.evaluation.control.settings import ControlSettings


class ModelSpec(BaseModel):
    """One model.

    Attributes:
        base: ``studio``, or the folder of a base.
        adapters: branch -> adapter file in the place of the base's own; None takes a branch away.
        controlnet: folder of a ControlNet that reads the landmark pictures in the place of the landmarks branch; or
            the preset that trains it, whose run in the user's cache is taken.
        text_encoder: folder of a text encoder in the place of the base's, as the joint stage trains one; e(0) stays the
            base's own.
        conditions: what it is told; None is whatever it has a branch for.
        scales: branch -> scale.
        guidance: condition -> guidance weight.
        steps: denoising steps; None leaves the protocol's.
        dtype: of the base and its branches.
        retarget: landmarks with the identity's bones.
        note: for people, such as the row of a paper's table.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str = "studio"
    adapters: dict[str, str | None] = {}
    controlnet: str | None = None
    text_encoder: str | None = None
    conditions: tuple[str, ...] | None = None
    scales: dict[str, float] = {}
    guidance: dict[str, float] = {}
    steps: int | None = Field(default=None, ge=1)
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    retarget: bool = False
    note: str = ""

    def applied(self, settings: ControlSettings) -> ControlSettings:
        """A protocol's settings, as this model runs them."""
        from dataclasses import replace

        changes: dict[str, Any] = {"scales": self.scales, "guidance": self.guidance, "retarget": self.retarget}
        if self.conditions is not None:
            changes["conditions"] = self.conditions
        if self.steps is not None:
            changes["steps"] = self.steps
        return replace(settings, **changes)

    def check(self) -> None:
        """Look for every file before anything is loaded.

        Raises:
            MissingAsset: if one is missing.
        """
        files = [*filter(None, self.adapters.values()), *([self.text_encoder] if self.text_encoder else [])]
        for place in files:
            if not Path(place).exists():
                raise MissingAsset(f"There is nothing at {place}, which a spec names; check the path.")
        if self.controlnet is not None:
            self.controlnet_folder()

    def load(self) -> Any:
        """The pipeline.

        Raises:
            MienError: if the base or an adapter file is missing or does not fit.
        """
        import torch

        from mien.adapters import load_adapter
        from mien.generate import load_pipeline

        pipeline = load_pipeline(self.base)
        for name, file in self.adapters.items():
            if file is None:
                pipeline.adapters.pop(name, None)
            else:
                pipeline.adapters[name] = next(iter(load_adapter(file).values()))
        if self.controlnet is not None:
            from diffusers import ControlNetModel

            pipeline.register_modules(controlnet=ControlNetModel.from_pretrained(self.controlnet_folder()))
        if self.text_encoder is not None:
            from transformers import CLIPTextModel

            pipeline.encode_null()
            pipeline.register_modules(text_encoder=CLIPTextModel.from_pretrained(self.text_encoder).float().eval())
        return pipeline.to(dtype=getattr(torch, self.dtype))

    def controlnet_folder(self) -> Path:
        """Where the ControlNet is.

        Raises:
            MissingAsset: if it is not there.
        """
        from mien.training.run import runs_folder

        place = str(self.controlnet)
        folders = [Path(place), runs_folder() / place / "export" / "controlnet"]
        for folder in folders:
            if (folder / "config.json").is_file():
                return folder
        raise MissingAsset(f"There is no ControlNet in {place}: train it with  mien train {place} --data FOLDER.")


def load_spec(place: str) -> ModelSpec:
    """A spec that ships with mien, by its name, or a JSON file.

    Raises:
        ConfigError: if there is none, or it has unknown keys or wrong values.
    """
    shipped = shipped_specs()
    if place not in shipped and not Path(place).is_file():
        raise ConfigError(f"There is no spec {place}; give a JSON file, or one of: {', '.join(shipped)}.")
    try:
        return ModelSpec.model_validate(shipped[place] if place in shipped else read_json(place))
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{place}: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from error


def shipped_specs() -> Mapping[str, Any]:
    """Name -> spec of those that ship."""
    folder = resources.files("mien.evaluation").joinpath("specs")
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".json")), key=lambda one: one.name)
    import json

    return {file.name.removesuffix(".json"): json.loads(file.read_text(encoding="utf-8")) for file in files}
