from __future__ import annotations

import json
import pickle
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mien.generation.many as many_module
from mien.conditions import EMOTIONS, Emotion
from mien.errors import BadInput, ConfigError, MienError
from mien.generation.conditioning import PipelineInputs
from mien.generation.generate import DrawnPicture
from mien.generation.many import generate_many
from mien.generation.requests_file import read_lines

VECTOR = [0.4, 0.2, 0.1, 0.9, 0, 0, 0, 0, 0, 0]


class FakeDrawer:
    """Notes what it draws as (prompt, seed); a picture's colour says its seed, and its height the size of its batch."""

    def __init__(self) -> None:
        self.log: list[tuple[str, int]] = []
        self.sizes: list[int] = []
        self.read: list[str] = []

    def prepare(self, request: Any) -> Any:
        """A request with the prompt ``bad`` cannot be read."""
        self.read.append(request.prompt)
        if request.prompt == "bad":
            raise BadInput("no face found")
        return SimpleNamespace(request=request, inputs=PipelineInputs(prompt=request.prompt))

    def draw(self, rows: list[Any]) -> list[DrawnPicture]:
        """One with ``odd`` cannot be drawn at first, one with ``broken`` never, one with ``crowd`` in no batch."""
        asked = [(one.request.prompt, one.request.seed + index) for one, index in rows]
        self.sizes.append(len(rows))
        self.log += asked
        for prompt, seed in asked:
            if prompt == "odd" and self.log.count(("odd", seed)) < 3:
                raise RuntimeError("out of luck")
            if prompt == "broken" or (prompt == "crowd" and len(asked) > 1):
                raise RuntimeError("out of memory")
        return [DrawnPicture(Image.new("RGB", (16, len(rows)), (seed % 256, 0, 0)), None) for _, seed in asked]


@pytest.fixture
def drawer(monkeypatch: pytest.MonkeyPatch) -> FakeDrawer:
    found = FakeDrawer()
    monkeypatch.setattr(many_module.Drawer, "load", lambda shared: found)
    return found


@pytest.fixture
def drawn(drawer: FakeDrawer) -> list[tuple[str, int]]:
    """What was drawn, as (prompt, seed)."""
    return drawer.log


def run(source: Path, folder: Path, **options: Any) -> Any:
    defaults = {"steps": 5} | options.pop("defaults", {})
    return generate_many(source, folder, defaults, **{"per_part": 2, **options})


def written(path: Path, *lines: dict[str, Any] | str) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines()]


def test_every_line_has_a_row_and_failures_do_not_stop_the_rest(tmp_path: Path, drawn: list[tuple[str, int]]) -> None:
    source = written(
        tmp_path / "asked.jsonl", {"id": "a", "prompt": "one", "seed": 3}, {"prompt": "bad"}, "no json",
        {"prompt": "two", "count": 2, "seed": 8}, {"prompt": "odd"}, {"prompt": "broken"},
        {"id": "../x", "prompt": "x"}, {"base": "sd15", "prompt": "x"}, {"prompt": "x", "steps": -1},
    )  # fmt: skip
    counts = run(source, tmp_path / "out")
    assert (counts.requests, counts.pictures, counts.failed, counts.whole) == (9, 4, 6, True)
    found = rows(tmp_path / "out")
    assert [row["files"] for row in found[:5]] == [
        ["part-00000/a.png"], [], [], ["part-00001/0000003-8.png", "part-00001/0000003-9.png"],
        ["part-00002/0000004.png"],
    ]  # fmt: skip
    assert [row["error"] for row in found][1] == "no face found"
    assert "not JSON" in found[2]["error"] and found[5]["error"] == "RuntimeError: out of memory"
    assert "letters" in found[6]["error"] and "option of the command" in found[7]["error"]
    assert "steps" in found[8]["error"]
    assert [prompt for prompt, _ in drawn].count("broken") == 3


def test_a_stopped_run_goes_on_and_parts_are_the_same(tmp_path: Path, drawn: list[tuple[str, int]]) -> None:
    source = written(tmp_path / "asked.jsonl", *({"prompt": f"p{i}", "seed": i} for i in range(7)))
    run(source, tmp_path / "whole")
    first = list(drawn)
    drawn.clear()
    assert not run(source, tmp_path / "parts", part=(2, 2)).whole
    (tmp_path / "parts" / "part-00001.jsonl").unlink()  # killed before its manifest was written
    (tmp_path / "parts" / "part-00001" / "0000002.png").unlink()
    assert not run(source, tmp_path / "parts", part=(2, 2)).whole
    assert drawn.count(("p2", 2)) == 2 and drawn.count(("p3", 3)) == 1
    with pytest.raises(MienError, match="are not done: run the parts first"):
        run(source, tmp_path / "parts", finish=True)
    assert not run(source, tmp_path / "parts", part=(1, 2)).whole
    assert run(source, tmp_path / "parts", finish=True).whole
    assert set(drawn) == set(first)
    for name in [row["files"][0] for row in rows(tmp_path / "whole")]:
        one, other = (np.asarray(Image.open(tmp_path / place / name)) for place in ("whole", "parts"))
        assert (one == other).all()
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")
    written(source, {"prompt": "another"})
    with pytest.raises(ConfigError, match="pictures of other requests"):
        run(source, tmp_path / "whole")


