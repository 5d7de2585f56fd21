from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from mien.core.stages import trial
from mien.core.stages.execute import execute, parse_part
from mien.core.stages.local import _take_gpu
from mien.core.stages.ray import _Worker
from mien.core.stages.trial import poisoned
from mien.errors import BadInput, MienError
from tests.core.stages.doubling import Doubling


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.glob("*.txt"))}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("expected")
    assert execute(Doubling(folder), workers=1)
    assert not (folder / ".stage-doubling").exists() and len(content(folder)) == 6
    return content(folder)


def counting(counts: list[int]) -> Any:
    from contextlib import nullcontext

    return lambda total, label: nullcontext(lambda count, note="", /: counts.append(count))


def test_any_number_of_workers_and_parts_gives_the_same_bytes(tmp_path: Path, expected: dict[str, str]) -> None:
    """Also where processes die on the way: what they were at is done again."""
    counts: list[int] = []
    assert execute(Doubling(tmp_path / "two", kills_once=(6, 13)), workers=2, bar=counting(counts))
    assert content(tmp_path / "two") == expected and sum(counts) >= 20 and not poisoned(tmp_path / "two")
    for part in (2, 1):
        assert not execute(Doubling(tmp_path / "parts"), workers=1, part=(part, 2))
        if part == 2:
            assert sorted(content(tmp_path / "parts")) == ["1.txt", "3.txt"]
            with pytest.raises(MienError, match=r"3 of 5 tasks of doubling .* are not done: run the parts first"):
                execute(Doubling(tmp_path / "parts"), finish_only=True)
    assert execute(Doubling(tmp_path / "parts"), finish_only=True)
    assert content(tmp_path / "parts") == expected


def test_what_is_done_is_not_done_again(tmp_path: Path, expected: dict[str, str]) -> None:
    execute(Doubling(tmp_path), workers=1, part=(1, 2))
    (tmp_path / "2.txt").write_text("kept\n")
    execute(Doubling(tmp_path), workers=1)
    assert content(tmp_path)["2.txt"] == "kept\n" and content(tmp_path)["1.txt"] == expected["1.txt"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sample_that_fails_is_skipped_after_three_tries(
    tmp_path: Path, workers: int, expected: dict[str, str]
) -> None:
    execute(Doubling(tmp_path, fails=(5, 7)), workers=workers)
    lines = [line for line in expected["all.txt"].splitlines(keepends=True) if line.split()[0] not in ("5", "7")]
    assert content(tmp_path)["all.txt"] == "".join(lines)
    told = poisoned(tmp_path)
    assert [(line["sample"], line["tries"], line["reason"]) for line in told] == [
        ("s5", 3, "ValueError: a bad sample"), ("s7", 3, "ValueError: a bad sample"),
    ]  # fmt: skip


def test_a_process_killed_before_it_tells_what_it_left_out_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(trial, "append_line", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            execute(Doubling(tmp_path, tasks=2, fails=(5,)), workers=1)
    assert (tmp_path / "1.txt").exists() and not poisoned(tmp_path)
    assert execute(Doubling(tmp_path, tasks=2, fails=(5,)), workers=1)
    assert [(line["task"], line["sample"]) for line in poisoned(tmp_path)] == [(1, "s5")]


def test_a_sample_that_kills_its_process_is_skipped_after_three_tries(tmp_path: Path) -> None:
    execute(Doubling(tmp_path, tasks=2, kills=(5,)), workers=2)
    assert [line["reason"] for line in poisoned(tmp_path)] == ["its process died"]
    assert [line.split()[0] for line in content(tmp_path)["1.txt"].splitlines()] == ["4", "6", "7"]


class Broken(Doubling):
    """That cannot be set up, or fails outside its samples."""

    name = "broken"

    def setup(self) -> Any:
        if self.tasks == 2:
            raise MienError("The kit is missing: give it.")

        def process(task: int, trial: Any) -> None:
            raise MienError("Cannot write there: free some space.")

        return process


@pytest.mark.parametrize(("tasks", "said"), [(2, "The kit is missing"), (3, "free some space")])
@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_no_samples_fault_ends_the_work(tmp_path: Path, tasks: int, said: str, workers: int) -> None:
    with pytest.raises(MienError, match=said):
        execute(Broken(tmp_path, tasks=tasks), workers=workers)
    assert not poisoned(tmp_path)


def test_parts_and_executors_are_checked(tmp_path: Path) -> None:
    assert parse_part("2/8") == (2, 8) and parse_part(None) is None
    for text in ("0/2", "3/2", "1", "a/b", "1/2/3"):
        with pytest.raises(BadInput, match="is no part"):
            parse_part(text)
    with pytest.raises(BadInput, match="no executor 'slurm': choose local or ray"):
        execute(Doubling(tmp_path), executor="slurm")


@pytest.mark.slow
def test_a_ray_cluster_that_loses_a_node_writes_the_same_bytes(tmp_path: Path, expected: dict[str, str]) -> None:
    ray: Any = pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    import threading
    import time

    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        ray.init(address=cluster.address, log_to_driver=False)
        cluster.wait_for_nodes()

        def kill() -> None:
            while not list(tmp_path.glob("*.txt")):  # when the first task is done, others are on their way
                time.sleep(0.1)
            cluster.remove_node(nodes[0], allow_graceful=False)

        killer = threading.Thread(target=kill)
        killer.start()
        execute(Doubling(tmp_path, slow=0.5), executor="ray", workers=3)
        killer.join()
        assert content(tmp_path) == expected and not poisoned(tmp_path)
    finally:
        ray.shutdown()
        cluster.shutdown()


def test_workers_of_ray_work_where_the_command_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With relative paths, and with the settings of its environment."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("MIEN_ASSETS", "other")
    worker = _Worker(Doubling(Path("out")), tmp_path, {"MIEN_ASSETS": "assets"})
    assert worker({"task": np.array([3])})["size"].tolist() == [4]
    assert (tmp_path / "out" / "3.txt").exists() and os.environ["MIEN_ASSETS"] == "assets"


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(MienError, match=r"Cannot write .*\.at: No space left on device; free some space"):
        execute(Doubling(tmp_path), workers=1)


def test_workers_of_a_machine_with_several_gpus_see_one_each(monkeypatch: pytest.MonkeyPatch) -> None:
    for visible, wanted in (("3,5", ["3", "5", "3"]), ("2", ["2", "2", "2"]), ("", ["", "", ""])):
        found = []
        for number in range(3):
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
            monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
            _take_gpu(number)
            found.append(os.environ["CUDA_VISIBLE_DEVICES"])
        assert found == wanted
    found = []
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    for number in range(3):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
        _take_gpu(number)
        found.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert found == ["0", "1", "0"]
