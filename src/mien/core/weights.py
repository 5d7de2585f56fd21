"""Safetensors files: reading those of others, where whatever is wrong is a sentence, and writing ours."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mien.core.io import atomic_path
from mien.errors import BadInput, ConfigError, MienError, first_line

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".safetensors"


class Weights(NamedTuple):
    """The content of a file.

    Attributes:
        metadata: of its header, text by name.
        tensors: by name.
    """

    metadata: dict[str, str]
    tensors: dict[str, Tensor]


def is_safetensors(path: Path) -> bool:
    """Whether a file's name says so, in any case of its letters."""
    return path.suffix.lower() == SUFFIX


def check_suffix(path: Path) -> None:
    """Refuse a name in capitals where diffusers opens the file: it would take it for a pickle.

    Raises:
        BadInput: that says how to name it.
    """
    if is_safetensors(path) and path.suffix != SUFFIX:
        raise BadInput(f"Rename {path} so that it ends in {SUFFIX}, in small letters: diffusers knows no others.")


def read_weights(path: Path) -> Weights:
    """Everything in a file, checked to be numbers.

    Raises:
        ConfigError: if it is damaged, or holds a value that is not finite.
    """
    with _opened(path) as file:
        found = Weights(file.metadata() or {}, {key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    check_finite(path, found.tensors)
    return found


def read_metadata(path: Path) -> dict[str, str]:
    """The text in a file's header, without its tensors.

    Raises:
        ConfigError: if it is damaged.
    """
    with _opened(path) as file:
        return file.metadata() or {}


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor, from the header alone.

    Raises:
        ConfigError: if it is damaged.
    """
    with _opened(path) as file:
        return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 (not a dict)


def check_finite(place: object, tensors: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not finite: they would draw a black picture.

    Args:
        place: the file or model, for the message.
        tensors: by name; those of whole numbers pass.

    Raises:
        ConfigError: naming the first that holds NaN or infinity.
    """
    import torch

    for name, value in tensors.items():
        # one sum is a tenth of the work of looking at each value; NaN and infinity do not leave it
        if value.is_floating_point() and not bool(torch.isfinite(value.sum(dtype=torch.float32))):
            raise ConfigError(f"{place} holds values that are not finite, in {name}: get another copy.")


def write_weights(path: Path | str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a file atomically; equal content gives equal bytes.

    Args:
        path: the file.
        tensors: by name, contiguous.
        metadata: text by name.
    """
    from safetensors.torch import save_file

    with weights_path(path) as temporary:
        save_file(dict(tensors), temporary, metadata=None if metadata is None else dict(metadata))


@contextmanager
def weights_path(path: Path | str) -> Iterator[Path]:
    """`atomic_path` for what the safetensors library writes, whose errors are its own; equal content, equal bytes.

    Raises:
        MienError: if the folder cannot be written or the disk is full.
    """
    with atomic_path(path) as temporary, writes_of_safetensors(path):
        yield temporary
        order_metadata(temporary)


@contextmanager
def writes_of_safetensors(path: Path | str) -> Iterator[None]:
    """Turn the library's error of a full disk into a sentence about ``path``."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MienError(f"Cannot write {path}: {reason}; free some space and try again.") from error


def order_metadata(path: Path) -> None:
    """Sort the metadata in a file's header, which the safetensors library writes in an order of chance."""
    with path.open("r+b") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
        if "__metadata__" in header:
            header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
            text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode().ljust(length)
            if len(text) == length:  # else other escapes were used than ours: as it is, it is right too
                stream.seek(8)
                stream.write(text)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # the parser is another's: what it raises of a damaged file is not in its manual
        reason = first_line(error)
        raise ConfigError(f"{path} is not a safetensors file ({reason}); fetch it again.") from error
