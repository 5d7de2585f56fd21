"""Names that a package imports when they are first used."""

from __future__ import annotations

import importlib

import pytest

PACKAGES = ("mien", "mien.adapters", "mien.diffusion", "mien.faces", "mien.pipelines", "mien.provenance", "mien.studio")


@pytest.mark.parametrize("name", PACKAGES)
def test_each_name_of_a_package_is_there_and_no_other(name: str) -> None:
    package = importlib.import_module(name)
    assert dir(package) == sorted(package.__all__)
    assert set(package._EXPORTS) == set(package.__all__) - {"__version__"}
    assert all(getattr(package, one) is not None for one in package.__all__)
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'nothing'"):
        package.nothing  # noqa: B018 - to be refused
