"""What a model of an evaluation is: base, adapters, and how they are used, as one JSON file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field

from mien.conditions import NullPrompt
from mien.core.io import read_json
from mien.core.strict import StrictModel
from mien.diffusion.caching import Speed
from mien.errors import ConfigError, MissingAsset, one_of
from mien.pipelines.load_options import Precision
from mien.pipelines.runs import runs_folder

if TYPE_CHECKING:
    from mien.pipelines.portrait import PortraitPipeline

_FOLDERS = ("unet", "scheduler", "lora", "controlnet", "text_encoder", "expression_encoder", "image_encoder")
"""Fields of a spec that name the folder of a network."""
_PRESET = re.compile(r"(studio|facecrafter|emojidiff)-[a-z0-9-]+")
"""Names of presets (`mien.training.presets`), as against paths."""
_PRECISIONS: Final[Mapping[str, Precision]] = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
"""A spec's name of a data type -> what bases are opened in."""
_FILES = {"few_step": "few_step.safetensors"}
"""Those that name a file, as a run exports it."""


class ModelSpec(StrictModel):
    """One model.

    Attributes:
        base: ``studio``, ``sd15``, ``sdxl``, ``arc2face``, or the folder of a base.
        adapters: branch -> adapter file in the place of the base's own, mien's or one of a published layout, or an
            asset's name; None takes a branch away.
        unet: folder of a UNet in the place of the base's, as a fine-tuning makes one.
        scheduler: folder of the noise schedule that the UNet was trained on, where it predicts something else than the
            base's; the solver stays the base's.
        lora: folder of a LoRA on the UNet, in the layout of ``load_lora_weights``.
        few_step: file of few-step weights in the place of the base's own.
        controlnet: folder of a ControlNet that reads the landmark pictures in the place of the landmarks branch, or the
            tokens of an adapter of the site ``controlnet``.
        text_encoder: folder of a text encoder in the place of the base's, as the joint stage trains one.
        null_prompt: e(0) beside such a text encoder, see :data:`mien.conditions.NullPrompt`; as it was trained.
        expression_encoder: folder of an expression encoder in the place of the base's. For this and the six above,
            the name of a preset stands for its run on this base in the user's cache, ``PRESET:FILE`` for an adapter of
            another name.
        image_encoder: folder of the CLIP image encoder that image adapters read pictures through; without one, the
            asset that fits the adapters.
        identity_mode: ``prompt`` or ``branch``, see the pipeline; None is the base's own.
        conditions: what it is told; None is whatever it has a branch for.
        scales: branch -> scale.
        guidance: condition -> guidance weight.
        steps: denoising steps; None leaves the protocol's.
        speed: ``exact``, ``fast`` or ``few``, see the pipeline.
        dtype: of the base and its branches.
        retarget: landmarks with the identity's face shape.
        animate: the picture's face is moved onto the target's landmarks after it was drawn, see `control.animation`.
        note: for people, such as the row of a paper's table.
    """

    base: str = "studio"
    adapters: dict[str, str | None] = Field(default_factory=dict)
    unet: str | None = None
    scheduler: str | None = None
    lora: str | None = None
    few_step: str | None = None
    controlnet: str | None = None
    text_encoder: str | None = None
    null_prompt: NullPrompt = "frozen"
    expression_encoder: str | None = None
    image_encoder: str | None = None
    identity_mode: Literal["prompt", "branch"] | None = None
    conditions: tuple[str, ...] | None = None
    scales: dict[str, float] = Field(default_factory=dict)
    guidance: dict[str, float] = Field(default_factory=dict)
    steps: int | None = Field(default=None, ge=1)
    speed: Speed = "exact"
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    retarget: bool = False
    animate: bool = False
    note: str = ""

    def check(self) -> None:
        """Look for every file before anything is loaded.

        Raises:
            MissingAsset: if one is missing.
        """
        for name in self.adapters:
            self.adapter_file(name)
        for part in (*_FOLDERS, *_FILES):
            self.folder(part)

    def load(self) -> PortraitPipeline:
        """The pipeline.

        Raises:
            MienError: if the base or an adapter file is missing or does not fit.
        """
        import torch

        from mien.adapters.injection import Injection
        from mien.adapters.published import read_adapter
        from mien.pipelines.image_encoder import add_image_encoder
        from mien.pipelines.load import load_pipeline
        from mien.pipelines.load_options import Loading

        # not widened afterwards: what is computed while loading, such as e(0), would be of rounded weights
        pipeline = load_pipeline(self.base, Loading(precision=_PRECISIONS[self.dtype]))
        device = pipeline.device
        if (unet := self.folder("unet")) is not None:
            from diffusers import UNet2DConditionModel

            pipeline.register_modules(unet=UNet2DConditionModel.from_pretrained(unet).float().eval())
        if (scheduler := self.folder("scheduler")) is not None:
            kind = type(pipeline.scheduler)
            trained = read_json(scheduler / "scheduler_config.json")["prediction_type"]
            pipeline.register_modules(scheduler=kind.from_config(pipeline.scheduler.config, prediction_type=trained))
        if (lora := self.folder("lora")) is not None:
            pipeline.unet.load_lora_adapter(lora, weight_name="pytorch_lora_weights.safetensors", prefix="unet")
        for name in self.adapters:
            file = self.adapter_file(name)
            if file is None:
                pipeline.adapters.pop(name, None)
            else:
                branch = next(iter(read_adapter(file, pipeline.unet, dtype=pipeline.unet.dtype).values()))
                Injection(pipeline.unet, {name: branch})  # a file of ours is read without the base
                pipeline.adapters[name] = branch
        if (few_step := self.folder("few_step")) is not None:
            from mien.pipelines.few_step import read_few_step

            pipeline.few_step = read_few_step(few_step)
        if (controlnet := self.folder("controlnet")) is not None:
            from diffusers import ControlNetModel

            pipeline.register_modules(controlnet=ControlNetModel.from_pretrained(controlnet))
        if (text_encoder := self.folder("text_encoder")) is not None:
            from transformers import CLIPTextModel

            if self.null_prompt == "frozen":
                pipeline.encode_null()
            pipeline.register_modules(text_encoder=CLIPTextModel.from_pretrained(text_encoder).float().eval())
        if (encoder := self.folder("expression_encoder")) is not None:
            from mien.faces.networks import open_expression_encoder

            pipeline.register_modules(expression_encoder=open_expression_encoder(encoder))
        add_image_encoder(pipeline, self.folder("image_encoder"))
        return pipeline.to(device=device, dtype=getattr(torch, self.dtype))  # parts of the spec's own among them

    def adapter_file(self, name: str) -> Path | None:
        """A branch's adapter file, or None where the branch is taken away.

        Raises:
            MissingAsset: if it is not there.
        """
        place = self.adapters[name]
        return None if place is None else _found(place, f"adapters/{name}.safetensors", self.base)

    @property
    def mode(self) -> str:
        """Where the identity goes: ``prompt`` or ``branch``."""
        from mien.pipelines.base_facts import base_identity_mode

        return self.identity_mode or base_identity_mode(self.base)

    def folder(self, part: str) -> Path | None:
        """Where the network (or file) is that takes the place of the base's ``text_encoder`` and so on, if one does.

        Raises:
            MissingAsset: if it is not there.
        """
        place = getattr(self, part)
        return None if place is None else _found(place, _FILES.get(part, part), self.base)

    def hashes(self, base: Mapping[str, str]) -> dict[str, str]:
        """sha256 of what pictures depend on, by its place in a model folder, from those of the base alone."""
        from mien.core.io import sha256_of
        from mien.provenance.fingerprint import model_hashes

        used = dict(base)
        for name in self.adapters:
            used.pop(f"adapters/{name}.safetensors", None)
            if (file := self.adapter_file(name)) is not None:
                used[f"adapters/{name}.safetensors"] = sha256_of(file)
        for part in _FOLDERS:
            if (folder := self.folder(part)) is not None:
                # beside a scheduler's own settings those of the base count, whose solver stays
                lone = {f"{part}/{file.name}": file for file in folder.glob("scheduler_config.json")}
                used |= model_hashes(None, lone if part == "scheduler" else {part: folder})
        if (few_step := self.folder("few_step")) is not None:
            used[_FILES["few_step"]] = sha256_of(few_step)
        if self.dtype != "float32":
            used["dtype"] = self.dtype  # no file, but pictures depend on it as on one
        return used


