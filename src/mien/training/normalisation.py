"""Batch statistics for averaged weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

if TYPE_CHECKING:
    from mien.data.corpus import Corpus
    from mien.training.objective import Objective


@torch.no_grad()
def recalibrate(objective: Objective, net: nn.Module, corpus: Corpus, batches: int = 30, size: int = 64) -> None:
    """Measure the batch normalisations of ``net`` anew: the running ones belong to other weights than the averaged.

    Args:
        objective: what trains ``net``; its training batches are run through it.
        net: network; in eval mode afterwards.
        corpus: training data.
        batches: how many batches.
        size: pictures in each.
    """
    layers = [layer for layer in net.modules() if isinstance(layer, _BatchNorm)]
    if layers:
        momenta = [layer.momentum for layer in layers]
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # a plain mean over all batches
        net.train()
        device = next(net.parameters()).device
        for step in range(batches):
            batch = objective.batch(corpus, np.random.default_rng([1, step]), size)
            generator = torch.Generator(device).manual_seed(step)
            objective({name: value.to(device) for name, value in batch.items()}, generator)
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    net.eval()
