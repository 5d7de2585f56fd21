"""Adapter files of others: IP-Adapter, IP-Adapter-FaceID and Arc2Face's expression adapter.

All have IP-Adapter's layout: ``image_proj`` turns a condition into tokens, and ``ip_adapter`` holds, by the number of
the attention processor in the UNet's order (self-attention counts too, the middle block comes last), a key and a value
projection of each cross-attention, and in FaceID's files low-rank updates of every attention. Which of the five
projections it is shows in the names, as in diffusers' own reader.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mien.adapters.blocks import attention_modules, describe_unet
from mien.adapters.branch import Branch
from mien.adapters.encoders import Kind
from mien.adapters.files import FORMAT, load_adapter
from mien.adapters.low_rank import LINEARS
from mien.core.weights import check_finite, is_safetensors, read_metadata, read_weights
from mien.errors import ConfigError, MienError, MissingAsset, first_line

PARTS = ("image_proj", "ip_adapter")
FACE_EMBEDDING = 512
"""Width of a face embedding: an MLP of another width reads an expression (Arc2Face's: 50 of FLAME, eyelids, jaw)."""
Weights = dict[str, Tensor]


class Layout(NamedTuple):
    """A projection as found in a file.

    Attributes:
        kind: what it reads.
        token_dim: D.
        settings: of the branch's encoder, with its ``type``.
        weights: of the branch's encoder.
    """

    kind: Kind
    token_dim: int
    settings: dict[str, Any]
    weights: Weights


def read_adapter(
    path: Path | str, unet: nn.Module, *, kind: Kind | None = None, dtype: torch.dtype | None = torch.float32
) -> dict[str, Branch]:
    """Read the branches of a file of mien's, or of one of the published layouts, in evaluation mode.

    Args:
        path: a ``.safetensors`` file, or a ``.bin`` or ``.pt`` file, of which only tensors are unpickled.
        unet: the base it was made for; only its widths are read, so it may be on the meta device.
        kind: what the branch of a published file reads, where its layout would say something else.
        dtype: of the parameters; as stored when None.

    Returns:
        name -> branch; a published file gives one branch, named by its kind, with ``null="zeros"``.

    Raises:
        MissingAsset: if the file is absent.
        ConfigError: if it has no layout that is known, or was made for another base.

    Example:
        >>> import torch
        >>> from diffusers import UNet2DConditionModel
        >>> from mien.adapters import preset_branch, read_adapter, save_adapter, unet_config
        >>> with torch.device("meta"):
        ...     unet = UNet2DConditionModel.from_config(unet_config("studio"))
        >>> save_adapter("emotion.safetensors", {"emotion": preset_branch(unet, "studio", "emotion")})
        >>> list(read_adapter("emotion.safetensors", unet))
        ['emotion']
    """
    path = Path(path)
    if not path.is_file():
        raise MissingAsset(f"There is no adapter file {path}; check the path.")
    if is_safetensors(path) and read_metadata(path).get("format") == FORMAT:
        return load_adapter(path, dtype=dtype)
    parts = _read(path)
    try:
        layout = _layout(path, parts["image_proj"])
        branch = _branch(path, unet, layout, parts["ip_adapter"], kind or layout.kind)
    except (MienError, MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # sizes that contradict each other end in torch, each somewhere else
        reason = first_line(error)
        raise ConfigError(f"{path} is a damaged adapter, or one that mien does not know ({reason}).") from error
    nn.Module.to(branch, dtype or next(iter(layout.weights.values())).dtype)
    return {branch.kind: branch.eval()}


def _read(path: Path) -> dict[str, Weights]:
    if is_safetensors(path):
        flat = read_weights(path).tensors
        found: Any = {
            part: {key.removeprefix(f"{part}."): value for key, value in flat.items() if key.startswith(f"{part}.")}
            for part in PARTS
        }
    else:
        found = _unpickled(path)
    if not isinstance(found, dict) or any(not isinstance(found.get(part), dict) or not found[part] for part in PARTS):
        raise ConfigError(f"{path} is no adapter that mien knows: it lacks {' and '.join(PARTS)}.")
    for part in PARTS:
        if not all(isinstance(value, Tensor) and value.is_floating_point() for value in found[part].values()):
            raise ConfigError(f"{path} is no adapter that mien knows: not all of its {part} are weights.")
        check_finite(path, found[part])
    return found


def _unpickled(path: Path) -> Any:
    """Tensors of a pickle, and nothing else of it."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # of a damaged pickle the unpickler raises whatever its bytes say
        raise ConfigError(f"{path} holds more than tensors, or is damaged: mien does not open it.") from error


def _layout(path: Path, proj: Weights) -> Layout:
    """Which of the known projections these weights are; sizes from their shapes."""
    if "proj.weight" in proj:
        width, features = proj["norm.weight"].shape[0], proj["proj.weight"].shape[1]
        tokens = proj["proj.weight"].shape[0] // width
        settings = {"type": "linear", "feature_dim": features, "tokens": tokens, "pooled": True}
        return Layout("expression", width, settings, proj)
    if "perceiver_resampler.proj_in.weight" in proj:
        net = _converted(proj)
        if "plus" not in path.name:
            warnings.warn(
                f"{path.name} is taken for FaceID Plus; if it is Plus v2, let its name say plusv2: nothing else tells",
                stacklevel=2,
            )
        settings = {
            "type": "face resampler",
            "embedding_dim": proj["proj.0.weight"].shape[1],
            "feature_dim": net.proj_in.in_features,
            "heads": net.layers[0].attn.heads,
            "depth": len(net.layers),
            "shortcut": "plusv2" in path.name.replace("-", "").replace("_", ""),  # nothing but the name tells
        }
        return Layout("identity", net.proj_out.out_features, settings, _below_net(net))
    if "proj.0.weight" in proj and "norm.weight" in proj:
        hidden, embedding = proj["proj.0.weight"].shape
        width = proj["norm.weight"].shape[0]
        tokens = proj["proj.2.weight"].shape[0] // width
        settings = {"type": "mlp", "embedding_dim": embedding, "hidden": hidden, "tokens": tokens}
        return Layout("identity" if embedding == FACE_EMBEDDING else "expression", width, settings, proj)
    if "latents" in proj:
        if proj["proj_in.weight"].shape[1] == FACE_EMBEDDING:
            raise ConfigError(
                f"{path} is InstantID's adapter, which draws only beside InstantID's ControlNet, and mien has none: "
                "use an IP-Adapter-FaceID."
            )
        net = _converted(proj)
        settings = {
            "type": "resampler",
            "feature_dim": net.proj_in.in_features,
            "hidden": net.proj_in.out_features,
            "heads": net.layers[0].attn.heads,
            "tokens": net.latents.shape[1],
            "depth": len(net.layers),
        }
        return Layout("expression", net.proj_out.out_features, settings, _below_net(net))
    raise ConfigError(f"{path} projects its condition in a way mien does not know, with {min(proj)}.")


def _converted(proj: Weights) -> Any:
    """The module of diffusers for a resampler's weights; the method reads them alone, nothing of a UNet."""
    from diffusers.loaders.unet import UNet2DConditionLoadersMixin

    nobody: Any = None
    convert = UNet2DConditionLoadersMixin._convert_ip_adapter_image_proj_to_diffusers
    return convert(nobody, proj, low_cpu_mem_usage=False)


def _below_net(net: nn.Module) -> Weights:
    return {f"net.{key}": value for key, value in net.state_dict().items()}


def _branch(path: Path, unet: nn.Module, layout: Layout, attention: Weights, kind: Kind) -> Branch:
    order = [key for key, _ in attention_modules(unet)]
    blocks = describe_unet(unet)
    rank = next((value.shape[0] for key, value in attention.items() if key.endswith("_lora.down.weight")), 0)
    branch = Branch.for_unet(unet, kind, layout.token_dim, null="zeros", encoder=layout.settings, lora_rank=rank)
    weights: dict[str, Tensor | None] = {f"encoder.{key}": value for key, value in layout.weights.items()}
    for number, key in enumerate(order):
        if key in blocks:
            for letter in "kv":
                weights[f"kv.{key}.to_{letter}.weight"] = attention.pop(f"{number}.to_{letter}_ip.weight", None)
        if rank:
            for name, end in ((name, end) for name in LINEARS for end in ("down", "up")):
                weights[f"low_rank.{key}.{name}.{end}.weight"] = attention.pop(
                    f"{number}.{name}_lora.{end}.weight", None
                )
    missing = [key for key, value in weights.items() if value is None]
    if missing or attention:
        raise ConfigError(f"{path} was made for another base: it has other attention layers.")
    try:
        branch.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise ConfigError(f"{path} was made for another base ({first[0].strip()}).") from error
    return branch
