"""A small asset fetched at its first use, where there is a network."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mien.assets.get import get
from mien.assets.lookup import downloads, find_asset
from mien.assets.registry import asset
from mien.assets.transfer import Report
from mien.core.io import atomic_path
from mien.errors import MienError

log = logging.getLogger(__name__)

PATIENCE = 2.0
"""Seconds to the first byte after which there is no network."""
PAUSE = 24 * 3600.0
"""Seconds after a try that failed in which none is made."""


def offline() -> bool:
    """Whether nothing may be fetched unasked: ``mien --offline``, ``MIEN_OFFLINE=1`` or ``HF_HUB_OFFLINE=1``."""
    return any(
        os.environ.get(name, "").lower() in ("1", "true", "yes", "on") for name in ("MIEN_OFFLINE", "HF_HUB_OFFLINE")
    )


def find_or_fetch(name: str) -> Path | None:
    """The asset's file; fetched, with one line on the error stream, if it is not here and there is a network.

    A try that fails costs `PATIENCE` seconds at most, and is not repeated for a day.

    Args:
        name: of an asset of one file.

    Returns:
        The file, or None where it is not here and cannot be fetched.
    """
    path = find_asset(name)
    if path is not None or offline():
        return path
    tried = downloads() / f".{name}.tried"
    if tried.is_file() and 0 <= time.time() - tried.stat().st_mtime < PAUSE:  # a clock may have gone back since
        return None
    one = asset(name)
    size = sum(file.bytes or 0 for file in one.files) / 1e6
    print(f"Fetching {one.title} ({size:.1f} MB, {one.licence}), once.", file=sys.stderr)  # noqa: T201
    if _fetched(name):
        return find_asset(name)
    try:
        tried.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(tried) as temporary:
            temporary.touch()
    except (OSError, MienError) as error:
        log.info("the failed try is not written down: %s", error)
    return None


def _fetched(name: str) -> bool:
    """Whether the asset came. A name server that does not answer blocks beyond any time-out: so in a thread."""
    begun, ended = threading.Event(), threading.Event()
    failed: list[MienError] = []

    @contextmanager
    def watch(file: str) -> Iterator[Report]:
        yield lambda have, total: begun.set()

    def work() -> None:
        try:
            get(name, watch=watch)
        except MienError as error:
            failed.append(error)
        finally:
            ended.set()
            begun.set()

    threading.Thread(target=work, daemon=True, name=f"fetch {name}").start()
    if not begun.wait(PATIENCE):
        log.info("%s was not fetched: no answer in %g seconds", name, PATIENCE)
        return False
    ended.wait()
    for error in failed:
        log.info("%s was not fetched: %s", name, error)
    return not failed