def test_a_full_disk_is_no_fault_of_the_requests(
    tmp_path: Path, drawn: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run stops with one sentence, and the same call goes on with what was not written."""
    source = written(tmp_path / "asked.jsonl", *({"prompt": f"p{i}", "seed": i} for i in range(3)))
    write = many_module.write_picture

    def full(path: Path, *rest: Any) -> None:
        if path.stem == "0000001":
            raise MienError("Cannot write: no space left")
        write(path, *rest)

    monkeypatch.setattr(many_module, "write_picture", full)
    with pytest.raises(MienError, match="no space left"):
        run(source, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.jsonl"))
    monkeypatch.setattr(many_module, "write_picture", write)
    counts = run(source, tmp_path / "out")
    assert (counts.pictures, counts.failed, counts.whole) == (3, 0, True)
    assert drawn.count(("p0", 0)) == 1 and drawn.count(("p1", 1)) == 2


def test_the_work_can_be_sent_to_other_processes(tmp_path: Path) -> None:
    drawer: Any = many_module.Drawer(lambda: None, lambda: None)  # type: ignore[arg-type]
    stage = many_module.RequestsStage(tmp_path, tmp_path / "asked.jsonl", {"steps": 5}, 7, 2, 4, drawer)
    sent = pickle.loads(pickle.dumps(stage))
    assert sent.drawer is None and sent.batch == 4 and sent.count == 4
    assert [sent.size(task) for task in range(4)] == [2, 2, 2, 1]
    assert sent.resources.gpus == 1


def test_a_format_is_one_for_the_whole_run(tmp_path: Path, drawn: list[tuple[str, int]]) -> None:
    source = written(tmp_path / "all.jsonl", {"id": "a", "prompt": "x"}, {"id": "b", "prompt": "x", "format": "png"})
    run(source, tmp_path / "out", defaults={"format": "webp"})
    assert [row["files"] for row in rows(tmp_path / "out")] == [["part-00000/a.webp"], []]
    assert "give it as an option" in rows(tmp_path / "out")[1]["error"]
    with pytest.raises(ConfigError, match="format"):
        run(source, tmp_path / "out")


def test_a_table_with_emotions_in_numbers(tmp_path: Path) -> None:
    (tmp_path / "asked.csv").write_text(
        "id,identity,yaw,valence,arousal," + ",".join(EMOTIONS) + "\n"
        "a,me.jpg,20," + ",".join(map(str, VECTOR)) + "\n"
        "b,me.jpg,,0.1,,,,,,,,\n"
    )
    first, second = read_lines(tmp_path / "asked.csv")
    assert first.values["identity"] == tmp_path / "me.jpg" and first.values["emotion"] == Emotion.of_vector(VECTOR)
    assert "has the columns valence, arousal, neutral" in second.error


@pytest.mark.parametrize(
    "emotion", [VECTOR, {"valence": 0.4, "arousal": 0.2, "probabilities": VECTOR[2:]}, ",".join(map(str, VECTOR))]
)
def test_emotions_of_json(tmp_path: Path, emotion: Any) -> None:
    (line,) = read_lines(written(tmp_path / "asked.jsonl", {"emotion": emotion}))
    value = line.values["emotion"]
    assert (Emotion.parse(value) if isinstance(value, str) else value) == Emotion.of_vector(VECTOR)


def test_wrong_files_are_a_sentence(tmp_path: Path) -> None:
    for name, message in (("no.jsonl", "no file of requests"), ("asked.txt", "must end in .jsonl")):
        (tmp_path / "asked.txt").touch()
        with pytest.raises(BadInput, match=message):
            list(read_lines(tmp_path / name))
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(BadInput, match="no requests"):
        run(tmp_path / "empty.jsonl", tmp_path / "out")
    (line,) = read_lines(written(tmp_path / "asked.jsonl", {"emotion": [0.1] * 9}))
    assert "probabilities" in line.error


def test_values_of_other_types_are_a_sentence_of_their_line(tmp_path: Path, drawn: list[tuple[str, int]]) -> None:
    """One line of another type was a traceback that ended the whole run."""
    wrong: list[dict[str, Any]] = [
        {"identities": 7}, {"emotion": [{}] * 10}, {"emotion": [10**400] * 10}, {"identities": [["a.png"]]},
    ]  # fmt: skip
    lines = list(read_lines(written(tmp_path / "asked.jsonl", *wrong, {"prompt": "a person"})))
    assert all(line.error for line in lines[:3]) and not lines[4].error
    assert run(tmp_path / "asked.jsonl", tmp_path / "out").requests == 5
    assert len(drawn) == 1, [row["error"] for row in rows(tmp_path / "out")]


def test_names_that_are_no_text_reach_the_manifest(tmp_path: Path, drawn: list[tuple[str, int]]) -> None:
    """A half of a letter in a sentence could not be written, when everything was drawn; U+2028 ends no line."""
    source = written(tmp_path / "asked.jsonl", {"identity": "\udcff.png", "yaw": 900}, {"prompt": "a\u2028b"})
    run(source, tmp_path / "out")
    first, second = rows(tmp_path / "out")
    assert first["error"] and second["files"]


def test_manifests_are_read_by_the_ends_of_their_lines_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence may name a file with U+2028, which Python's ``splitlines`` takes for the end of a line."""

    def prepare(request: Any) -> Any:
        raise BadInput(f"There is no picture file at {request.identity}; check the path.")

    monkeypatch.setattr(many_module.Drawer, "load", lambda shared: SimpleNamespace(prepare=prepare))
    source = written(tmp_path / "asked.jsonl", {"identity": "a\u2028b.png"})
    counts = run(source, tmp_path / "out")
    assert (counts.pictures, counts.failed) == (0, 1)
    assert "\u2028" in (tmp_path / "out" / "manifest.jsonl").read_text("utf-8")


def test_a_full_disk_is_no_fault_of_a_request(
    tmp_path: Path, drawn: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was written down as one, in a manifest that no later run looked at again."""
    source = written(tmp_path / "asked.jsonl", *({"prompt": "a", "seed": seed} for seed in range(3)))
    whole, written_before = many_module.write_picture, []

    def write_picture(path: Path, *picture: Any) -> None:
        if len(written_before) == 1:
            raise MienError("Cannot write here: no space left on device; free some space and try again.")
        written_before.append(path)
        whole(path, *picture)

    with monkeypatch.context() as full:
        full.setattr(many_module, "write_picture", write_picture)
        with pytest.raises(MienError, match="Cannot write here"):
            run(source, tmp_path / "out")
    assert run(source, tmp_path / "out").whole
    assert all(row["files"] and not row["error"] for row in rows(tmp_path / "out"))


def test_batches_follow_from_the_file_alone(tmp_path: Path, drawer: FakeDrawer) -> None:
    """Requests that are sampled alike are drawn together, also when a run goes on in the middle of a batch."""
    lines = [{"prompt": f"p{i}", "seed": i, "steps": 9 if i == 2 else 5} for i in range(6)]
    source = written(tmp_path / "asked.jsonl", *lines, {"prompt": "bad"}, {"prompt": "two", "count": 2, "seed": 60})
    assert run(source, tmp_path / "out", per_part=8, batch=3).pictures == 8
    assert drawer.sizes == [3, 2, 1, 2]  # one of the second batch cannot be read, and p2 has other steps
    order = [*((f"p{i}", i) for i in (0, 1, 3, 4, 5, 2)), ("two", 60), ("two", 61)]
    assert drawer.log == order and drawer.read.count("two") == 1
    place = tmp_path / "out" / "part-00000"
    first = {file.name: file.read_bytes() for file in place.iterdir()}
    (tmp_path / "out" / "part-00000.jsonl").unlink()
    (place / "0000001.png").unlink()
    drawer.sizes.clear()
    run(source, tmp_path / "out", per_part=8)  # with the batches that it was begun with
    assert drawer.sizes == [3] and {file.name: file.read_bytes() for file in place.iterdir()} == first
    with pytest.raises(ConfigError, match="batch 3 instead of 2"):
        run(source, tmp_path / "out", per_part=8, batch=2)


def test_a_batch_that_fails_is_drawn_one_by_one(tmp_path: Path, drawer: FakeDrawer) -> None:
    """Out of memory, or one bad row among good ones: the others have their pictures."""
    asked = [{"prompt": "crowd", "seed": 0}, {"prompt": "fine", "seed": 1}, {"prompt": "broken", "seed": 2}]
    counts = run(written(tmp_path / "asked.jsonl", *asked), tmp_path / "out", per_part=3, batch=3)
    assert (counts.pictures, counts.failed) == (2, 1) and drawer.sizes == [3] * 3 + [1] * 5
    assert rows(tmp_path / "out")[2]["error"] == "RuntimeError: out of memory"


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of manifests, lines and what was read of pictures go as they come: a file may have a million requests."""
    fake = FakeDrawer()

    def prepare(request: Any) -> Any:
        fake.log.clear()
        fake.read.clear()
        return fake.__class__.prepare(fake, request)

    forgetful = SimpleNamespace(prepare=prepare, draw=fake.draw)
    monkeypatch.setattr(many_module.Drawer, "load", lambda shared: forgetful)
    monkeypatch.setattr(many_module, "write_picture", lambda path, *_: None)
    most = []
    for count in (4000, 8000):
        source = written(tmp_path / f"{count}.jsonl", *({"prompt": "x" * 500, "seed": i} for i in range(count)))
        tracemalloc.start()
        run(source, tmp_path / f"out-{count}", per_part=100, batch=8)
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert most[1] < most[0] + 400_000, most  # a row of each of 4,000 further requests is 2.5 million
