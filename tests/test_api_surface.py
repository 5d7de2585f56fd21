"""The public names and signatures: a change of them is a change of this snapshot, which is looked at.

``MIEN_UPDATE_SNAPSHOTS=1 pytest tests/test_api_surface.py`` writes it anew.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pkgutil
import re
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import mien

SNAPSHOT = Path(__file__).with_name("api_surface.json")
MODULES = ("mien.conditions", "mien.errors")
"""Public modules that are no packages."""
UPDATE = "MIEN_UPDATE_SNAPSHOTS=1 pytest tests/test_api_surface.py"


def signature(function: Any) -> str:
    """Parameters, annotations as they are written, and defaults; an object without a plain repr is ``...``."""
    try:
        text = str(inspect.signature(function))
    except (TypeError, ValueError):
        return "(...)"
    return re.sub(r"<[^<>]* at 0x[0-9a-f]+>", "...", text)


def described(value: Any) -> Any:
    """What people can rely on: a function's signature; a class's, and those of its own public members."""
    if inspect.isclass(value):
        members: dict[str, Any] = {}
        for name, member in sorted(inspect.getmembers_static(value)):
            owner = next((one for one in value.__mro__ if name in vars(one)), object)
            if not owner.__module__.startswith("mien") or (
                name.startswith("_") and name not in ("__init__", "__call__")
            ):
                continue
            if isinstance(member, property):
                members[name] = f"property -> {member.fget.__annotations__.get('return', '?')}"  # type: ignore[union-attr]
            elif isinstance(member, cached_property):
                members[name] = f"property -> {member.func.__annotations__.get('return', '?')}"
            elif isinstance(member, classmethod | staticmethod):
                members[name] = type(member).__name__ + signature(member.__func__)
            elif inspect.isfunction(member):
                members[name] = signature(member)
        return members
    if callable(value):
        return signature(value)
    return type(value).__name__


def surface() -> dict[str, Any]:
    names = ["mien", *MODULES]
    names += [one.name for one in pkgutil.walk_packages(mien.__path__, "mien.") if one.ispkg]
    found = {}
    for name in names:
        module = importlib.import_module(name)
        public = {one: getattr(module, one) for one in sorted(getattr(module, "__all__", ()))}
        for one, value in public.items():
            if inspect.ismodule(value):  # a package of modules, such as the metrics: what each defines is public
                found[f"{name}.{one}"] = {key: described(member) for key, member in defined(value)}
        if public:
            found[name] = {one: described(value) for one, value in public.items()}
    return found


def defined(module: ModuleType) -> list[tuple[str, Any]]:
    """Public functions and classes that a module itself defines, by name."""
    return [
        (name, value)
        for name, value in sorted(vars(module).items())
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
    ]


def test_the_public_surface_is_the_recorded_one() -> None:
    now = surface()
    if os.environ.get("MIEN_UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(json.dumps(now, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    recorded = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    for package in sorted(recorded.keys() | now.keys()):
        before, after = recorded.get(package, {}), now.get(package, {})
        for name in sorted(before.keys() | after.keys()):
            assert before.get(name) == after.get(name), f"{package}.{name} changed: if it is meant to,  {UPDATE}"