def run_named(place: str) -> str | None:
    """The preset whose run a place of a spec (``PRESET`` or ``PRESET:FILE``) stands for; None for a path."""
    preset = place.partition(":")[0]
    return preset if _PRESET.fullmatch(preset) else None


def _found(place: str, part: str, base: str) -> Path:
    """A file or folder that a spec names.

    Args:
        place: a path, an asset's name, or a preset, which stands for a part of its run on this base in the user's cache
            (``PRESET:FILE`` for another file).
        part: of the run.
        base: of the spec.
    """
    from mien.assets import require_asset
    from mien.assets.registry import assets

    preset, other = run_named(place), place.partition(":")[2]
    if preset is None:
        if Path(place).exists():
            return Path(place)
        if place in assets():
            return require_asset(place)
        raise MissingAsset(f"There is nothing at {place}, which a spec names; check the path.")
    path = runs_folder(base) / preset / "export" / (f"adapters/{other}.safetensors" if other else part)
    if not path.exists():
        on = "" if base == "studio" else f" --base {base}"
        raise MissingAsset(f"There is no {part} of {preset}: train it with  mien train {preset} --data FOLDER{on}.")
    return path


def load_spec(place: str) -> ModelSpec:
    """A spec that ships with mien, by its name, or a JSON file.

    Raises:
        ConfigError: if there is none, or it has unknown keys or wrong values.
    """
    shipped = shipped_specs()
    if place not in shipped and not Path(place).is_file():
        raise ConfigError(f"There is no spec {place}, and no JSON file of that name{one_of(place, shipped)}.")
    return ModelSpec.parsed(shipped[place] if place in shipped else read_json(place), place)


def shipped_specs() -> dict[str, dict[str, Any]]:
    """Name -> spec of those that ship."""
    folder = resources.files("mien.pipelines").joinpath("specs")
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".json")), key=lambda one: one.name)
    return {file.name.removesuffix(".json"): json.loads(file.read_text(encoding="utf-8")) for file in files}
