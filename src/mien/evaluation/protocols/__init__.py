"""The evaluation protocols, by name."""

from __future__ import annotations

from collections.abc import Mapping

from mien.errors import BadInput, one_of
from mien.evaluation.protocols.autoencoder import AUTOENCODER
from mien.evaluation.protocols.base import EvaluationRun, Protocol, Report
from mien.evaluation.protocols.control import CONTROL, EXPRESSION
from mien.evaluation.protocols.distribution import DISTRIBUTION
from mien.evaluation.protocols.diversity import ABLATION, DIVERSITY
from mien.evaluation.protocols.fairness import FAIRNESS
from mien.evaluation.protocols.text import TEXT

__all__ = ["PROTOCOLS", "EvaluationRun", "Protocol", "Report", "protocol_named"]

PROTOCOLS: Mapping[str, Protocol] = {
    one.name: one for one in (CONTROL, DIVERSITY, ABLATION, EXPRESSION, FAIRNESS, TEXT, DISTRIBUTION, AUTOENCODER)
}


def protocol_named(name: str) -> Protocol:
    """A protocol by name.

    Raises:
        BadInput: if there is none of that name.

    Example:
        >>> from mien.evaluation.protocols import protocol_named
        >>> protocol_named("control").name
        'control'
    """
    if name not in PROTOCOLS:
        raise BadInput(f"There is no protocol {name!r}{one_of(name, PROTOCOLS)}.")
    return PROTOCOLS[name]
