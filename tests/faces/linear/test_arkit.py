import numpy as np
import pytest

from mien.faces.linear.arkit import (
    BLENDSHAPE_NAMES,
    KIT_NAMES,
    kit_indices,
    kit_to_blendshape,
)


def test_sizes_and_order() -> None:
    assert len(KIT_NAMES) == 53 and len(BLENDSHAPE_NAMES) == 52
    assert BLENDSHAPE_NAMES[0] == "_neutral"
    assert BLENDSHAPE_NAMES[3] == "browInnerUp" and BLENDSHAPE_NAMES[25] == "jawOpen"
    assert BLENDSHAPE_NAMES[51] == "noseSneerRight"


def test_names_are_the_kits(kit_path) -> None:
    with np.load(kit_path, allow_pickle=False) as kit:
        assert tuple(str(name) for name in kit["expr_names"]) == KIT_NAMES


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("mouthSmile_L", ["mouthSmile_L"]),
        ("mouthSmileLeft", ["mouthSmile_L"]),
        ("MOUTHSMILELEFT", ["mouthSmile_L"]),
        ("mouthSmile", ["mouthSmile_L", "mouthSmile_R"]),
        ("cheekPuff", ["cheekPuff_L", "cheekPuff_R"]),
        ("jawOpen", ["jawOpen"]),
        ("tongueOut", []),
    ],
)
def test_spellings(name: str, meant: list[str]) -> None:
    assert [KIT_NAMES[i] for i in kit_indices(name)] == meant


def test_every_blendshape_reaches_the_kit() -> None:
    meant = {name: kit_indices(name) for name in BLENDSHAPE_NAMES[1:]}
    assert sorted(i for indices in meant.values() for i in indices) == list(range(len(KIT_NAMES)))
    assert all(kit_to_blendshape(KIT_NAMES[i]) == name for name, indices in meant.items() for i in indices)
