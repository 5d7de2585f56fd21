"""The record of a picture: everything needed to make it again, and nothing of the face itself.

A record holds settings, sha256 of the input pictures and of the models, and the versions of the libraries. It holds no
embedding, no landmark, no description of a person and no name of a file that was given, since that is often somebody's.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from mien.core.strict import StrictModel
from mien.errors import BadInput

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FORMAT = 1
"""Version of the layout; raised when a reader of the old one would misunderstand the new one."""
LONGEST = 1_000_000
"""Characters of a record that is read; ours have some thousand."""
MOST_SEED = 2**64
"""Seeds of every release lie below it."""


class Record(StrictModel):
    """What stands in the ``mien`` text chunk of a picture, or in the comment of a video.

    Attributes:
        format: version of this layout.
        mien: version of the package that made the picture.
        settings: the request, without its input files and output folder.
        index: which picture of the request this is, from 0; its seed is ``settings["seed"] + index``.
        inputs: role ("identity", "expression", "pose") -> sha256 of the file's bytes.
        models: file inside the model folder -> sha256; ``FOLDER/configuration`` -> sha256 of all its settings; kind and
            number of a file that was added, such as ``adapter:1`` -> sha256.
        environment: what the bits depend on besides: library versions, threads, device.

    Example:
        >>> from mien.provenance import Record
        >>> record = Record(mien="0.1.0", settings={"seed": 3}, index=0, inputs={}, models={}, environment={})
        >>> Record.parse(record.text(), "the picture").settings["seed"]
        3
    """

    format: Literal[1] = FORMAT
    mien: str
    settings: dict[str, Any]
    index: int = Field(ge=0, lt=1_000_000)
    inputs: dict[str, Sha256]
    models: dict[str, Sha256]
    environment: dict[str, str]

    @field_validator("settings")
    @classmethod
    def _checked(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Settings are JSON; the seed is a number, since it is added to."""
        try:
            json.dumps(settings, allow_nan=False)
        except (TypeError, RecursionError) as error:
            raise ValueError("settings are not JSON") from error
        seed = settings.get("seed", 0)
        if type(seed) is not int or not 0 <= seed < MOST_SEED:
            raise ValueError("the seed is no whole number from 0")
        return settings

    def text(self) -> str:
        """JSON with sorted keys: the same record is the same text."""
        return json.dumps(self.model_dump(), sort_keys=True, ensure_ascii=False)

    @property
    def watermark_id(self) -> str:
        """The 8 hex digits that the invisible watermark carries: the beginning of the sha256 of `text`."""
        return hashlib.sha256(self.text().encode("utf-8")).hexdigest()[:8]

    @classmethod
    def parse(cls, text: str, source: str) -> Record:
        """The record of a text chunk.

        Raises:
            BadInput: if it is not a record of this format; ``source`` names the file in the message.
        """
        try:
            if len(text) > LONGEST:
                raise ValueError("too long")
            return cls.model_validate_json(text)
        except ValueError as error:  # pydantic's own among them
            raise BadInput(
                f"The record in {source} cannot be read: it was changed, or a newer mien wrote it."
            ) from error
