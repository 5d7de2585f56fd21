"""The papers' protocols, chosen from an imported dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.data.importing.job import ImportJob
from mien.data.protocols import diverse, make_protocol, pairs_of
from mien.data.schema import Sample
from mien.errors import BadInput
from mien.evaluation.control.folders import emotions_stated
from mien.evaluation.control.scene import lay_out
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.protocols.real import PRESETS
from mien.generation.protocol_folder import read_protocol
from mien.generation.requests_file import read_lines
from tests.data.importing_fakes import colour_faces, fake_tools
from tests.raw_data import write_celeba, write_ffhq


def imported(source: Path, folder: Path, layout: str) -> Path:
    job = ImportJob.open(
        source, folder, fake_tools(), layout=layout, size=64, min_face=20, reader="colours", per_shard=5
    )
    job.run()
    return folder


@pytest.fixture(scope="module")
def celeba(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("celeba")
    return imported(write_celeba(folder / "raw", colour_faces, people=15, per_person=2), folder / "data", "celeba")


def test_celeba_2000_small(celeba: Path, tmp_path: Path) -> None:
    made = make_protocol("celeba-2000", celeba, tmp_path / "a", people=2, targets=3)
    again = make_protocol("celeba-2000", celeba, tmp_path / "b", people=2, targets=3)
    assert made == again and made == json.loads((tmp_path / "a" / "protocol.json").read_text())
    identities, targets = made["pictures"]["identities"], made["pictures"]["targets"]
    assert len({one["who"] for one in identities}) == 2
    assert not {one["who"] for one in identities} & {one["who"] for one in targets}
    tested = {line.split()[0] for line in (celeba.parent / "raw" / "Eval" / "list_eval_partition.txt").read_text()
              .splitlines() if line.endswith("2")}  # fmt: skip
    assert {Path(one["from"]).name for one in (*identities, *targets)} <= tested, "people that CelebA keeps for testing"
    assert all((tmp_path / "a" / "targets" / one["file"]).is_file() for one in targets)
    lines = list(read_lines(tmp_path / "a" / "requests.jsonl"))
    assert [line.error for line in lines] == [""] * 6 and len(made["pairs"]) == 6
    assert lines[0].values["emotion"].valence == 0.5
    stated = emotions_stated(tmp_path / "a" / "targets")
    assert list(stated) == [one["file"] for one in targets], "an evaluation steers by the emotions of the requests"
    by_target = {line.values["expression"].name: line.values["emotion"] for line in lines}
    assert stated == by_target and emotions_stated(tmp_path) == {}
    assert read_protocol(tmp_path / "a", "celeba-2000")["protocol"] == "celeba-2000"
    with pytest.raises(BadInput, match="holds the protocol celeba-2000, not synth-500"):
        read_protocol(tmp_path / "a", "synth-500")


def test_the_papers_numbers_are_those_of_evaluation() -> None:
    pairs = pairs_of(100, 100, 20)
    assert len(pairs) == 2000 and {target for _, target in pairs} == set(range(100))
    laid = lay_out(ControlSettings(people=100, targets=100, pairs_per_person=20))
    assert pairs == [[pair.person, pair.target] for pair in laid]


def test_reference_sets_and_people_alone(tmp_path: Path) -> None:
    data = imported(write_ffhq(tmp_path / "raw", colour_faces, people=6, side=96), tmp_path / "data", "ffhq")
    made = make_protocol("ffhq-fid", data, tmp_path / "fid", people=4)
    assert len(list((tmp_path / "fid" / "reference").glob("*.png"))) == 4 and "pairs" not in made
    assert len(make_protocol("synth-500", data, tmp_path / "synth", people=5)["pictures"]["identities"]) == 5
    with pytest.raises(BadInput, match="has 6 people and 500 are needed: give fewer with --people"):
        make_protocol("agedb-500", data, tmp_path / "agedb")
    with pytest.raises(BadInput, match="choose one of: celeba-2000"):
        make_protocol("lfw", data, tmp_path / "lfw")


def test_diverse_pictures_are_far_apart() -> None:
    def sample(number: int, yaw: float, jaw: float) -> Sample:
        shapes = [0.0] * 52
        shapes[25] = jaw
        return Sample.checked(person=number, picture=0, pose_mediapipe=[yaw, 0, 0], blendshapes_mediapipe=shapes)

    samples = [
        sample(n, yaw, jaw) for n, (yaw, jaw) in enumerate([(0, 0), (1, 0), (40, 0), (-40, 0), (2, 1), (0, 0.1)])
    ]
    assert set(diverse(samples, range(6), 4)) >= {2, 3, 4}


def test_a_set_is_compared_whatever_its_files_are_called(tmp_path: Path) -> None:
    from mien.evaluation.score import score_sets

    rng = np.random.default_rng(0)
    for side, count in (("a", 5), ("b", 7)):
        (tmp_path / side / "inside").mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 255, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / side / "inside" / f"{side}{number}.png")
    sides = [sorted((tmp_path / side).rglob("*.png")) for side in ("a", "b")]

    def look(images: Any) -> np.ndarray:
        return np.stack([np.asarray(image, np.float64).mean((0, 1)) for image in images])

    found = score_sets(sides[0], sides[1], {"studio": look})
    assert (found["reference"], found["generated"]) == (5, 7) and found["metrics"]["kid.studio"]["n"] == 5
    same = score_sets(sides[0], sides[0], {"studio": look})
    assert abs(same["metrics"]["frechet.studio"]["value"]) < 1e-6 < found["metrics"]["frechet.studio"]["value"]
    with pytest.raises(BadInput, match="at least two"):
        score_sets(sides[0][:1], sides[1], {"studio": look})


def test_every_preset_names_a_protocol_of_ours() -> None:
    from mien.data.protocols import PROTOCOLS
    from mien.evaluation.protocols import PROTOCOLS as OURS

    for name, preset in PRESETS.items():
        assert name in PROTOCOLS and preset.protocol in OURS
