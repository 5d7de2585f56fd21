"""The API under schemathesis: whatever its own document allows or forbids, no answer is a fault of the server.

Its pytest plugin is not used: it wants an older pytest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

from mien.app.limits import Limits
from mien.app.service import PortraitService, Warm
from tests.app.browsing import served

usual = settings(deadline=None, derandomize=True, suppress_health_check=list[Any](HealthCheck), database=None)


@pytest.fixture(scope="module")
def schema(warm: Warm) -> Iterator[Any]:
    """A real server with limits that keep each drawing short, and what it says of itself."""
    service = PortraitService(Limits(rate=1_000_000, count=2, steps=3), reader="studio", load=lambda: warm)
    with served(service) as address:
        yield schemathesis.openapi.from_url(f"{address}api/openapi.json")


def fuzz(schema: Any, mode: GenerationMode, examples: int) -> int:
    """Ask every operation; the number of answers."""
    answers = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if mode is GenerationMode.NEGATIVE and operation.method == "get":
            continue  # nothing about it could be wrong

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(usual, max_examples=examples)
        def ask(case: Any) -> None:
            nonlocal answers
            answers += 1
            case.call_and_validate(checks=[not_a_server_error, content_type_conformance, status_code_conformance])

        ask()
    return answers


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_is_a_fault_of_the_server(schema: Any, mode: GenerationMode) -> None:
    assert fuzz(schema, mode, 2) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_of_many_is_a_fault_of_the_server(schema: Any, mode: GenerationMode) -> None:
    assert fuzz(schema, mode, 150) > 500
