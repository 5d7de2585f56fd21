"""Software OpenGL without a display."""

from __future__ import annotations

import os
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from mien.core.optional import require
from mien.errors import MissingDependency

if TYPE_CHECKING:
    import moderngl


_PACKAGES: Final = "libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri"


def create_context() -> moderngl.Context:
    """A stand-alone OpenGL 3.3 context (EGL, Mesa's software rasteriser on one thread unless LP_NUM_THREADS is set).

    Raises:
        MissingDependency: if moderngl or the system's EGL is absent.
    """
    os.environ.setdefault("LP_NUM_THREADS", "1")
    moderngl = require("moderngl", extra="studio")
    try:
        # The versioned names exist without the -dev packages.
        return moderngl.create_context(
            standalone=True, require=330, backend="egl", libgl="libGL.so.1", libegl="libEGL.so.1"
        )
    except Exception as error:  # moderngl raises bare Exception
        message = f"OpenGL cannot be started ({error}): install the Debian packages {_PACKAGES} and try again."
        raise MissingDependency(message) from error


def program(context: moderngl.Context, vertex: str, fragment: str) -> moderngl.Program:
    """Compile ``shaders/<vertex>.vert.glsl`` with ``shaders/<fragment>.frag.glsl``."""
    return context.program(vertex_shader=_source(f"{vertex}.vert"), fragment_shader=_source(f"{fragment}.frag"))


def _source(name: str) -> str:
    text = _read(name)
    lines = []
    for line in text.splitlines():
        included = line.removeprefix("#include ").strip()
        lines.append(_read(included) if included != line.strip() else line)
    return "#version 330\n" + "\n".join(lines)


def _read(name: str) -> str:
    return resources.files("mien.studio").joinpath("shaders").joinpath(f"{name}.glsl").read_text(encoding="utf-8")


def set_uniforms(shader: Any, **values: object) -> None:
    """Set uniforms by name; names the shader does not use are passed over, matrices are given row-major."""
    import numpy as np

    for name, value in values.items():
        if name not in shader:
            continue
        if isinstance(value, int | float):
            shader[name].value = value
            continue
        array = np.asarray(value, np.float32)
        shader[name].write(np.ascontiguousarray(array.T).tobytes())
