from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as multiprocessing

from mien.core.io import read_json
from mien.data.corpus import Corpus
from mien.errors import ConfigError
from mien.training.examples import Examples
from mien.training.parts import Part, apart, parts_of, rows_of, step_generators
from mien.training.sources import Sources
from tests.golden import assert_golden
from tests.training.parted_runs import STEPS, add_base, losses, options_of, process
from tests.training.small_base import write_base

CPU = torch.device("cpu")


def normal(count: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(count, 3, generator=generator)


def test_parts_draw_the_rows_of_the_whole_batch() -> None:
    _, whole = step_generators(5, 7, Part(0, 1), CPU)
    expected = [rows_of(normal, 6, whole) for _ in range(2)]
    for draws in range(2):
        found = []
        for index in range(3):
            _, part = step_generators(5, 7, Part(index, 3), CPU)
            found.append([rows_of(normal, 2, part) for _ in range(2)][draws])
        assert torch.equal(torch.cat(found), expected[draws])


def test_all_parts_choose_the_same_rows_and_a_single_part_those_of_before() -> None:
    before = np.random.default_rng([5, 7, 0])
    seed = int(before.integers(2**62))
    expected = before.integers(0, 100, 8)
    rng, generator = step_generators(5, 7, Part(0, 1), CPU)
    assert (rng.integers(0, 100, 8) == expected).all() and generator.initial_seed() == seed
    for index in range(4):
        assert (step_generators(5, 7, Part(index, 4), CPU)[0].integers(0, 100, 8) == expected).all()


def test_what_is_a_parts_own_differs_from_part_to_part() -> None:
    drawn = [torch.randn(4, generator=apart(step_generators(5, 7, Part(index, 2), CPU)[1])) for index in range(2)]
    assert not torch.equal(*drawn)
    alone = step_generators(5, 7, Part(0, 1), CPU)[1]
    assert apart(alone) is alone


def test_a_part_has_its_rows_of_every_entry() -> None:
    batch = {"a": torch.arange(6), "twice": torch.arange(12)}
    assert Part(1, 3).rows(batch)["a"].tolist() == [2, 3]
    assert Part(2, 3).rows(batch)["twice"].tolist() == [8, 9, 10, 11]
    assert Part(0, 1).rows(batch)["a"] is batch["a"]


def test_a_batch_that_does_not_divide_is_refused() -> None:
    assert parts_of(16, 4, 2) == 8
    with pytest.raises(ConfigError, match="A batch of 16 does not divide among 3 processes and 1 part in each: set "
                       "global_batch to 15"):  # fmt: skip
        parts_of(16, 3, 1)
    with pytest.raises(ConfigError, match="set global_batch to 8"):
        parts_of(2, 8, 1)


@pytest.fixture(scope="module")
def parted_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_base(tmp_path_factory.mktemp("parted"))
    add_base(folder)
    return folder


@pytest.mark.parametrize("kind", ["branch", "joint", "alignment"])
def test_a_part_is_read_alone_and_is_its_rows_of_the_whole_batch(
    parted_base: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = options_of(kind)
    objective = options.build(Sources((parted_base,)))
    data = parted_base / ("pairs" if getattr(options, "templates", False) else "data")
    corpus = Corpus.load(data)
    objective.prepare(corpus, parted_base)
    whole = objective.batch(corpus, np.random.default_rng(3), 6)
    rows, read, plain = whole.pop("row"), [], Examples.batch

    def batch(examples: Examples, rows: np.ndarray, other: np.ndarray, kinds: np.ndarray) -> dict[str, torch.Tensor]:
        read.append(rows.tolist())
        return plain(examples, rows, other, kinds)

    monkeypatch.setattr(Examples, "batch", batch)
    parts = [Part(1, 3), Part(2, 3)]
    found, told = objective.batch_parts(corpus, np.random.default_rng(3), 6, parts)
    assert read == [rows[2:4].tolist(), rows[4:].tolist()], "nothing is read for other processes"
    assert told is not None and torch.equal(told, rows)
    for part, values in zip(parts, found, strict=True):
        expected = part.rows(whole)
        assert values.keys() == expected.keys() and all(torch.equal(values[name], expected[name]) for name in values)


def _in_parts(base: Path, runs: Path, kinds: tuple[str, ...], steps: int = STEPS) -> dict[str, dict[str, float]]:
    """Losses of one process; two, and one, with and without accumulation have the same.

    The second process sees another disk. Float32 sums in another order: 1e-5 of a loss.
    """
    alone = {kind: losses(base, runs / "alone", kind, 1, steps) for kind in kinds}
    (runs / "runs").mkdir()
    multiprocessing.spawn(process, (str(base), str(runs / "runs"), kinds, steps), nprocs=2)
    several = read_json(runs / "runs" / "found.json")
    several |= {f"{kind} alone": losses(base, runs / "alone", kind, 4, steps) for kind in alone}
    assert len(several) == 3 * len(kinds)
    for name, found in several.items():
        # untrained, ICA's terms are near 1e-8, which is what rounding leaves of a cosine of one, on either side of 0
        assert found == pytest.approx(alone[name.split()[0]], rel=1e-5, abs=1e-7), name
    return alone


@pytest.mark.slow
def test_emojidiffs_stages_and_the_emotion_branch_too(parted_base: Path, tmp_path: Path) -> None:
    alone = _in_parts(parted_base, tmp_path, ("emotion", "refined", "alignment"))
    assert alone["alignment"].keys() == {"loss", "diffusion", "identity", "expression"}


def test_losses_are_the_same_in_however_many_parts_and_processes(parted_base: Path, tmp_path: Path) -> None:
    alone = _in_parts(parted_base, tmp_path, ("branch", "joint"))
    assert alone["joint"].keys() == {"loss", "diffusion", "ad"}
    # three steps of AdamW, between the kernels of `test_golden.py`; of the joint stage see the first step, below
    assert_golden("runs in parts", [alone["branch"]["loss"]], 1e-4)


def test_golden_losses_of_a_first_step_in_however_many_parts_and_processes(parted_base: Path, tmp_path: Path) -> None:
    """Before AdamW, which makes of a gradient's last bit a step of its own."""
    alone = _in_parts(parted_base, tmp_path, ("joint", "alignment"), steps=1)
    for kind, found in alone.items():
        assert_golden(f"first step of {kind}", [found["loss"], found["diffusion"]], 1e-5)
    assert_golden("first step of joint, AD", [alone["joint"]["ad"]], 1e-5)
