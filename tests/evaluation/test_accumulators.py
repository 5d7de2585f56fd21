from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch.multiprocessing as multiprocessing

from mien.evaluation.accumulators import FeatureMoments, Rows
from mien.metrics.distributions import Moments, frechet_distance

ROWS = np.array([0.5, np.nan, 2.0, 3.0, np.nan, 1.0])
FEATURES = np.random.default_rng(0).normal(size=(40, 5)) * [1, 2, 3, 4, 5]


def test_rows_count_what_failed() -> None:
    rows = Rows()
    rows.add(ROWS[:2])
    rows.add(ROWS[2:])
    found = rows.value()
    assert (found.value, found.n, found.n_failed) == (pytest.approx(6.5 / 4), 4, 2)
    root = Rows(root=True)
    root.add([3.0, -4.0])
    assert root.value().value == pytest.approx(12.5**0.5)


def test_nothing_is_nan_and_not_zero() -> None:
    assert np.isnan(Rows().value().value)
    failed = Rows()
    failed.add([np.nan])
    assert (failed.value().n, failed.value().n_failed) == (0, 1)
    with pytest.raises(ValueError, match="no features"):
        FeatureMoments().total()


def _worker(rank: int, folder: str) -> None:
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    rows, features = Rows(root=True), FeatureMoments()
    own = slice(0, 4) if rank == 0 else slice(4, None)  # parts of different sizes
    rows.add(ROWS[own])
    for part in np.array_split(FEATURES[rank::2], 3):
        features.add(part)
    value, moments = rows.value(), features.total()
    np.savez(Path(folder) / f"{rank}.npz", value=[value.value, value.n, value.n_failed], mean=moments.mean,
             scatter=moments.scatter)  # fmt: skip
    dist.destroy_process_group()


def test_two_processes_agree_with_one(tmp_path: Path) -> None:
    multiprocessing.spawn(_worker, (str(tmp_path),), nprocs=2)
    alone = Rows(root=True)
    alone.add(ROWS)
    value, moments = alone.value(), Moments.of(FEATURES)
    for rank in range(2):
        with np.load(tmp_path / f"{rank}.npz") as found:
            np.testing.assert_allclose(found["value"], [value.value, value.n, value.n_failed], rtol=1e-5)
            together = Moments(len(FEATURES), found["mean"], found["scatter"])
        np.testing.assert_allclose(together.covariance, moments.covariance, rtol=1e-5, atol=1e-9)
        assert frechet_distance(together, moments) == pytest.approx(0, abs=1e-6)
