"""The note on consent, said once to each user: by commands, the Python API, the page's command or a node."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from mien.core.io import cache_folder, write_text
from mien.errors import MienError

VARIABLE = "MIEN_CONSENT"
"""Environment variable that, when it is set, says that the note is known, for programs that call commands."""
NOTE = (
    "A note, once: draw a real person only with their consent, and nothing that lets people believe what did not "
    "happen. Each picture says that it is synthetic. docs/provenance-and-responsible-use.md"
)


def remind_once(say: Callable[[str], object]) -> None:
    """Say the note if this user has not been told; where that cannot be kept, it is said again the next time."""
    marker = cache_folder() / "consent-note"
    if os.environ.get(VARIABLE) or marker.is_file():
        return
    say(NOTE)
    with suppress(OSError, MienError):
        write_text(marker, NOTE)
