"""What does each choice in the base's training do? One change an arm, from nothing, all with one budget.

    python benchmarks/choices.py --data FOLDER --held-out FOLDER    # results/choices.json, and a table
    python benchmarks/choices.py --half --pictures 20000 --batch 32 --only even --only alone    # some arms, smaller

On two processor cores one arm takes an hour and more; with ``--half`` every UNet is half as wide, which is for such a
machine: choices are compared on a small model in place of the one that ships.
Errors are of the velocity, on held-out people: whatever an arm predicts and however it weighs its loss, they compare.
The same command goes on where it was interrupted; arms may be trained side by side, by commands with each their own
``--only``.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, Final

import torch
import typer

from mien.adapters import unet_config
from mien.data.corpus import Corpus
from mien.evaluation.control.report import table
from mien.io import cache_folder, read_json, write_json
from mien.training.loop import fit
from mien.training.run import build_objective, resolve

RESULT = Path(__file__).resolve().parent / "results" / "choices.json"
_CROSS, _PLAIN = "CrossAttn{}Block2D", "{}Block2D"


def _attention(down: str, up: str) -> dict[str, list[str]]:
    """UNet blocks from letters, in the order of the UNet: ``a`` with attention, ``-`` without."""
    return {
        f"{way.lower()}_block_types": [(_CROSS if letter == "a" else _PLAIN).format(way) for letter in letters]
        for way, letters in (("Down", down), ("Up", up))
    }


def _widths(*widths: int) -> dict[str, list[int]]:
    """Of the levels, with heads of 32."""
    return {"block_out_channels": list(widths), "attention_head_dim": [width // 32 for width in widths]}


ARMS: Final[dict[str, tuple[str, dict[str, Any], dict[str, Any]]]] = {
    "shipped": ("the preset", {}, {}),
    "seed": ("the preset with another seed: what chance does", {}, {"seed": 1}),
    "epsilon": ("predicts the noise", {"prediction_type": "epsilon"}, {}),
    "sample": ("predicts the latents", {"prediction_type": "sample"}, {}),
    "min-snr": ("min-SNR weights, gamma 5", {"gamma": 5.0}, {}),
    "even": ("the face weighs as the rest", {"emphasis": 0.0}, {}),
    "no-likeness": ("no term of the person or of the expression", {"likeness": (0.0, 0.0)}, {}),
    "alone": ("no branch is trained along", {"branches": {}}, {}),
    "no-portraits": ("faces are told by other pictures", {"portraits": 0.0}, {}),
    "captions": ("captions in six of ten prompts", {"mixture": (0.6, 0.15, 0.15, 0.1)}, {}),
    "no-balance": ("people as they come", {"balance": 0.0}, {}),
    "narrow": ("widths 64, 128, 192", {"unet": _widths(64, 128, 192)}, {}),
    "wide": ("widths 128, 224, 320", {"unet": _widths(128, 224, 320)}, {}),
    "no-attention-16": ("no attention on the grid of 16", {"unet": _attention("-aa", "aa-")}, {}),
    "attention-16": ("attention on the grid of 16 on the way down too", {"unet": _attention("aaa", "aaa")}, {}),
    "ema-0": ("no average of the weights", {}, {"ema": 0.0}),
    "ema-20": ("an average with a shorter memory", {}, {"ema": 20.0}),
}  # fmt: skip
"""Arm -> what is changed, options of the objective, other settings."""
WAYS = ("caption", "identity", "landmarks", "emotion")
STEPS = (900, 600, 300)
MEASURED = "measured.json"


def halved(unet: dict[str, Any]) -> dict[str, Any]:
    """Changes of the UNet's configuration that make it half as wide, with as many heads and groups half as large."""
    shape = unet_config("studio") | unet
    widths = [width // 2 for width in shape["block_out_channels"]]
    return unet | {"block_out_channels": widths, "norm_num_groups": shape.get("norm_num_groups", 32) // 2}


def measure(arm: str, corpus: Corpus, runs: Path, settings: dict[str, Any], half: bool) -> dict[str, Any]:
    """Train one arm and look at it on held-out people."""
    _, options, other = ARMS[arm]
    preset = resolve("studio-base", settings | other)
    options = preset.options | options
    if half:
        options["unet"] = halved(options.get("unet", {}))
    config = preset.model_copy(update={"options": options, "name": arm})
    torch.manual_seed(config.seed)
    objective = build_objective(config, runs)
    start = time.monotonic()
    validation = fit(config, objective, corpus, runs / arm, quiet=True)["logs"]
    return {
        "parameters": sum(value.numel() for value in objective.unet.parameters()),
        "seconds": round(time.monotonic() - start, 1),
        "validation": validation,
    }


def kept(runs: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """What was measured already, by arm.

    Raises:
        typer.BadParameter: if it was with other settings or pictures.
    """
    found = {}
    for arm in ARMS:
        if (file := runs / arm / MEASURED).exists():
            found[arm] = read_json(file)
            if found[arm].pop("asked") != asked:
                raise typer.BadParameter(f"{file} was measured with other settings or pictures: give another --runs.")
    return found


def summary(one: dict[str, Any]) -> dict[str, float | None]:
    """Mean error by what the model was told, and how much of it the telling saves at the highest noise."""
    found, found_gaps = {}, {}
    for way in WAYS:
        right = [one["validation"].get(f"{way}_right_{step}") for step in STEPS]
        wrong = one["validation"].get(f"{way}_shuffled_{STEPS[0]}")
        found[way] = None if None in right else sum(right) / len(right)
        found_gaps[f"{way} gap"] = None if wrong is None or right[0] is None else wrong - right[0]
    return found | found_gaps


def told(arms: dict[str, Any]) -> str:
    """A row an arm."""
    columns = [*WAYS[:3], *(f"{way} gap" for way in WAYS[:3])]
    rows = []
    for one in arms.values():
        values = summary(one)
        numbers = ["-" if (value := values[column]) is None else f"{value:.4f}" for column in columns]
        rows.append([one["told"], f"{one['parameters'] / 1e6:.1f}", *numbers])
    return table(["Arm", "million weights", *columns], rows)


def main(
    data: Annotated[Path | None, typer.Option(help="Rendered people; in the cache if not given.")] = None,
    held_out: Annotated[Path | None, typer.Option(help="Others; in the cache if not given.")] = None,
    pictures: Annotated[int, typer.Option(help="Budget of each arm.")] = 150_000,
    batch: int = 256,
    lr: float = 1.5e-3,
    half: Annotated[bool, typer.Option("--half", help="Every UNet half as wide.")] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(ARMS)}; repeat.")] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="The JSON file.")] = RESULT,
    runs: Annotated[Path | None, typer.Option(help="Where the runs are kept.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Begin no arm later than this.")] = None,
) -> None:
    """Train, measure, write."""
    cache, started = cache_folder(), time.monotonic()
    corpus = Corpus.load(data or cache / "studio-train")
    corpus.held_out = Corpus.load(held_out or cache / "studio-heldout")
    settings = {"pictures": pictures, "batch": batch, "lr": lr, "warmup": pictures // 10}
    asked = {"settings": settings, "half": half, "train_pictures": len(corpus), "train_people": corpus.people}
    runs = runs or cache / "choices"
    done = kept(runs, asked)
    for arm in only or ARMS:
        if arm in done or (minutes is not None and time.monotonic() - started > minutes * 60):
            continue
        found = {"told": ARMS[arm][0]} | measure(arm, corpus, runs, settings, half)
        write_json(runs / arm / MEASURED, found | {"asked": asked})
        done = kept(runs, asked)
        write_json(output, asked | {"arms": done})
    typer.echo(told(done))


if __name__ == "__main__":
    typer.run(main)
