import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.core.io import write_json
from mien.demo.examples import Examples
from mien.demo.plan import plan
from mien.demo.run import BATCH, batches, run
from mien.errors import MissingAsset
from mien.faces.types import Face, NoFace, OneFace, Reading, SeveralFaces
from mien.provenance.png import examine
from tests.fakes import FakePipeline, fake_tools, landmarks


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    index: dict[str, list[dict[str, str]]] = {"people": [], "templates": []}
    generator = np.random.default_rng(0)
    for key, names in {"people": ("A", "B & C", "D"), "templates": ("laugh", "frown")}.items():
        for name in names:
            file = f"{key}-{len(index[key])}.png"
            Image.fromarray(generator.integers(0, 256, (64, 64, 3), np.uint8)).save(folder / file)
            index[key].append({"name": name, "file": file})
    write_json(folder / "examples.json", index)
    return folder


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Path:
    tmp_path = tmp_path_factory.mktemp("run")
    pipeline, tools = FakePipeline(tmp_path / "model"), fake_tools()

    def read(image: Image.Image, source: str) -> Reading:
        generator = np.random.default_rng(int(np.asarray(image).sum()))
        shapes = generator.random(52).astype(np.float32)
        face = Face("studio", (0, 0, 1, 1), landmarks=landmarks(), blendshapes=shapes, pose=(1.0, 2.0, 3.0))
        return OneFace(face, source)

    folder = tmp_path / "demo"
    page = run(folder, steps=1, examples=examples, pipeline=pipeline, tools=replace(tools, read=read))
    assert page == folder / "index.html"
    return folder


def test_it_writes_a_page_its_numbers_and_every_picture(demo: Path, examples: Path) -> None:
    assert sorted(path.name for path in demo.iterdir()) == ["index.html", "metrics.json", "pictures", "sheet.png"]
    names = {path.name for path in (demo / "pictures").iterdir()}
    assert names == {cell.file_name for cell in plan(Examples.load(examples))} and len(names) == 34
    assert "expression-B-C-laugh.png" in names


def test_reading_drawing_and_measuring_are_counted_and_pictures_come_as_they_are_drawn(
    tmp_path: Path, examples: Path
) -> None:
    counted: dict[str, list[int]] = {}
    files: list[int] = []

    @contextmanager
    def bar(total: int | None, label: str) -> Iterator[Any]:
        counted[label] = []

        def advance(count: int, note: str = "", /) -> None:
            counted[label].append(count)
            if label == "drawing":
                files.append(len(list((tmp_path / "demo" / "pictures").glob("*.png"))))

        yield advance
        assert sum(counted[label]) == total

    tools = fake_tools()
    run(tmp_path / "demo", steps=1, examples=examples, pipeline=FakePipeline(tmp_path / "m"), tools=tools, bar=bar)
    assert list(counted) == ["reading", "drawing", "measuring"]
    assert files == [6, 20, 34]


def test_nothing_scrolls_inside_the_page(demo: Path) -> None:
    style = (demo / "index.html").read_text(encoding="utf-8").split("</style>")[0]
    assert "overflow: hidden" in style  # of the rounded pictures
    assert not re.search(r"overflow(-[xy])?: *(auto|scroll)", style)


def test_metrics_are_stable_json(demo: Path) -> None:
    metrics = json.loads((demo / "metrics.json").read_text())
    assert set(metrics) == {
        "mien", "base", "reader", "speed", "steps", "seed", "pictures", "seconds", "metrics", "cells"
    }  # fmt: skip
    assert list(metrics["metrics"]) == ["faces", "exp", "lms", "pose_error", "identity", "identity_top1"]
    for metric in metrics["metrics"].values():
        assert set(metric) == {"title", "value", "baseline", "unit", "better", "meaning", "pictures"}
    assert metrics["metrics"]["faces"]["value"] == 1.0
    assert metrics["pictures"] == len(metrics["cells"]) == 3 * 2 + 2 * 7 + 2 * 7
    sections = {cell["section"] for cell in metrics["cells"]}
    assert sections == {"expression", "pose", "emotion"}
    assert metrics["reader"] == "studio"


