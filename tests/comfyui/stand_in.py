"""A small stand-in for the part of ComfyUI's interface that the nodes use, for machines without ComfyUI."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from torch import nn

from mien.adapters.blocks import attention_modules


class Port:
    """An input or output of a schema; like the original it refuses words that it does not know."""

    KNOWN = frozenset(
        ("default", "min", "max", "step", "options", "tooltip", "optional", "multiline", "control_after_generate",
         "display_name")
    )  # fmt: skip

    def __init__(self, name: str | None = None, **words: Any) -> None:
        assert set(words) <= self.KNOWN, set(words) - self.KNOWN
        self.id, self.words = name, words


class Schema:
    """Of a node."""

    def __init__(self, node_id: str, display_name: str, category: str, description: str, inputs: list[Port],
                 outputs: list[Port], is_output_node: bool = False) -> None:  # fmt: skip
        names = [one.id for one in (*inputs, *outputs) if one.id is not None]
        assert len(names) == len(set(names)), "Ids must be unique between inputs and outputs"
        self.node_id, self.inputs, self.outputs = node_id, inputs, outputs
        self.display_name, self.category, self.description = display_name, category, description


class NodeOutput:
    """What a node gives."""

    def __init__(self, *args: Any, ui: Any = None) -> None:
        self.args, self.ui = args, ui


class Patcher:
    """``ModelPatcher``: options that are copied with the model, and patches."""

    def __init__(self, diffusion_model: Any) -> None:
        self.model = SimpleNamespace(diffusion_model=diffusion_model)
        self.model_options: dict[str, Any] = {"transformer_options": {}}
        self.patches: dict[str, Any] = {}
        self.post: list[Any] = []

    def clone(self) -> Patcher:
        """A copy; the patches themselves are shared, as theirs are by `__deepcopy__`."""
        made = Patcher(self.model.diffusion_model)
        options = self.model_options["transformer_options"]
        replaced = {name: dict(one) for name, one in options.get("patches_replace", {}).items()}
        made.model_options = {"transformer_options": {**options, "patches_replace": replaced}}
        made.patches, made.post = dict(self.patches), list(self.post)
        return made

    def get_model_object(self, name: str) -> Any:
        """The noise schedule: a sigma for each share of the sampling."""
        assert name == "model_sampling"
        return SimpleNamespace(percent_to_sigma=lambda percent: 1e9 if percent <= 0 else 10 * (1 - percent))

    def set_model_attn1_replace(self, patch: Any, *place: Any) -> None:
        """Replace a self-attention."""
        self._replace("attn1", patch, place)

    def set_model_attn2_replace(self, patch: Any, *place: Any) -> None:
        """Replace a cross-attention."""
        self._replace("attn2", patch, place)

    def _replace(self, name: str, patch: Any, place: tuple[Any, ...]) -> None:
        options = self.model_options["transformer_options"]
        options.setdefault("patches_replace", {}).setdefault(name, {})[place] = patch

    def set_model_sampler_post_cfg_function(self, function: Any) -> None:
        """Called with the guided result."""
        self.post.append(function)

    def add_patches(self, patches: dict[str, Any], strength: float) -> None:
        """Of weights."""
        self.patches |= {name: (patch, strength) for name, patch in patches.items()}


def in_comfy_layout(unet: Any) -> Any:
    """A diffusers UNet's attention layers where ComfyUI has them; everything else is left empty."""
    layers = unet.config.layers_per_block
    levels = len(unet.config.block_out_channels)
    blocks = {"input": levels * (layers + 1), "output": levels * (layers + 1)}
    made: Any = SimpleNamespace(
        num_res_blocks=[layers] * levels,
        input_blocks=[[SimpleNamespace()] for _ in range(blocks["input"])],
        output_blocks=[[SimpleNamespace()] for _ in range(blocks["output"])],
        middle_block=[SimpleNamespace()],
    )
    for key, module in attention_modules(unet):
        words = key.split("/")
        if words[0] == "mid_block":
            block = made.middle_block
        else:
            level, j = int(words[1]), int(words[3])
            block = made.input_blocks[1 + level * (layers + 1) + j] if words[0] == "down_blocks" else (
                made.output_blocks[level * (layers + 1) + j])  # fmt: skip
        if len(block) == 1:
            block.append(SimpleNamespace(transformer_blocks=[]))
        transformers = block[1].transformer_blocks
        index = int(words[words.index("transformer_blocks") + 1])
        if len(transformers) == index:
            transformers.append(SimpleNamespace())
        heads: Any = module.heads
        layer = SimpleNamespace(heads=heads, dim_head=module.inner_dim // heads, to_k=module.to_k, to_q=module.to_q)
        setattr(transformers[index], words[-1], layer)
    return made


def install(monkeypatch: pytest.MonkeyPatch, models: Path) -> None:
    """Modules of ComfyUI's names, for the time of a test."""

    def module(name: str, **content: Any) -> ModuleType:
        made = ModuleType(name)
        made.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, made)
        return made

    def kind(name: str) -> Any:
        return type(name, (), {"Input": Port, "Output": Port})

    io = SimpleNamespace(Schema=Schema, NodeOutput=NodeOutput, ComfyNode=object, Custom=kind)
    for name in ("Image", "Combo", "String", "Int", "Float", "Boolean", "Model", "Mask", "ClipVision"):
        setattr(io, name, kind(name))
    ui = SimpleNamespace(PreviewImage=lambda image, cls=None: image)

    class Extension:
        """``ComfyExtension``."""

    def attention(query: Any, key: Any, value: Any, heads: int, attn_precision: Any = None) -> Any:
        shape = (len(query), -1, heads, query.shape[-1] // heads)
        parts = [one.reshape(shape).transpose(1, 2) for one in (query, key, value)]
        return nn.functional.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)

    bar = type("ProgressBar", (), {"__init__": lambda *_: None, "update_absolute": lambda *_: None})
    known: dict[str, Any] = {}
    module("comfy_api")
    module("comfy_api.latest", io=io, ui=ui, ComfyExtension=Extension)
    parts = {
        "comfy.ldm.modules.attention": {"optimized_attention": attention},
        "comfy.model_management": {"load_model_gpu": lambda *_: None},
        "comfy.samplers": {"calc_cond_batch": None},
        "comfy.utils": {"ProgressBar": bar},
    }
    for name in ("comfy", "comfy.ldm", "comfy.ldm.modules"):
        module(name)
    for name, content in parts.items():
        made = module(name, **content)
        above, _, own = name.rpartition(".")
        setattr(sys.modules[above], own, made)
    sys.modules["comfy"].ldm = sys.modules["comfy.ldm"]  # type: ignore[attr-defined]
    sys.modules["comfy.ldm"].modules = sys.modules["comfy.ldm.modules"]  # type: ignore[attr-defined]
    module(
        "folder_paths",
        models_dir=str(models),
        folder_names_and_paths=known,
        get_filename_list=lambda name: sorted(file.name for file in Path(known[name][0][0]).glob("*.safetensors")),
        get_full_path_or_raise=lambda name, file: str(Path(known[name][0][0]) / file),
    )
    monkeypatch.delitem(sys.modules, "comfyui.nodes", raising=False)
