"""How near two results have to be, and why: the one table of tolerances for float32 networks.

Bit-equality (``torch.equal``) is asserted between equal computations alone: the same operations on the same values, in
tensors of the same shapes, strides and ``requires_grad`` (``torch.matmul`` chooses its kernel by all of them), on one
machine, with the same number of threads. Everything else sums in another order somewhere, and which bits that changes
differs from processor to processor.

``torch.testing.assert_close(found, expected, **PASS)``
"""

from __future__ import annotations

from typing import Any

ROUNDED: dict[str, Any] = {"atol": 1e-6, "rtol": 1e-6}
"""One operation, or a pass in which only exact zeros or ones are added or multiplied: a few units in the last place."""

PASS: dict[str, Any] = {"atol": 1e-5, "rtol": 1e-4}
"""One pass of a tiny network whose sums are ordered otherwise: another batch size or number of rows, attention written
out or fused, keys computed once or at every call. Some hundred rounded sums of values of order 1."""

SAMPLED: dict[str, Any] = {"atol": 2e-4, "rtol": 2e-4}
"""The same over some steps of a sampler, each of which multiplies the difference by the guidance's weights: against
diffusers' own sampler, one call for each evaluation, another number of pictures, compiled code."""
