"""The pages of results say what the committed JSON files say."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from mien.core.io import read_json
from mien.evaluation.claims.catalogue import catalogue

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "benchmarks"))  # the scripts import from beside themselves


def script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look for their module there
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["docs_results", "docs_facecrafter", "docs_emojidiff", "docs_robustness"])
def test_the_page_is_what_the_command_writes(name: str) -> None:
    module = script(name)
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), f"run  python benchmarks/{name}.py"


def test_every_measured_claim_is_there_held_or_not() -> None:
    import json

    rows = json.loads((ROOT / "benchmarks" / "results" / "claims.json").read_text(encoding="utf-8"))
    found = {row["id"].removeprefix("facecrafter-"): row for row in rows}
    wanted = [f"t1-{key}-{one}-vs-controlnet" for key in ["exp", "pose", "v", "a", "dist", "acc"]
              for one in ("lmkemo", "joint")]  # fmt: skip
    wanted += [f"t1-{key}-lmk-vs-controlnet" for key in ["exp", "pose", "acc"]]
    wanted += [f"t1-{key}-emo-gain" for key in ["v", "a", "dist", "acc"]]
    wanted += [f"t1-{key}-joint-vs-pretrained" for key in ["exp", "v", "a", "dist", "acc"]]
    wanted += ["t1-params", *[f"t2-{key}-vs-base" for key in ["lpips", "exp", "pose"]]]
    wanted += [f"t3-{key}-ad" for key in ["lpips", "exp", "pose"]]
    assert set(wanted) <= found.keys()
    emojidiff = ["idi-identity", "idi-leak", "idi-transfer", "ica-identity", "ica-transfer"]
    emojidiff += [f"vs-{other}-{what}" for other in ("animate", "ipadapter") for what in ("exp", "identity")]
    emojidiff += ["generalises-style", "generalises-lora", "site-parallel-best"]
    emojidiff += [f"ani-vs-{other}{base}" for other in ("none", "drop") for base in ("", "-epsilon")]
    assert {f"emojidiff-{name}" for name in emojidiff} <= found.keys()
    keys = {"id", "source", "statement", "paper", "studio", "effect", "low", "high", "margin", "holds", "command",
            "verdict", "reason"}  # fmt: skip
    for row in rows:
        assert row.keys() == keys
        assert row["holds"] == (row["low"] is not None and row["low"] > -row["margin"])
        assert row["verdict"] in (("held" if row["holds"] else "not held"), "not tested") and row["reason"]
    assert {one.id for one in catalogue().claims} <= {row["id"] for row in rows}, "run  python benchmarks/verdicts.py"


def test_verdicts_follow_the_runs_that_are_there_and_what_was_refused(tmp_path: Path) -> None:
    from mien.core.io import write_json
    from mien.core.log import write_lines

    verdicts = script("verdicts")
    row = {
        "id": "a", "studio": {"metric": "mediapipe.exp", "ica": 0.1, "exact": 0.2}, "effect": 0.1, "low": 0.05,
        "high": 0.2, "margin": 0.0,
        "command": "mien evaluate x --model ica=e-adapter-ica --model exact=e-adapter-exact",
        "verdict": "not tested", "reason": "studio-alignment took 13 steps at full rate, fewer than 100.",
    }  # fmt: skip

    def told(refused: dict[str, list[str]]) -> tuple[str, str]:
        first, *others = verdicts.with_verdicts([row], refused, tmp_path, {"kid.studio": "Taken wrongly."})
        assert len(others) == len(catalogue().claims) and {one["verdict"] for one in others} == {"not tested"}
        (fid,) = [one for one in others if one["id"] == "facecrafter-t1-fid-joint-vs-controlnet"]
        assert fid["reason"] == "no report has kid.studio of joint and controlnet: taken wrongly."
        return first["verdict"], first["reason"]

    assert told({}) == ("not tested", row["reason"])  # of runs that are gone what is known stays
    refused = told({"mediapipe.exp": ["copy-template"]})
    assert refused[0] == "not tested" and "13 steps" in refused[1] and "(copy-template) is better" in refused[1]
    run = tmp_path / "studio-alignment"
    write_json(run / "config.json", {"pictures": 64000, "global_batch": 16})
    write_lines(run / "log.jsonl", [{"seen": 64000, "weight_change": 0.5}])
    assert told({})[0] == "held"
    assert told({"mediapipe.exp": ["copy-template"]})[0] == "not tested"


@pytest.mark.parametrize("file", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda file: file.stem)
def test_whatever_a_script_writes_is_whole(file: Path) -> None:
    """Text and JSON go through `mien.core.io`: an interrupted script leaves the old page or report, never a half."""
    assert not re.findall(r"\.write_(?:text|bytes)\(", file.read_text(encoding="utf-8"))


def test_of_each_pair_the_picture_drawn_last_is_shown(tmp_path: Path) -> None:
    names = ["0000-000-b.png", "0000-001.png", "0001-000-a.png", "0000-000-a.png"]
    for age, name in enumerate(names):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (age, age))
    drawn_last = script("docs_comparison_images").drawn_last
    assert [file.name for file in drawn_last(tmp_path)] == ["0000-000-a.png", "0000-001.png", "0001-000-a.png"]
    assert [file.name for file in drawn_last(tmp_path, "0001-*")] == ["0001-000-a.png"]


def test_a_page_says_where_its_weights_are_not_the_ones_that_ship(tmp_path: Path) -> None:
    from mien.core.io import write_json

    parts, hashes = script("docs_parts"), tmp_path / "hashes.json"
    unet, judge = "unet/diffusion_pytorch_model.safetensors", "judges/face/diffusion_pytorch_model.safetensors"
    write_json(hashes, {unet: "a" * 64, judge: "b" * 64})

    def report(*unets: str, judged: str = "b") -> dict[str, Any]:
        models = {str(row): {"made_with": {"models": {unet: one * 64}}} for row, one in enumerate(unets)}
        return {"models": models, "judges": {judge: judged * 64}}

    assert parts.stale_note({"control": report("a"), "table1": report("c", "a")}, hashes) == ""
    note = parts.stale_note({"control": report("a"), "table1": report("c", judged="c")}, hashes)
    assert note == "> Not measured on the weights that ship: `table1.json` (judges/face, unet)."
    note = parts.stale_note({"table1": report("c"), "table2": report("c"), "table3": report("a", judged="c")}, hashes)
    assert note.endswith("ship: `table1.json`, `table2.json` (unet); `table3.json` (judges/face).")
    found = {"arms": [{"run": "a"}], "floors": {"made_by": {"shipped": {unet: "a" * 64}}}, "headline": None}
    note = parts.stale_note(found, hashes)
    assert note == (
        "> Without hashes of the weights they were measured on: `arms.json`. Not measured yet: `headline.json`."
    )


def test_the_first_line_comes_and_goes_with_the_result_files_that_a_page_cites(tmp_path: Path) -> None:
    from mien.core.io import write_json

    parts, hashes = script("docs_parts"), tmp_path / "hashes.json"
    write_json(hashes, {"unet/model.safetensors": "a" * 64})
    body = (
        "# Title\n\n[JSON](../benchmarks/results/guidance.json), [verdicts](../benchmarks/results/claims.json)\n\n"
        "<!-- table: written by benchmarks/heads.py -->\n<!-- end of the table -->\n"
    )
    write_json(tmp_path / "heads.json", {"unet/model.safetensors": "a" * 64})
    write_json(tmp_path / "guidance.json", {"unet/model.safetensors": "b" * 64})
    write_json(tmp_path / "claims.json", [])
    assert parts.cited(body, tmp_path) == ["guidance", "heads"]
    once = parts.with_stale_note(body, tmp_path, hashes)
    assert once.splitlines()[0].startswith("> Not measured on the weights that ship: `guidance.json` (unet).")
    assert once.endswith("\n\n" + body) and parts.with_stale_note(once, tmp_path, hashes) == once
    write_json(tmp_path / "guidance.json", {"unet/model.safetensors": "a" * 64})
    assert parts.with_stale_note(once, tmp_path, hashes) == body
    assert parts.with_stale_note("# Title\n", tmp_path, hashes) == "# Title\n"


@pytest.mark.parametrize("page", script("docs_stale").pages(), ids=lambda page: page.stem)
def test_every_page_says_first_which_of_its_results_are_not_of_the_weights_that_ship(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert script("docs_parts").with_stale_note(text) == text, "run  python benchmarks/docs_stale.py"


def test_a_result_file_says_where_its_numbers_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datetime

    from mien.assets import embedded

    monkeypatch.setattr(sys, "argv", ["/somewhere/benchmarks/floors.py", "--renders", "a b"])
    script("result_files").write_result(tmp_path / "a.json", {"value": 1}, {"face_landmarker.task": "c" * 64})
    made_by = read_json(tmp_path / "a.json")["made_by"]
    assert made_by["command"] == "python benchmarks/floors.py --renders 'a b'"
    assert made_by["shipped"] == read_json(embedded("studio") / "hashes.json")
    assert made_by["files"] == {"face_landmarker.task": "c" * 64}
    assert datetime.datetime.fromisoformat(made_by["date"]).tzinfo is not None
    assert {"torch", "mediapipe", "mien"} <= made_by["libraries"].keys() and made_by["machine"]["processor"]


@pytest.mark.parametrize("name", ["table1", "table2", "table3", "expression"])
def test_the_command_of_every_report_is_the_one_that_is_named(name: str) -> None:
    results = ROOT / "benchmarks" / "results"
    command = read_json(results / f"{name}.json")["claims"][0]["command"]
    assert f"`{command}`" in (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
