"""Loading and saving a portrait pipeline: its components, its adapters, and what few-step mode draws with."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, Self

import torch
from diffusers import DiffusionPipeline
from diffusers.pipelines import pipeline_utils
from torch import nn

from mien.adapters.branch import Branch
from mien.assets import embedded
from mien.core.weights import read_weights
from mien.pipelines.adapters_folder import load_adapters, save_adapters
from mien.pipelines.few_step import FILE as FEW_STEP
from mien.pipelines.few_step import FewStepLora, read_few_step, save_few_step
from mien.pipelines.hub import fetch_ours
from mien.pipelines.text import Text

NULL_TEXT = "null_text.safetensors"
"""File of a model folder whose text encoder was trained: the states of e(0) from before."""
EMBEDDED = ("studio",)
"""Names of the bases that ship with the package."""


class PipelineFiles(DiffusionPipeline):
    """What a portrait pipeline adds to the files of a diffusers pipeline.

    Attributes:
        adapters: name -> branch.
        few_step: what the speed ``few`` draws with, where it is not read from the folder.
        folder: the model folder; None where the parts lie apart. With ``parts`` it is hashed for a picture's record.
        parts: name -> file or folder, for parts that lie elsewhere.
    """

    adapters: dict[str, Branch]
    few_step: FewStepLora | None
    folder: Path | None
    parts: dict[str, Path]
    _null_prompts: dict[tuple[str, int], Text]

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | PathLike[str], **kwargs: Any) -> Self:
        """Load a pipeline, with the adapters in its ``adapters/`` folder.

        Args:
            pretrained_model_name_or_path: ``"studio"`` for the embedded weights, a folder, or a name on the hub. Of a
                model of ours there, all JSON, text and safetensors files are fetched.
            **kwargs: as for ``DiffusionPipeline.from_pretrained``; ``adapters`` replaces those of the folder;
                ``torch_dtype`` (or ``dtype``) is float32 unless given.

        Raises:
            MissingAsset: if the embedded weights are not installed.
            OSError: if there is neither such a folder nor such a model on the hub.
        """
        # model_index.json names these two modules; diffusers finds a class only in a module that is already imported
        import mien.faces.networks.expression
        import mien.models.autoencoder  # noqa: F401

        name = str(pretrained_model_name_or_path)
        folder = embedded(name) if name in EMBEDDED else Path(name)
        if not folder.is_dir():
            folder = fetch_ours(name, kwargs) or folder
        adapters = kwargs.pop("adapters", None)
        # transformers keeps the precision of the file and diffusers does not: half-precision files would mix the two
        dtype = kwargs.pop("torch_dtype", None) or kwargs.pop("dtype", None) or torch.float32
        kwargs[_DTYPE] = dtype
        pipeline = super().from_pretrained(folder if folder.is_dir() else name, **kwargs)
        if folder.is_dir():
            pipeline.use_folder(folder)
        if adapters is not None:
            pipeline.adapters = dict(adapters)
        return pipeline

    def use_folder(self, folder: Path) -> None:
        """Take the adapters (and, when needed, the few-step weights) from a model folder, which records will name."""
        self.folder = folder
        self.adapters = load_adapters(folder, self.unet.dtype)
        if (folder / NULL_TEXT).is_file():
            states = read_weights(folder / NULL_TEXT)[1]["states"]
            self._null_prompts["", 1] = Text(states.to(self.unet.device, self.unet.dtype))

    def save_pretrained(self, save_directory: str | PathLike[str], *args: Any, **kwargs: Any) -> None:
        """Save all components, each adapter to ``adapters/<name>.safetensors``, and what few-step mode draws with."""
        # first, because diffusers' own uploads the folder (push_to_hub) as soon as its components are in it
        save_adapters(Path(save_directory), self.adapters)
        if self.has_few_steps:
            lora = self.few_step_weights()
            save_few_step(Path(save_directory) / FEW_STEP, lora.tensors, lora.settings)
        super().save_pretrained(str(save_directory), *args, **kwargs)

    @property
    def has_few_steps(self) -> bool:
        """Whether there is what the speed ``few`` draws with."""
        return self.few_step is not None or (self.folder is not None and (self.folder / FEW_STEP).is_file())

    def few_step_weights(self) -> FewStepLora:
        """What the speed ``few`` draws with, read once.

        Raises:
            MissingAsset: if this base has none.
            ConfigError: if its file cannot be read.
        """
        if self.few_step is None:
            self.few_step = read_few_step(None if self.folder is None else self.folder / FEW_STEP)
        return self.few_step

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move the components and the adapters; arguments as for ``DiffusionPipeline.to``."""
        pipeline = super().to(*args, **kwargs)
        for branch in pipeline.adapters.values():
            nn.Module.to(branch, pipeline.unet.device, pipeline.unet.dtype)
        return pipeline

    def _name_tokenizer(self, part: str) -> None:
        """Register a tokenizer under the older name that transformers 4 and 5 both load."""
        if self.config[part][1] == "TokenizersBackend":  # transformers 5's own
            self.register_to_config(**{part: ("transformers", "PreTrainedTokenizerFast")})


# diffusers renamed torch_dtype to dtype, and warns of the old name
_DTYPE = "dtype" if hasattr(pipeline_utils, "_resolve_dtype") else "torch_dtype"