def test_the_page_needs_nothing_else(demo: Path) -> None:
    html = (demo / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", html)
    assert "http" not in re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", html)
    assert "prefers-color-scheme: dark" in html
    assert "B &amp; C" in html
    assert "$" not in re.sub(r"<script>.*?</script>|data:[^\"]+", "", html, flags=re.S)
    assert html.count('class="cell"') == 34


def test_every_picture_carries_its_origin(demo: Path, tmp_path: Path) -> None:
    import base64

    html = (demo / "index.html").read_text(encoding="utf-8")
    source = re.search(r'class="cell"[^>]*><img src="data:image/png;base64,([^"]+)"', html)
    assert source
    (tmp_path / "cell.png").write_bytes(base64.b64decode(source[1]))
    for file in (demo / "sheet.png", tmp_path / "cell.png"):
        found = examine(file)
        assert found.record is not None
        assert found.watermark_fits
        assert set(found.record.inputs) == {"people-0", "people-1", "people-2", "templates-0", "templates-1"}


def test_the_sheet_has_a_tile_for_every_cell(demo: Path) -> None:
    with Image.open(demo / "sheet.png") as sheet:
        assert sheet.width > 7 * 128
        assert sheet.height > 7 * 128
        assert sheet.mode == "RGB"


def test_batches_share_their_conditions(examples: Path) -> None:
    cells = plan(Examples.load(examples))
    groups = batches(cells)
    assert [index for group in groups for index in group] == list(range(len(cells)))
    assert max(map(len, groups)) <= BATCH
    assert all(len({cells[index].section for index in group}) == 1 for group in groups)


def test_a_lost_face_is_counted_not_fatal(tmp_path: Path, examples: Path) -> None:
    tools = fake_tools()

    def read(image: Image.Image, source: str) -> Reading:
        return NoFace(source) if source == "an output" else tools.read(image, source)

    run(
        tmp_path / "demo",
        steps=1,
        examples=examples,
        pipeline=FakePipeline(tmp_path / "model"),
        tools=replace(tools, read=read),
    )
    metrics = json.loads((tmp_path / "demo" / "metrics.json").read_text())["metrics"]
    assert metrics["faces"]["value"] == 0.0
    assert metrics["exp"]["value"] is None
    assert 'class="cell lost"' in (tmp_path / "demo" / "index.html").read_text()


def test_missing_examples_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(MissingAsset, match="example pictures are missing"):
        Examples.load(tmp_path)


def test_a_second_face_in_an_example_is_told_once(tmp_path: Path, examples: Path) -> None:
    tools = fake_tools()
    two = SeveralFaces((tools.read(None, "x").face(), Face("studio", (0, 0, 1, 1))), "an example")  # type: ignore
    with pytest.warns(UserWarning, match="2 faces found") as told:
        run(
            tmp_path / "demo", steps=1, examples=examples, pipeline=FakePipeline(tmp_path / "model"),
            tools=replace(tools, read=lambda image, source: two),
        )  # fmt: skip
    assert len([one for one in told if "2 faces" in str(one.message)]) == 3 + 2


def test_the_pictures_are_drawn_at_the_speed_that_is_asked_for(tmp_path: Path, examples: Path) -> None:
    pipeline = FakePipeline(tmp_path / "model")
    run(tmp_path / "demo", steps=1, examples=examples, pipeline=pipeline, tools=fake_tools())
    assert {call["speed"] for call in pipeline.calls} == {"fast"}
    record = examine(tmp_path / "demo" / "sheet.png").record
    assert record is not None and record.settings["speed"] == "fast"
    told = {"speed": "exact", "made_by": {"command": "mien demo"}}
    run(tmp_path / "slow", steps=1, examples=examples, pipeline=pipeline, tools=fake_tools(), **told)
    assert pipeline.calls[-1]["speed"] == "exact"
    metrics = json.loads((tmp_path / "slow" / "metrics.json").read_text())
    assert metrics["speed"] == "exact" and metrics["made_by"] == {"command": "mien demo"}
