"""Optional packages: imported when first needed, with the install line in the error."""

from __future__ import annotations

import importlib
from types import ModuleType

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
