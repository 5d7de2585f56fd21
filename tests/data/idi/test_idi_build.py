"""Building pairs: what is kept, what is told, and going on after being stopped."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.core.stages.execute import execute
from mien.core.stages.trial import poisoned
from mien.data.corpus import Corpus
from mien.data.idi.build import PairsStage
from mien.data.idi.folder import claim_pairs, is_finished, report_of
from mien.data.idi.manifest import MANIFEST
from mien.data.idi.source import Portraits
from mien.data.shards import read_shard, shard_paths
from mien.errors import BadInput, ConfigError
from tests.data.idi_fakes import builder, reopened
from tests.manifests import read_manifest
from tests.synthetic import write_corpus

pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'mien[pairs]'")
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("portraits"), people=8, per_person=5)


@pytest.fixture(scope="module")
def built(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    builder(data).build(folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    written = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name != ".lock"]
    return {path.name: path.read_bytes() for path in written}


def test_every_attempt_is_told_and_every_pair_kept(data: Path, built: Path) -> None:
    rows, portraits = read_manifest(built / MANIFEST), Portraits(data)
    assert {row["reason"] for row in rows} == {"kept", "no face", "exp", "identity"}
    assert {row["row"] for row in rows} == set(range(40)) and {row["models"] for row in rows} == {
        f'{{"fake": "{"0" * 64}"}}'
    }
    for row in rows:
        people = {key.split("-")[0] for key in (row["key"], row["second"], row["third"])}
        assert len(people) == 3, "second and third are other people"
        assert row["kept"] == (row["reason"] == "kept") and (row["exp"] is None) == (row["reason"] == "no face")
        again = [other for other in rows if other["row"] == row["row"] and other["attempt"] > row["attempt"]]
        assert bool(again) == (row["attempt"] == 0 and not row["kept"]), "another attempt exactly where one failed"
    pairs = [entry for path in shard_paths(built) for entry in read_shard(path)]
    kept = [row for row in rows if row["kept"]]
    assert [entry.sample.key for entry in pairs] == [row["key"] for row in kept]
    assert len(shard_paths(built)) == -(-len(kept) // 10)
    for entry, row in zip(pairs, kept, strict=True):
        own = portraits[row["row"]]
        assert (entry.image == own.image).all() and entry.template is not None
        assert (entry.template != entry.image).any() and entry.sample.template is not None
        assert entry.sample.template.source == "recolour" and entry.sample.template.person is None
    assert not (built / ".parts").exists()
    assert "kept" in (built / "report.html").read_text(encoding="utf-8")


def test_pairs_train_as_a_corpus(built: Path) -> None:
    corpus = Corpus.load(built)
    assert corpus["templates"].shape == corpus["images"].shape
    assert corpus["template_landmarks"].shape == (len(corpus), 478, 3)


def test_going_on_makes_the_same_bytes_and_nothing_twice(data: Path, built: Path, tmp_path: Path) -> None:
    first = builder(data)
    for number in (0, 3):
        first._batch(tmp_path, number)
    second = builder(data)
    assert second.build(tmp_path)["pairs"] > 0
    assert contents(tmp_path) == contents(built)
    whole = builder(data)
    whole.build(tmp_path / "whole")
    assert first.maker.made + second.maker.made == whole.maker.made  # type: ignore[attr-defined]
    idle = builder(data)
    idle.build(tmp_path)
    assert idle.maker.made == 0, "a finished set is left alone"  # type: ignore[attr-defined]


def test_any_number_of_workers_makes_the_same_bytes(data: Path, built: Path, tmp_path: Path) -> None:
    request = builder(data).request
    claim_pairs(tmp_path, request)
    assert execute(PairsStage(tmp_path, request, None, partial(reopened, data)), workers=2)
    report_of(tmp_path)
    assert contents(tmp_path) == contents(built)


def test_a_batch_that_cannot_be_drawn_is_left_out_and_told(data: Path, tmp_path: Path) -> None:
    made = builder(data)
    plain, maker = made.maker.make, made.maker

    def make(jobs: Any) -> Any:
        if jobs[0].sample.key == made.portraits[4].sample.key:
            raise ValueError("no face came out")
        return plain(jobs)

    maker.make = make  # type: ignore[method-assign]
    made.build(tmp_path)
    told = poisoned(tmp_path)
    assert [line["sample"] for line in told] == ["batch 1, attempt 0", "batch 1, attempt 1"]
    assert {line["reason"] for line in told} == {"ValueError: no face came out"}
    keys = {entry.sample.key for path in shard_paths(tmp_path) for entry in read_shard(path)}
    assert keys and not keys & {made.portraits[row].sample.key for row in made.request.rows(1)}


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_any_moment_it_ends_the_same(data: Path, built: Path, tmp_path: Path, kills: int) -> None:
    command = [sys.executable, "-m", "tests.data.idi_fakes", str(data), str(tmp_path), "0.02"]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    dice = random.Random(kills)
    for _ in range(kills):
        process = subprocess.Popen(command, cwd=ROOT, env=environment)
        started = time.monotonic()
        while not (tmp_path / ".parts").exists() and process.poll() is None and time.monotonic() - started < 60:
            time.sleep(0.02)
        time.sleep(dice.uniform(0.0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    assert contents(tmp_path) == contents(built)


def test_no_pair_is_an_error_and_other_thresholds_go_on_in_the_folder(data: Path, built: Path, tmp_path: Path) -> None:
    strict = {"identity": -0.99}
    first = builder(data, thresholds=strict)
    for _ in range(2):  # the second time nothing is drawn
        with pytest.raises(BadInput, match=r"None of 80 attempts was kept .*identity.*larger --exp or --lms"):
            first.build(tmp_path)
    assert first.maker.made == 80  # type: ignore[attr-defined]
    assert is_finished(tmp_path) and not shard_paths(tmp_path) and len(read_manifest(tmp_path / MANIFEST)) == 80
    with pytest.raises(ConfigError, match="other pairs"):
        builder(data, thresholds=strict, seed=4).build(tmp_path)
    second = builder(data)
    assert second.build(tmp_path)["pairs"] > 0
    assert contents(tmp_path) == contents(built)
    with pytest.raises(ConfigError, match="other pairs"):
        builder(data, thresholds=strict).build(tmp_path)  # a folder with pairs gives nothing up


def test_batches_that_other_thresholds_leave_empty_are_not_drawn_again(data: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="None of 80 attempts"):
        builder(data, thresholds={"identity": -0.99}).build(tmp_path)
    second = builder(data, thresholds={"exp": 1e-9, "identity": -0.98})
    with pytest.raises(BadInput, match="exp 6"):
        second.build(tmp_path)
    assert second.maker.made == 0  # type: ignore[attr-defined]
    with pytest.raises(BadInput, match="None of 80 attempts"):
        builder(data, thresholds={"exp": 1e-9, "identity": -0.98}).build(tmp_path / "fresh")
    ours, fresh = contents(tmp_path), contents(tmp_path / "fresh")
    assert ours == fresh, "judged again is judged as at first"


def test_another_request_is_refused(data: Path, built: Path) -> None:
    with pytest.raises(ConfigError, match=r"other pairs \(seed 3 instead of 4\)"):
        builder(data, seed=4).build(built)
    with pytest.raises(BadInput, match=r"thresholds\.lms"):
        builder(data, thresholds={"lms": -1})
    with pytest.raises(BadInput, match="colour"):
        builder(data, colour=1)


def test_a_folder_without_enough_people_is_refused(tmp_path: Path) -> None:
    write_corpus(tmp_path / "two", people=2, per_person=3)
    with pytest.raises(BadInput, match="fewer than three people"):
        builder(tmp_path / "two").build(tmp_path / "out")
    with pytest.raises(BadInput, match="No shards"):
        Portraits(tmp_path / "nothing")


def test_portraits_are_found_across_shards(data: Path, tmp_path: Path) -> None:
    for number, first in enumerate((0, 10)):
        write_corpus(tmp_path / str(number), people=3, per_person=2, first=first)
        (tmp_path / str(number) / "shard-00000.tar").rename(tmp_path / f"shard-0000{number}.tar")
    portraits = Portraits(tmp_path)
    assert len(portraits) == 12 and [portraits[row].sample.person for row in (0, 5, 6, 11)] == [0, 2, 10, 12]
    assert portraits.sample(7) == portraits[7].sample and np.asarray(portraits[3].image).shape == (128, 128, 3)


def test_second_and_third_people_come_from_other_shards(tmp_path: Path) -> None:
    """Each shard holds one person, as a dataset sorted by people has it."""
    for person in range(4):
        write_corpus(tmp_path / str(person), people=1, per_person=3, first=person)
        (tmp_path / str(person) / "shard-00000.tar").rename(tmp_path / f"shard-{person:05d}.tar")
    made = builder(tmp_path)
    people = {made.portraits.sample(row).key: made.portraits.sample(row).person for row in range(len(made.portraits))}
    for row in range(len(made.portraits)):
        _, keys = made.job(row, 0, made.read(row))
        assert len({made.portraits.sample(row).person, *(people[key] for key in keys)}) == 3
