"""Optional packages: imported when first needed, with the install line in the error."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import cast

from mien.errors import MissingDependency


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional package.

    Args:
        module: dotted name of the module, e.g. ``"moderngl"``.
        extra: the extra of mien that installs it, e.g. ``"studio"``.

    Raises:
        MissingDependency: if it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if error.name and not (module == error.name or module.startswith(error.name + ".")):
            raise
        message = f"This needs the package '{module}': run  pip install 'mien[{extra}]'  and try again."
        raise MissingDependency(message) from error


def leave_out(*packages: str) -> None:
    """Let this process do without packages that libraries import at sight, used or not.

    diffusers imports peft in the modules of its UNets, and transformers scipy in those of its losses, wherever they
    find them: a second of processor time of a start of six. No import of ours leads there that could be made later,
    and neither library has a setting for it. From here on they are as if not installed, so only a process that is all
    ours and knows that it needs none of them may call this: the command line, never the library. What is imported
    already stays.

    Args:
        packages: top-level names.
    """
    for name in packages:
        cast("dict[str, ModuleType | None]", sys.modules).setdefault(name, None)
