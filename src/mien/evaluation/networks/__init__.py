"""Networks of other groups, for the papers' own numbers: loaded from the assets registry, never shipped.

A metric that was read with one of them carries its name (``identity.arcface``, ``kid.inception``), as those of the
studio's judges carry theirs: no number can be taken for another's.
"""

from __future__ import annotations

from mien.evaluation.networks.load import PAIR_NETWORKS, SET_NETWORKS, Networks, load_networks
from mien.faces.published.load import FACE_NETWORKS

__all__ = ["FACE_NETWORKS", "PAIR_NETWORKS", "SET_NETWORKS", "Networks", "load_networks"]
