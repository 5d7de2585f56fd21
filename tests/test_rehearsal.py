"""The recipes of docs and the rehearsal that types their commands are one: no command is without a place in both."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mien.core.io import write_json
from mien.core.log import read_lines
from tests.conftest import ROOT
from tests.rehearsal.details import DETAILS
from tests.rehearsal.play import PROCESSES, Rehearsal
from tests.rehearsal.recipe import PAGES, commands
from tests.rehearsal.shell import Shell, kill_rank
from tests.rehearsal.steps import Detail, NotProved, detail_of, same_files, table
from tests.typed import parse

papers = pytest.mark.parametrize("paper", PAGES)


@papers
def test_what_the_rehearsal_knows_is_about_commands_of_the_page(paper: str) -> None:
    typed = commands(PAGES[paper])
    assert len(typed) == len(set(typed)) > 15
    chosen = {detail_of(command, DETAILS[paper]) for command in typed}
    assert [one.begins for one in DETAILS[paper] if one not in chosen] == []


@papers
def test_every_command_of_a_page_has_options_that_there_are(paper: str) -> None:
    """As the shell would see it: known commands and options, and datasets that an earlier command has made."""
    made = {"FFHQ", "MEAD", "MEAD-held-out", "CelebA", "AgeDB", "SYNTH", "VIDEOS", "VIDEOS-held-out"}
    for command in commands(PAGES[paper]):
        typed = command if command.startswith("python") else f"{command} {detail_of(command, DETAILS[paper]).small}"
        words = shlex.split(typed.partition("\n")[0])
        if "mien" not in words:
            continue
        given = parse(words[words.index("mien") + 1 :]).params
        for name in ("data", "held_out", "dataset", "source", "test"):
            if (place := given.get(name)) is not None:
                assert str(place) in made, f"{command}: {place} is not there yet"
        made |= {str(given[name]) for name in ("output",) if given.get(name) is not None}


def test_pages_name_eight_gpus_and_the_rehearsal_takes_two() -> None:
    text = "\n".join(command for page in PAGES.values() for command in commands(page))
    assert all(ours in text for ours, _ in PROCESSES) and all(here not in text for _, here in PROCESSES)


def test_a_rank_is_killed_and_what_it_said_is_kept(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    sleeper = "RANK={} python -c 'import time; time.sleep({})'"
    ran = shell.type(
        f"{sleeper.format(0, 0)} & {sleeper.format(1, 60)} ; echo ended with $?", kill=kill_rank(1, lambda: True)
    )
    assert ran.killed and ran.code == 0 and "ended with 137" in (tmp_path / "said.txt").read_text()
    assert not shell.type("false").killed and shell.type("exit 3").code == 3


def test_differences_are_not_proofs(tmp_path: Path) -> None:
    for name, content in (("one", "a"), ("other", "a")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.tar").write_text(content)
    assert same_files(tmp_path / "one", tmp_path / "other", ["*.tar"]) == 1
    (tmp_path / "other" / "x.tar").write_text("b")
    with pytest.raises(NotProved, match="differ"):
        same_files(tmp_path / "one", tmp_path / "other", ["*.tar"])
    with pytest.raises(NotProved, match="has nothing of"):
        same_files(tmp_path / "one", tmp_path / "other", ["*.png"])


def test_a_table_counts_every_picture_for_every_network(tmp_path: Path) -> None:
    found = {
        "emonet.valence": {"n": 6},
        "smirk.pose_parameters": {"n_failed": 6, "value": None},
        "facenet.identity": {},
    }
    for name, last in (("whole", {"n": 5, "n_failed": 1}), ("lacking", {"n": 0, "n_failed": 0})):
        metrics = found | {"facenet.identity": last}
        write_json(tmp_path / name / "report.json", {"models": {"ours": {"metrics": metrics}}})
    assert table("whole", "celeba-2000")(Shell(tmp_path)) == "smirk, emonet, facenet of ours"
    with pytest.raises(NotProved, match="ours has no number of facenet in lacking"):
        table("lacking", "celeba-2000")(Shell(tmp_path))


def test_a_rehearsal_goes_on_with_what_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("```sh\ntouch a  # a comment\nls b\ntouch c\n```\n\n```python\nprint(2 + 2)\n```\n")
    monkeypatch.setitem(PAGES, "one", page)
    monkeypatch.setitem(DETAILS, "one", (Detail("touch", small="also"), Detail("python", proof=lambda shell: "four")))
    folder = tmp_path / "work"
    folder.mkdir()
    assert not Rehearsal("one", folder).play()
    assert (folder / "a").exists() and (folder / "also").exists() and not (folder / "c").exists()
    (folder / "a").unlink()
    (folder / "b").touch()
    again = Rehearsal("one", folder)
    assert again.play() and (folder / "c").exists() and not (folder / "a").exists(), "what is done is left alone"
    assert [row["proved"] for row in again.rows] == ["exit code 0"] * 3 + ["four"]
    assert next(row["typed"] for row in read_lines(folder / "done-one.jsonl")) == "touch a also"


@pytest.mark.slow
def test_both_papers_in_small(tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some minutes: every command of both recipes, processes killed on the way."""
    monkeypatch.setenv("MIEN_FACEKIT", str(shared / "facekit" / "ict_facekit_quantized.npz"))
    monkeypatch.setenv("MIEN_ASSETS", str(shared / "models"))
    command = [sys.executable, "-m", "tests.rehearsal", str(tmp_path), "--short"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    said = (tmp_path / "said.txt").read_text()[-3000:] if (tmp_path / "said.txt").exists() else ""
    assert done.returncode == 0, f"{done.stdout[-2000:]}{done.stderr[-1000:]}{said}"
