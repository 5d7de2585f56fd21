"""Networks of published files, which are made for one picture at a time."""

from __future__ import annotations

import torch

from mien.faces.graph import Graph, Step


def test_a_picture_alone_gives_its_row_of_a_batch() -> None:
    """Alone it is computed as the file says, among others by `torch.vmap`: the same values in the same shape."""
    weight = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
    steps = [
        Step(lambda x: x.reshape(1, 8), ("x",), ("flat",)),  # the file's own batch of 1
        Step(lambda x, w: (x @ w, x.sum()), ("flat", "w"), ("y", "total")),
    ]
    graph = Graph(steps, {"w": weight}, ["x"], ["y", "total"], "net")
    pictures = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(1))
    whole = graph(pictures)
    assert whole["y"].shape == (3, 1, 5) and whole["total"].shape == (3,)
    for row in range(3):
        alone = graph(pictures[row : row + 1])
        for name, values in whole.items():
            assert alone[name].shape == (1, *values.shape[1:])
            torch.testing.assert_close(alone[name][0], values[row])  # sums of another order
