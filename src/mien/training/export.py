"""Writing trained models in half precision, in the layout that ``from_pretrained`` reads."""

from __future__ import annotations

import copy
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from mien.core.weights import writes_of_safetensors

if TYPE_CHECKING:
    from torch import nn

    from mien.adapters import Branch


def save_half(model: nn.Module, folder: Path) -> None:
    """``model.save_pretrained`` in fp16 into ``folder``, replacing it as a whole once everything is written."""
    half = torch.nn.Module.to(copy.deepcopy(model), "cpu", torch.float16)  # not ModelMixin.to: it warns about nothing
    half = half.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        with writes_of_safetensors(folder):
            half.save_pretrained(temporary, safe_serialization=True)
        temporary.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def save_branch(branch: Branch, folder: Path, file: str) -> None:
    """Write a branch in fp16 as ``adapters/FILE.safetensors`` of a model folder, under the name of its kind."""
    from mien.adapters import save_adapter

    save_adapter(folder / "adapters" / f"{file}.safetensors", {branch.kind: branch}, dtype=torch.float16)
