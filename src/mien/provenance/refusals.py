"""People who said no: embeddings of faces that are not drawn, and a hook for a site's own rule.

A list holds embeddings, no pictures and no names. An embedding means something to the network that made it alone, so a
list has some for each network that a site's bases read identities with; a base whose network a list knows nothing of
is refused as a whole, since the list could not protect anybody there.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from mien.errors import BadInput, ConfigError, IdentityRefused

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VARIABLE = "MIEN_REFUSED"
"""Environment variable that names a list; every command and every call of mien heeds it."""
FORMAT = "mien-refusals"
NEAR = 0.5
"""Cosine from which two embeddings are taken for one person (*inferred*; `RefusalList.near` of a list's own)."""

Hook: TypeAlias = "Callable[[NDArray[np.float32], str], bool]"
"""(embedding [512] of L2 norm 1, name of its network) -> whether this person is not to be drawn."""
_hooks: list[Hook] = []
_asking: ContextVar[bool] = ContextVar("asking", default=True)


@dataclass(frozen=True)
class RefusalList:
    """Embeddings of people who said no.

    Attributes:
        embeddings: name of a network -> [N, 512], rows of L2 norm 1.
        near: cosine from which a face is taken for one of them.

    Example:
        >>> import numpy as np
        >>> from mien.provenance import RefusalList
        >>> anna, somebody = np.eye(512, dtype=np.float32)[:2]
        >>> refused = RefusalList().added("studio", anna)
        >>> refused(anna, "studio"), refused(somebody, "studio")
        (True, False)
    """

    embeddings: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    near: float = NEAR

    @classmethod
    def load(cls, path: Path | str) -> RefusalList:
        """Read a list.

        Raises:
            BadInput: if the file is absent, is no list, or is damaged.
        """
        from mien.core.weights import read_weights

        path = Path(path)
        if not path.is_file():
            raise BadInput(
                f"There is no refusal list {path} (named by {VARIABLE}, perhaps): make one with mien refuse."
            )
        metadata, tensors = read_weights(path)
        if metadata.get("format") != FORMAT:
            raise BadInput(f"{path} is no refusal list of mien: make one with mien refuse.")
        found = {name: value.float().numpy() for name, value in tensors.items()}
        if any(value.ndim != 2 or value.shape[1] != 512 for value in found.values()):
            raise BadInput(f"{path} holds embeddings of another length than 512: make the list anew.")
        try:
            near = float(metadata.get("near", NEAR))
        except ValueError:
            near = math.nan
        # a list that is never near anybody would protect nobody, and nobody would know
        whole = all(len(value) and (abs((value**2).sum(1) - 1) < 0.01).all() for value in found.values())
        if not whole or not -1 <= near < 1:
            raise BadInput(f"{path} is damaged, and would not know everybody on it: make the list anew.")
        return cls(found, near)

    def save(self, path: Path | str) -> None:
        """Write the list, atomically."""
        import numpy as np
        import torch

        from mien.core.weights import write_weights

        tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in self.embeddings.items()}
        write_weights(Path(path), tensors, {"format": FORMAT, "near": repr(self.near)})

    def added(self, network: str, embedding: NDArray[np.float32]) -> RefusalList:
        """The list with one embedding [512] more."""
        import numpy as np

        before = self.embeddings.get(network, np.empty((0, 512), np.float32))
        rows = np.concatenate([before, embedding[None].astype(np.float32)])
        return RefusalList({**self.embeddings, network: rows}, self.near)

    def __call__(self, embedding: NDArray[np.float32], network: str) -> bool:
        """Whether an embedding is of somebody on the list.

        Raises:
            ConfigError: if the list has nobody's embedding by this network.
        """
        if network not in self.embeddings:
            known = ", ".join(self.embeddings) or "none"
            raise ConfigError(
                f"The refusal list has embeddings of the networks {known}, and this base reads identities with "
                f"{network}: add its people again with  mien refuse --base ..., or use a base that it knows."
            )
        return bool((self.embeddings[network] @ embedding > self.near).any())


def refuse_identities(hook: Hook) -> Callable[[], None]:
    """Ask a hook before anybody is drawn, in this process.

    Args:
        hook: a `RefusalList`, or any function of (embedding, network) that is true for who must not be drawn.

    Returns:
        A function that takes the hook off again.

    Example:
        >>> import mien
        >>> from mien.provenance import refuse_identities
        >>> undo = refuse_identities(lambda embedding, network: True)
        >>> try:
        ...     mien.generate(identity="me.jpg", steps=2)
        ... except mien.MienError as error:
        ...     print(error)
        The person in this picture is on the list of people who are not to be drawn here: use another picture.
        >>> undo()
    """
    _hooks.append(hook)
    return lambda: _hooks.remove(hook) if hook in _hooks else None


@contextmanager
def unchecked() -> Iterator[None]:
    """No list and no hook is asked inside the block, of this thread alone: for making a list."""
    token = _asking.set(False)
    try:
        yield
    finally:
        _asking.reset(token)


def check_identity(embedding: NDArray[np.float32], network: Callable[[], str]) -> None:
    """Refuse a person whom a hook or the list of ``MIEN_REFUSED`` names.

    Args:
        embedding: [512], L2 norm 1.
        network: gives the name of what made it; only asked where there is a hook or a list.

    Raises:
        IdentityRefused: if one of them says so.
        BadInput, ConfigError: if the list cannot be read, or knows nothing of this network.
    """
    if _asking.get() and any(hook(embedding, network()) for hook in (*_hooks, *_named_list())):
        raise IdentityRefused(
            "The person in this picture is on the list of people who are not to be drawn here: use another picture."
        )


def _named_list() -> tuple[Hook, ...]:
    name = os.environ.get(VARIABLE)
    if not name:
        return ()
    path = Path(name)
    return (_loaded(path, path.stat().st_mtime_ns if path.is_file() else 0),)


@lru_cache(maxsize=4)
def _loaded(path: Path, _: int) -> RefusalList:
    """A list, read again when its file was written to."""
    return RefusalList.load(path)
