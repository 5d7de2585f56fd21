"""The papers' protocols on photographs, as ``mien data protocol`` makes their folders: which of ours runs each.

Every metric of their tables carries the name of the network that made it, such as ``facenet.identity``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Preset(NamedTuple):
    """How a protocol on photographs is run.

    Attributes:
        protocol: of `mien.evaluation.protocols`.
        networks: of other groups that its tables are read with.
        each: pictures of each person, where nothing but the identity is given (*inferred*).
    """

    protocol: str
    networks: tuple[str, ...]
    each: int | None = None


PRESETS: Final[Mapping[str, Preset]] = {
    "celeba-2000": Preset("control", ("smirk", "emonet", "facenet")),
    "synth-500": Preset("diversity", ("smirk", "lpips-alex", "inception"), each=8),
    "agedb-500": Preset("diversity", ("smirk", "lpips-alex", "inception"), each=8),
    "emojidiff-grid": Preset("expression", ("arcface",)),
}
"""Name -> how it is run. FaceCrafter reads FLAME's parameters with EMOCA v2; SMIRK stands in, for whoever has not
exported EMOCA (``--network emoca``)."""
