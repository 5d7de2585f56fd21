"""The ``adapters/`` folder beside a pipeline's components: one safetensors file a branch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from mien.adapters.branch import Branch
from mien.adapters.files import load_adapter, save_adapter
from mien.errors import BadInput, ConfigError

FOLDER = "adapters"


def load_adapters(folder: Path, dtype: torch.dtype | None = torch.float32) -> dict[str, Branch]:
    """All branches of ``folder/adapters/*.safetensors``, by file name; empty without that folder.

    A file of one branch gives it the file's name; a file of several keeps theirs.

    Raises:
        ConfigError: if two files hold a branch of the same name, or a file cannot be read.
    """
    found: dict[str, Branch] = {}
    for file in sorted((folder / FOLDER).glob("*.safetensors")):
        if file.name.startswith("."):  # what an interrupted save left behind is nobody's
            continue
        branches = load_adapter(file, dtype=dtype)
        if len(branches) == 1:
            branches = {file.stem: next(iter(branches.values()))}
        if clash := set(branches) & set(found):
            raise ConfigError(f"Two files in {folder / FOLDER} hold a branch called {min(clash)!r}; rename one.")
        found.update(branches)
    return found


def save_adapters(folder: Path, adapters: Mapping[str, Branch]) -> None:
    """Write each branch to ``folder/adapters/<name>.safetensors``."""
    for name, branch in adapters.items():
        save_adapter(folder / FOLDER / f"{name}.safetensors", {name: branch})


def adapter_for(adapters: Mapping[str, Branch], kind: str, missing: str | None = None) -> str:
    """Name of the adapter that takes a condition: the one of that name, else the only one of that kind.

    Args:
        adapters: by name.
        kind: the condition.
        missing: what another adapter lacks, which may be why this condition came up; see
            :func:`mien.pipelines.image_encoder.missing_encoder`.

    Raises:
        BadInput: if there is none, or several and none has the condition's name.
    """
    if kind in adapters:
        return kind
    found = [name for name, branch in adapters.items() if branch.kind == kind]
    if not found:
        why = f"load one, or leave {kind} out" if missing is None else f"its expression adapter {missing}"
        raise BadInput(f"This base has no adapter for {kind}; {why}.")
    if len(found) > 1:
        raise BadInput(f"Several adapters take {kind} ({', '.join(found)}); keep one, or name one of them {kind}.")
    return found[0]
