"""The readers and helpers a request needs, in one place, so that tests and other bases can bring their own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from mien.core.io import read_json, sha256_of
from mien.errors import BadInput, MissingAsset
from mien.faces.observed import CLIP_SIDE, DetectedFace, embed_face, expression_crop, points_of
from mien.faces.open import open_reader
from mien.provenance.refusals import check_identity

log = logging.getLogger(__name__)

FULL_SIZE_PROMPT = "portrait photo of a person"
"""Prompt of a base of full size where the user gives none (*ours*)."""

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from mien.faces.published.networks import FaceNetwork
    from mien.faces.types import FaceReader, Picture, Reading


Embedding: TypeAlias = "tuple[NDArray[np.float32], dict[str, Any]]"
"""Identity embedding [512] of a face, and its attributes for `describe`."""


@lru_cache(maxsize=8)
def identity_network(base: str) -> str:
    """Which network a base reads identities with, as refusal lists name it: kind and beginning of its sha256."""
    from mien.faces.studio import EMBEDDED
    from mien.pipelines.bases import arcface_file, is_small

    own = Path(base) / "identity"
    if not own.is_dir() and not is_small(base):
        return f"arcface-{sha256_of(arcface_file(base))[:16]}"
    weights = sorted((own if own.is_dir() else EMBEDDED / "identity").glob("[!.]*.safetensors"))
    return "-".join(["studio", *(sha256_of(file)[:16] for file in weights)])


def _checked(
    found: tuple[NDArray[np.float32], dict[str, Any]], base: str
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """What was read of a person, who may have said no."""
    check_identity(found[0], lambda: identity_network(base))
    return found


def describe_full_size(attributes: dict[str, Any]) -> str:
    """The prompt of a base of full size: no attributes are read for it, so only a user's words stand there."""
    return ", ".join((FULL_SIZE_PROMPT, *attributes.get("features", ()), *attributes.get("around", ())))


def describe_arc2face(attributes: dict[str, Any]) -> str:
    """The prompt of Arc2Face, which knows one alone, in which the face stands.

    Raises:
        BadInput: if there are words of a user's.
    """
    if attributes:
        raise BadInput("Arc2Face knows one prompt only, in which the face stands: leave the description out.")
    return ""


def plain_prompt(base: str) -> str | None:
    """The words for a base of full size where nobody gives any; None where they hold the face, as Arc2Face's."""
    from mien.pipelines.base_facts import base_identity_mode

    return None if base_identity_mode(base) == "prompt" else FULL_SIZE_PROMPT


def _expression_input(folder: Path) -> dict[str, Any]:
    """See `mien.faces.networks.expression_input`; of the encoder in a model's folder, if it has one."""
    from mien.faces.networks import expression_input

    config = folder / "expression_encoder" / "config.json"
    return expression_input(read_json(config)) if config.is_file() else {}


@dataclass(frozen=True, eq=False)
class FaceTools:
    """Everything that reads faces.

    Attributes:
        reader_name: resolved name of the reader ("mediapipe" or "studio").
        read: (picture, its name for messages) -> the faces in it; as a `mien.faces.FaceReader` reads.
        embed: seen -> (identity embedding [512], attributes for `describe`).
        crop: seen -> the expression encoder's input, float [1, 3, H, W] in [-1, 1].
        describe: attributes -> the prompt used when none is given.
        files: name -> model file outside the base's folder that the result depends on.
        plain_prompt: what to say where nothing is to be described; None for bases that know the face alone.
    """

    reader_name: str
    read: Callable[[Picture, str], Reading]
    embed: Callable[[DetectedFace], Embedding]
    crop: Callable[[DetectedFace], Tensor]
    describe: Callable[[dict[str, Any]], str]
    files: Mapping[str, Path] = field(default_factory=dict)
    plain_prompt: str | None = None

    @classmethod
    def load(cls, base: str, reader: str) -> FaceTools:
        """A reader, and what a base wants for the rest: the studio's own networks, or ArcFace.

        Args:
            base: see `mien.pipelines.bases.open_base`; a folder with an identity embedder of its own reads identities
                with that.
            reader: see :func:`open_reader`.

        Raises:
            MissingDependency, MissingAsset: if the reader or the networks are not installed.
        """
        from mien.captions.compose import describe
        from mien.faces.studio import EMBEDDED, StudioReader
        from mien.pipelines.bases import is_small

        # identity tokens mean what the base was trained with: its own folder goes first
        folder = Path(base)
        own = folder if (folder / "identity").is_dir() else None
        studio = StudioReader.from_pretrained(own)
        opened = open_reader(reader, studio)
        files = dict(getattr(opened, "files", {}))
        if own is None and not is_small(base):
            return cls.of_full_size(base, opened, files)
        if own is None and base != "studio":
            for pattern in ("reader/*/*.safetensors", "identity/*.safetensors"):
                files |= {f"studio/{path.relative_to(EMBEDDED).as_posix()}": path for path in EMBEDDED.glob(pattern)}
        return cls(
            reader_name=opened.name,
            read=opened.read,
            embed=lambda seen: _checked(embed_face(seen, studio), base),
            crop=partial(expression_crop, **_expression_input(own or EMBEDDED)),
            describe=describe,
            files=files,
        )

    @classmethod
    def of_full_size(cls, base: str, opened: FaceReader, files: Mapping[str, Path]) -> FaceTools:
        """What SD1.5, SDXL and Arc2Face are steered with.

        Args:
            base: see `mien.pipelines.bases.open_base`.
            opened: a reader of faces.
            files: its files.

        Raises:
            MissingAsset: when an identity is read, if ArcFace is not here; prompts and expressions need none.
        """
        from mien.faces.published.networks import open_face_network
        from mien.pipelines.bases import arcface_file

        networks: list[FaceNetwork] = []

        def embed(seen: DetectedFace) -> Embedding:
            if not networks:
                networks.append(open_face_network("arcface", arcface_file(base)))
            found = networks[0]([seen.image], points_of(seen)[None])["identity"][0], {}
            return _checked(found, base)

        # Arc2Face knows one prompt only, in which the face stands; it is put there where no words are given
        plain = plain_prompt(base)
        own: dict[str, Path] = {}
        with suppress(MissingAsset):
            own["identity/arcface.onnx"] = arcface_file(base)
        return cls(
            reader_name=opened.name,
            read=opened.read,
            embed=embed,
            crop=partial(expression_crop, size=CLIP_SIDE),
            describe=describe_arc2face if plain is None else describe_full_size,
            files={**files, **own},
            plain_prompt=plain,
        )
