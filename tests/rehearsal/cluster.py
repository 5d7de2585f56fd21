"""A Ray cluster of three nodes on this machine, one of which can be killed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple


class Nodes(NamedTuple):
    """The cluster.

    Attributes:
        environment: of a command that works on it.
        kill_one: kills a node and everything that runs there, with -9.
    """

    environment: Mapping[str, str]
    kill_one: Callable[[], None]

    def kill_when(self, ready: Callable[[], bool]) -> Callable[[int], bool]:
        """Kills a node as soon as ``ready`` says so, as `Shell.type` calls it."""

        def kill(shell: int) -> bool:
            if not ready():
                return False
            self.kill_one()
            return True

        return kill


_STORE = 100 * 2**20
_TRIES = 6


def _patiently(start: Callable[[], Any]) -> Any:
    """Ray gives a node half a minute to start, which is little on a busy machine."""
    for last in (number == _TRIES for number in range(1, _TRIES + 1)):
        try:
            return start()
        except Exception:
            if last:
                raise
    raise AssertionError


@contextmanager
def three_nodes(environment: Mapping[str, str]) -> Iterator[Nodes]:
    """Start one; what runs on it has this environment.

    Args:
        environment: of the processes on its nodes.
    """
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        from ray.cluster_utils import Cluster

        own: Any = {"object_store_memory": _STORE, "include_dashboard": False}
        cluster = _patiently(lambda: Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **own}))
        nodes = [_patiently(lambda: cluster.add_node(num_cpus=1, object_store_memory=_STORE)) for _ in range(2)]
        cluster.wait_for_nodes()
        try:
            yield Nodes({"RAY_ADDRESS": cluster.address}, lambda: cluster.remove_node(nodes.pop(), False))
        finally:
            cluster.shutdown()
    finally:
        os.environ.clear()
        os.environ.update(before)
