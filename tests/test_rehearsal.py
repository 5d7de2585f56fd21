"""The recipes of docs and the rehearsal that types their commands are one: no command is without a place in both."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel

from mien.core.io import read_json, write_json
from mien.core.log import read_lines
from tests.conftest import ROOT
from tests.published import SCHEDULE, write_sd15
from tests.rehearsal.__main__ import write_result
from tests.rehearsal.details import DETAILS
from tests.rehearsal.drawing import GAIN, grey_autoencoder, remembering_unet
from tests.rehearsal.made_up import SHORT
from tests.rehearsal.play import PROCESSES, Rehearsal
from tests.rehearsal.recipe import PAGES, commands
from tests.rehearsal.shell import Shell, kill_rank
from tests.rehearsal.steps import Detail, NotProved, detail_of, same_files, table
from tests.test_docs_results import script
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


def test_a_table_has_a_number_of_every_network(tmp_path: Path) -> None:
    found = {"emonet.valence": {"n": 6}, "emonet.arousal": {"n": 3, "n_failed": 3}, "smirk.pose_parameters": {"n": 6}}
    for name, last in (("whole", {"n": 5, "n_failed": 1}), ("lacking", {"n": 0, "n_failed": 6})):
        metrics = found | {"facenet.identity": last}
        write_json(tmp_path / name / "report.json", {"models": {"ours": {"metrics": metrics}}})
    told = table("whole", "celeba-2000")(Shell(tmp_path))
    assert told == "numbers of smirk, emonet, facenet for ours, each of at least 5 pictures"
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


def test_the_autoencoder_keeps_a_grey_picture_of_a_quarter_of_the_side() -> None:
    smooth = torch.nn.functional.interpolate(torch.rand(2, 3, 4, 4) * 2 - 1, (64, 64), mode="bicubic").clamp(-1, 1)
    vae: Any = grey_autoencoder(64)
    with torch.no_grad():
        latents = vae.encode(smooth).latent_dist
        drawn = vae.decode(latents.mean).sample
    grey = smooth.mean(1, keepdim=True)

    def centred(pictures: torch.Tensor) -> torch.Tensor:
        return pictures - pictures.mean((1, 2, 3), keepdim=True)

    small = torch.nn.functional.pixel_shuffle(latents.mean / GAIN, 2)
    torch.testing.assert_close(centred(small), centred(torch.nn.functional.avg_pool2d(grey, 4)), atol=1e-3, rtol=0)
    assert latents.std.max() < 1e-5 and drawn.shape == smooth.shape
    inner = (..., slice(8, -8), slice(8, -8))  # the border, beyond which is nothing, is greyer
    assert centred((drawn - grey)[inner]).abs().mean() < 0.15 * grey.std()


def test_the_unet_learns_what_it_is_to_draw(tmp_path: Path) -> None:
    write_sd15(tmp_path)
    blank = UNet2DConditionModel.from_pretrained(tmp_path / "unet")
    known = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    unet = remembering_unet(blank, known, steps=40)
    noises, noise = DDPMScheduler(**SCHEDULE), torch.randn(4, 4, 8, 8)
    times = torch.full((4,), 500)
    with torch.no_grad():
        seen = unet(noises.add_noise(known.expand(4, -1, -1, -1), noise, times), times, torch.randn(4, 4, 768)).sample  # type: ignore[arg-type]
    assert (seen - noise).square().mean() < 0.6
    one, other = (remembering_unet(blank, known, steps=4).state_dict() for _ in range(2))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_what_was_walked_is_written_and_told_on_the_page(tmp_path: Path) -> None:
    row = {"command": "mien a", "typed": "mien a\nmore", "seconds": 90.0, "processor": 30.0, "proved": "exit code 0"}
    papers = [Rehearsal(paper, tmp_path, [row]) for paper in PAGES]
    write_result(tmp_path / "a.json", "short", SHORT, {"seconds": 60.0, "processor": 24.0}, papers, True)
    found = read_json(tmp_path / "a.json")
    step = {"typed": "mien a", "seconds": 90.0, "processor": 30.0, "proved": "exit code 0"}
    assert found["papers"]["emojidiff"] == {"seconds": 90.0, "processor": 30.0, "steps": [step]}
    command = "python -m tests.rehearsal build/rehearsal --short --result benchmarks/results/rehearsal.json"
    assert found["made_by"]["command"] == command
    ((_, (_, told)),) = script("docs_rehearsal").tables(found).items()
    assert "Walked to its end on" in told and "come to 4.0 minutes" in told and "| `mien a` | 90 | 30 | exit" in told


@pytest.mark.slow
def test_both_papers_in_small(tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some minutes: every command of both recipes, processes killed on the way.

    Ten minutes of a core; nothing that walks it is short enough for the fast tests: some seventy processes need three
    seconds each before they begin.
    """
    monkeypatch.setenv("MIEN_FACEKIT", str(shared / "facekit" / "ict_facekit_quantized.npz"))
    monkeypatch.setenv("MIEN_ASSETS", str(shared / "models"))
    command = [sys.executable, "-m", "tests.rehearsal", str(tmp_path), "--short"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    said = (tmp_path / "said.txt").read_text()[-3000:] if (tmp_path / "said.txt").exists() else ""
    assert done.returncode == 0, f"{done.stdout[-2000:]}{done.stderr[-1000:]}{said}"
