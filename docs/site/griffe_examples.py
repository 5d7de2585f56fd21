"""The reference reads ``Example:`` of our docstrings as griffe reads ``Examples:``, so that it is shown as code."""

from __future__ import annotations

import re
from typing import Any

import griffe


class SingularExample(griffe.Extension):
    """Renames the section before the docstring is parsed."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        """Called for every module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^( *)Example:$", r"\1Examples:", obj.docstring.value, flags=re.MULTILINE)
