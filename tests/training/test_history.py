from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from mien.cli.main import main
from mien.core.io import write_json
from mien.errors import BadInput
from mien.training.curves import panels
from mien.training.history import differing_settings, run_history, runs_in


def write_run(folder: Path, lines: list[dict[str, Any]], **config: Any) -> Path:
    folder.mkdir(parents=True)
    write_json(folder / "config.json", {"name": folder.name, "pictures": 100, "lr": 0.1, "options": {}} | config)
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


STEPS = [{"seen": seen, "seconds": seen / 10, "loss": 1 / seen, "lr": 0.1} for seen in (10, 20, 30)]
GAPS = [{"seen": 0, "seconds": 0.0, "gaps": {"right_900": 2.0, "gap": 0.1}}]
AGAIN = [{"seen": 20, "seconds": 2.5, "loss": 0.2, "lr": 0.1}]
END = [{"seen": 30, "seconds": 4.0, "validation": {"psnr": 30.0}, "device": "cpu"}]


def test_steps_that_were_made_again_count_once(tmp_path: Path) -> None:
    run = run_history(write_run(tmp_path / "one", [*GAPS, *STEPS, *AGAIN, *END]))
    assert run.curves["loss"] == [(10.0, 0.1), (20.0, 0.2)] and run.last("loss") == 0.2
    assert run.curves["gaps/gap"] == [(0.0, 0.1)] and run.validation == {"psnr": 30.0}
    assert run.seen == 30 and run.seconds == 4.0 and not run.finished
    write_json(tmp_path / "one" / "exported.json", {"pictures": 100})
    assert run_history(tmp_path / "one").finished


def test_a_folder_without_a_run_is_refused_and_a_damaged_one_is_still_listed(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"is no run of  mien train"):
        run_history(tmp_path)
    write_run(tmp_path / "one", STEPS)
    (write_run(tmp_path / "two", STEPS) / "log.jsonl").write_text("{no\n")
    write_run(tmp_path / "on" / "arc2face" / "three", STEPS)
    found = [(run.name, run.seen) for run in runs_in(tmp_path)]
    assert found == [("on/arc2face/three", 30), ("one", 30), ("two", 0)], "those on another base too"


def test_settings_that_differ_are_told_one_by_one(tmp_path: Path) -> None:
    one = run_history(write_run(tmp_path / "one", STEPS, options={"ad": 0.0, "drop": 0.1}))
    two = run_history(write_run(tmp_path / "two", STEPS, lr=0.2, options={"ad": 1.0, "drop": 0.1}))
    assert differing_settings([one, two]) == {"lr": [0.1, 0.2], "options.ad": [0.0, 1.0]}


def test_curves_are_a_picture_with_a_line_a_run() -> None:
    svg = panels({"loss": {"a<b": [(0, 2.0), (10, 1.0), (20, float("nan"))], "c": [(0, 3.0)]}, "empty": {}})
    root = ElementTree.fromstring(svg)
    lines = [one for one in root.iter() if one.tag.endswith("polyline")]
    assert len(lines) == 2 and len(lines[0].attrib["points"].split()) == 3  # the last point is said twice
    assert "nothing logged" in svg and "a&lt;b" in svg and "nan" not in svg
    assert ElementTree.fromstring(panels({})) is not None


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "one", [*GAPS, *STEPS, *END])
    write_run(tmp_path / "two", STEPS, lr=0.2)
    told = ["--runs", str(tmp_path)]
    assert main(["runs", "list", *told]) == 0
    out = capsys.readouterr().out
    assert "one" in out and "30 of 100" in out and "unfinished" in out
    assert main(["runs", "show", "one", *told]) == 0
    assert "psnr" in capsys.readouterr().out and (tmp_path / "one" / "curves.svg").read_text().startswith("<svg")
    picture = tmp_path / "both.svg"
    assert main(["runs", "compare", "one", str(tmp_path / "two"), "-o", str(picture), *told, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["settings"] == {"lr": [0.1, 0.2]} and said["results"]["psnr"] == [30.0, None] and picture.exists()
    assert main(["runs", "compare", "one", *told]) == 2
    assert main(["runs", "list", "--runs", str(tmp_path / "nowhere")]) == 2
    assert "There are no runs" in capsys.readouterr().err
