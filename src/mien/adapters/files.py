"""Adapter files: one safetensors file that needs nothing beside it.

Tensors are named ``<branch>.<parameter>``; the header's metadata holds ``format``, ``version`` and ``config``, a JSON
object of branch name -> configuration. Reading refuses what it does not know: an adapter that is half understood gives
wrong pictures in silence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mien.adapters.branch import Branch
from mien.adapters.settings import BranchSettings
from mien.core.weights import read_weights, write_weights
from mien.errors import ConfigError, MienError, MissingAsset

FORMAT = "mien-adapter"
VERSION = "1"


def save_adapter(
    path: Path | str,
    branches: Mapping[str, Branch],
    *,
    dtype: torch.dtype | None = None,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write branches to one file, atomically.

    Args:
        path: the file, ``*.safetensors``.
        branches: name -> branch; a name holds no dot.
        dtype: dtype to store, e.g. ``torch.float16``; as they are when None.
        notes: further metadata for people (licence, base, training); never read back into the model.

    Raises:
        ConfigError: for no branch, or a name with a dot.

    Example:
        >>> import torch
        >>> from diffusers import UNet2DConditionModel
        >>> from mien.adapters import load_adapter, preset_branch, save_adapter, unet_config
        >>> with torch.device("meta"):
        ...     unet = UNet2DConditionModel.from_config(unet_config("studio"))
        >>> branch = preset_branch(unet, "studio", "emotion")
        >>> save_adapter("half.safetensors", {"emotion": branch}, dtype=torch.float16, notes={"licence": "Apache-2.0"})
        >>> next(load_adapter("half.safetensors", dtype=None)["emotion"].parameters()).dtype
        torch.float16
    """
    if not branches or any("." in name or not name for name in branches):
        raise ConfigError("An adapter file needs at least one branch, and names without a dot.")
    tensors = {
        f"{name}.{key}": value.detach().to("cpu", dtype or value.dtype).contiguous()
        for name, branch in branches.items()
        for key, value in branch.state_dict().items()
    }
    config = {name: _settings(branch) for name, branch in branches.items()}
    metadata = {**(notes or {}), "format": FORMAT, "version": VERSION, "config": json.dumps(config)}
    write_weights(path, tensors, metadata)


def load_adapter(path: Path | str, *, dtype: torch.dtype | None = torch.float32) -> dict[str, Branch]:
    """Read the branches of one file, in evaluation mode.

    Args:
        path: a file of :func:`save_adapter`.
        dtype: dtype of the parameters; as stored when None.

    Returns:
        name -> branch.

    Raises:
        MissingAsset: if the file is absent.
        ConfigError: if it is no adapter file, of a later version, or holds settings or tensors that are unknown.

    Example:
        >>> import torch
        >>> from diffusers import UNet2DConditionModel
        >>> from mien.adapters import load_adapter, preset_branch, save_adapter, unet_config
        >>> with torch.device("meta"):
        ...     unet = UNet2DConditionModel.from_config(unet_config("studio"))
        >>> save_adapter("emotion.safetensors", {"emotion": preset_branch(unet, "studio", "emotion")})
        >>> load_adapter("emotion.safetensors")["emotion"].kind
        'emotion'
    """
    path = Path(path)
    if not path.is_file():
        raise MissingAsset(f"There is no adapter file {path}; check the path.")
    metadata, tensors = read_weights(path)
    config = _read_config(path, metadata)
    branches = {}
    for name, settings in config.items():
        prefix = f"{name}."
        own = {key.removeprefix(prefix): tensors.pop(key) for key in list(tensors) if key.startswith(prefix)}
        branches[name] = _build(path, name, settings, own, dtype)
    if tensors:
        raise ConfigError(f"{path} holds tensors that no branch owns, such as {min(tensors)}; update mien to read it.")
    return branches


def _settings(branch: Branch) -> dict[str, Any]:
    """Settings in order; a LoRA only where there is one, so that earlier releases read the rest."""
    keys = sorted(BranchSettings.model_fields)
    return {key: branch.config[key] for key in keys if key != "lora" or branch.low_rank is not None}


def _read_config(path: Path, metadata: Mapping[str, str]) -> dict[str, BranchSettings]:
    if metadata.get("format") != FORMAT:
        raise ConfigError(f"{path} is not an adapter of mien; convert it or choose another file.")
    if metadata.get("version") != VERSION:
        raise ConfigError(
            f"{path} has format version {metadata.get('version')}, this mien reads {VERSION}; update mien."
        )
    try:
        config = json.loads(metadata["config"])
    except (KeyError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} carries no readable configuration; fetch it again.") from error
    if not isinstance(config, dict) or not config:
        raise ConfigError(f"{path} carries no readable configuration; fetch it again.")
    return {name: _checked(path, name, settings) for name, settings in config.items()}


def _checked(path: Path, name: str, settings: object) -> BranchSettings:
    unknown = set(settings) - set(BranchSettings.model_fields) if isinstance(settings, dict) else set()
    if unknown:
        raise ConfigError(
            f"{path}: the branch {name!r} has unknown settings {sorted(unknown)}; update mien to read it."
        )
    return BranchSettings.parsed(settings, f"{path}: the branch {name!r} has settings that cannot be")


def _build(
    path: Path, name: str, settings: BranchSettings, tensors: dict[str, torch.Tensor], dtype: torch.dtype | None
) -> Branch:
    given = settings.model_dump(exclude_unset=True)
    try:
        with torch.device("meta"):  # shapes first: a header may speak of more memory than there is
            wanted = {key: value.shape for key, value in Branch(**given).state_dict().items()}
        for key in wanted.keys() | tensors.keys():
            found = tensors.get(key)
            if found is None or found.shape != wanted.get(key) or not found.is_floating_point():
                problem = "is missing" if found is None else f"is {tuple(found.shape)} of {found.dtype}"
                raise ConfigError(f"the branch {name!r} does not fit its settings ({key} {problem}).")
        branch = Branch(**given)
        branch.load_state_dict(tensors)
    except MienError as error:
        raise ConfigError(f"{path}: {error}") from error
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # torch's layers refuse impossible sizes each in its own way
        raise ConfigError(f"{path}: the branch {name!r} does not fit its settings ({error}).") from error
    # diffusers 0.42 warns at every ModelMixin.to(dtype), so the plain method is called
    torch.nn.Module.to(branch, dtype or next(iter(tensors.values())).dtype)
    return branch.eval()
