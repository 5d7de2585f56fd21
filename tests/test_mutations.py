"""Each equation has a test that fails when the equation is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutations import MUTATIONS, ROOT, copy_of_source, run_tests, survives


def test_each_mutation_changes_one_place() -> None:
    assert len({one.name for one in MUTATIONS}) == len(MUTATIONS) >= 20
    for one in MUTATIONS:
        assert (ROOT / "src" / "mien" / one.file).read_text().count(one.old) == 1, one.name
        file, _, name = one.test.partition("::")
        assert f"def {name.partition('[')[0]}(" in (ROOT / "tests" / file).read_text(), one.name
        assert one.old != one.new


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source that the tests pass on."""
    copy = copy_of_source(tmp_path_factory.mktemp("mutated"))
    done = run_tests(copy, sorted({one.test for one in MUTATIONS}))
    assert done.returncode == 0, done.stdout[-3000:]
    return copy


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(MUTATIONS)), ids=[one.name for one in MUTATIONS])
def test_a_broken_equation_is_noticed(number: int, source: Path) -> None:
    assert survives(MUTATIONS[number], source) is None
