"""What does each choice in training do? One change an arm, from nothing, all with one budget.

    python benchmarks/choices.py --data FOLDER --held-out FOLDER    # results/choices.json, tables in the docs
    python benchmarks/choices.py --half --pictures 20000 --batch 32 --only even --only alone    # some arms, smaller

On two processor cores one arm takes an hour and more; with ``--half`` every UNet is half as wide, which is for such a
machine: choices are compared on a small model in place of the one that ships. The base's errors are of the velocity, on
held-out people: whatever an arm predicts and however it weighs its loss, they compare. They do not see what the terms
of likeness do, so these cost time in one arm alone. Networks that read pictures are also looked at on held-out pictures
that went through what a camera does, as the augmentation of their training makes it up.
The same command goes on where it was interrupted; arms may be trained side by side, by commands with each their own
``--only``.
"""

from __future__ import annotations

from mien.core.openmp import wait_passively  # noqa: F401 # isort: skip - importing mien says it before torch loads

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import torch
import typer
from docs_parts import write_tables
from result_files import write_result

from mien.adapters import unet_config
from mien.core.io import cache_folder, read_json, write_json
from mien.core.pixels import pictures_to_tensor, tensor_to_pictures
from mien.data.corpus import PORTRAITS, Corpus
from mien.evaluation.report.tables import table
from mien.training.augmentation import photograph
from mien.training.loop import fit
from mien.training.objective import Objective, load_part
from mien.training.run import build_objective, resolve

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "choices.json"
_CROSS, _PLAIN = "CrossAttn{}Block2D", "{}Block2D"


def _attention(down: str, up: str) -> dict[str, Any]:
    """UNet blocks from letters, in the order of the UNet: ``a`` with attention, ``-`` without."""
    return {
        f"{way.lower()}_block_types": [(_CROSS if letter == "a" else _PLAIN).format(way) for letter in letters]
        for way, letters in (("Down", down), ("Up", up))
    }


def _widths(*widths: int) -> dict[str, Any]:
    """Of the levels, with heads of 32."""
    return {"block_out_channels": list(widths), "attention_head_dim": [width // 32 for width in widths]}


@dataclass(frozen=True)
class Arm:
    """One change.

    Attributes:
        told: what is changed.
        options: of the stage's objective.
        settings: of its preset.
        stage: the preset.
        first: options of the first half of the budget; the second half begins with its weights.
        people: how many people to train on, and how many pictures of each; None is all.
    """

    told: str
    options: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    stage: str = "studio-base"
    first: dict[str, Any] | None = None
    people: tuple[int, int] | None = None


COMMON: Final[dict[str, dict[str, Any]]] = {"studio-base": {"perceptual": (0.0, 0.0), "aux_loss_fraction": 1.0}}
"""Benchmark -> options of every arm that does not change them, where they are not the preset's."""
_SHORT = {"batch": 32}  # with the preset's 128, steps are too few in a short run
ARMS: Final[dict[str, Arm]] = {
    "preset": Arm("the preset, without likeness, wording from the start"),
    "seed": Arm("another seed: what chance does", settings={"seed": 1}),
    "seed-2": Arm("a third seed", settings={"seed": 2}),
    "likeness": Arm("with the terms of the person and of the expression", {"perceptual": (0.3, 3.0)}),
    "late": Arm(
        "the preset: these and wording in the last fifth", {"perceptual": (0.3, 3.0), "aux_loss_fraction": 0.2}
    ),
    "epsilon": Arm("predicts the noise", {"prediction_type": "epsilon"}),
    "sample": Arm("predicts the latents", {"prediction_type": "sample"}),
    "min-snr": Arm("min-SNR weights, gamma 5", {"gamma": 5.0}),
    "linear": Arm("DDPM's linear noise schedule", {"beta_schedule": "linear"}),
    "cosine": Arm("the cosine noise schedule", {"beta_schedule": "squaredcos_cap_v2"}),
    "even": Arm("the face weighs as the rest", {"emphasis": 0.0}),
    "no-wording": Arm("nobody reads in the captions' states", {"caption_readout": 0.0}),
    "wording-late": Arm("nobody reads in them in the first half", first={"caption_readout": 0.0}),
    "beside-words": Arm("as many branches beside words as elsewhere", {"branch_prob_with_caption": 1.0}),
    "alone": Arm("no branch is trained along", {"branches": {}}),
    "no-portraits": Arm("faces are told by other pictures", {"portraits": 0.0}),
    "captions": Arm("captions in six of ten prompts", {"mixture": (0.6, 0.15, 0.15, 0.1)}),
    "no-balance": Arm("people as they come", {"balance": 0.0}),
    "narrow": Arm("widths 64, 128, 192", {"unet": _widths(64, 128, 192)}),
    "wide": Arm("widths 128, 224, 320", {"unet": _widths(128, 224, 320)}),
    "no-attention-16": Arm("no attention on the grid of 16", {"unet": _attention("-aa", "aa-")}),
    "attention-16": Arm("attention on the grid of 16 on the way down too", {"unet": _attention("aaa", "aaa")}),
    "grown": Arm("no attention on the grid of 16 in the first half", first={"unet": _attention("-aa", "aa-")}),
    "restarted": Arm("two runs of half the budget: what the restart of grown does", first={}),
    "more-people": Arm("1,500 people, 2 pictures each", people=(1500, 2)),
    "more-pictures": Arm("500 people, 6 pictures each", people=(500, 6)),
    "ema-0": Arm("no average of the weights", settings={"ema": 0.0}),
    "ema-20": Arm("an average with a shorter memory", settings={"ema": 20.0}),
    "latents-16": Arm("the preset", stage="studio-autoencoder"),
    "latents-8": Arm("8 channels", {"latent_channels": 8}, stage="studio-autoencoder"),
    "latents-32": Arm("32 channels", {"latent_channels": 32}, stage="studio-autoencoder"),
    "plain-loss": Arm("no squared errors, no weight on the face", {"square": 0.0, "emphasis": 0.0},
                      stage="studio-autoencoder"),
    "identity-augmented": Arm("the preset", settings=_SHORT, stage="studio-identity"),
    "identity-plain": Arm("pictures as they are rendered", {"augment": 0.0}, _SHORT, "studio-identity"),
    "reader-augmented": Arm("the preset", stage="studio-reader"),
    "reader-plain": Arm("pictures as they are rendered", {"augment": 0.0}, stage="studio-reader"),
}  # fmt: skip
WAYS = ("caption", "identity", "landmarks", "emotion")
STEPS = (900, 600, 300)
MEASURED = "measured.json"


def _both(name: str, title: str, digits: int) -> dict[str, tuple[str, int]]:
    """Columns of a value on pictures as they are and on damaged ones."""
    return {title: (name, digits), f"{title}, damaged": (f"damaged_{name}", digits)}


_TABLES: Final[dict[str, tuple[str, dict[str, tuple[str, int]]]]] = {
    "studio-base": ("Base", {name: (name, 4) for name in (*WAYS[:3], *(f"{way} gap" for way in WAYS[:3]))}),
    "studio-autoencoder": ("Autoencoder", {"PSNR, dB": ("psnr", 2)}),
    "studio-identity": ("Identity embedder", _both("top1", "top-1", 3)),
    "studio-reader": ("Reader", _both("exp", "Exp", 4) | _both("pixels", "pixels", 2) | _both("yaw", "yaw", 2)),
}  # fmt: skip
"""Benchmark -> title of its table; columns: where the value is, its digits."""


def halved(unet: dict[str, Any]) -> dict[str, Any]:
    """Changes of the UNet's configuration that make it half as wide, with as many heads and groups half as large."""
    shape = unet_config("studio") | unet
    widths = [width // 2 for width in shape["block_out_channels"]]
    return unet | {"block_out_channels": widths, "norm_num_groups": shape.get("norm_num_groups", 32) // 2}


def options_of(arm: Arm, half: bool, changed: dict[str, Any]) -> dict[str, Any]:
    """Options of an arm's objective, with some more of them ``changed``."""
    options = resolve(arm.stage, {}).options | COMMON.get(arm.stage, {}) | arm.options | changed
    if half and arm.stage == "studio-base":
        options["unet"] = halved(options.get("unet", {}))
    return options


def some(corpus: Corpus, people: int, each: int, folder: Path) -> Corpus:
    """The first ``each`` pictures of the first ``people`` people, with all portraits; what is derived is in ``folder``.

    Raises:
        typer.BadParameter: if there are not as many.
    """
    places = np.concatenate([np.nonzero(corpus.person_index == who)[0][:each] for who in range(people)])
    if len(places) < people * each:
        raise typer.BadParameter(f"--data needs {people} people with {each} pictures each.")
    folder.mkdir(parents=True, exist_ok=True)
    if (portraits := corpus.folder / PORTRAITS).is_dir() and not (folder / PORTRAITS).exists():
        (folder / PORTRAITS).symlink_to(portraits.resolve())
    return Corpus(
        folder,
        {name: values[places] for name, values in corpus.arrays.items()},
        [corpus.captions[int(place)] for place in places],
        {name: [values[int(place)] for place in places] for name, values in corpus.attributes.items()},
        held_out=corpus.held_out,
        digest=corpus.digest,
    )


def measure(name: str, corpus: Corpus, runs: Path, settings: dict[str, Any], half: bool) -> dict[str, Any]:
    """Train one arm and look at it on held-out people."""
    arm, folder, begun = ARMS[name], runs / name, None
    if arm.people is not None:
        corpus = some(corpus, *arm.people, folder / "data")
    if arm.stage != "studio-base":
        settings = {key: settings[key] for key in ("pictures", "warmup")}
    if arm.first is not None:
        settings = {key: value // 2 if key in ("pictures", "warmup") else value for key, value in settings.items()}
        begun = folder / "first" / "export"
        _fit(name, arm, options_of(arm, half, arm.first), settings, corpus, runs, folder / "first")
    objective, validation = _fit(name, arm, options_of(arm, half, {}), settings, corpus, runs, folder, begun)
    if "augment" in objective.config_type.model_fields:
        validation |= {f"damaged_{key}": value for key, value in on_damaged(objective, corpus, folder).items()}
    network = objective.unet if arm.stage == "studio-base" else next(iter(objective.parts().values()))
    return {
        "stage": arm.stage,
        "parameters": sum(value.numel() for value in network.parameters()),
        "validation": validation,
    }


@torch.no_grad()
def on_damaged(objective: Objective, corpus: Corpus, run: Path) -> dict[str, Any]:
    """What validation finds on held-out pictures that went through light, occluders, blur, noise and compression.

    The identity embedder and the reader see their training's crops so in the arms that augment, never these pictures.
    """
    held_out, generator = corpus.held_out, torch.Generator().manual_seed(0)
    if held_out is None:
        raise typer.BadParameter("--held-out has no pictures.")
    for name, part in objective.parts().items():
        load_part(part, run / "export" / name)  # the averaged weights
    images = np.empty_like(held_out["images"])
    for rows in np.array_split(np.arange(len(held_out)), -(-len(held_out) // 64)):
        damaged = photograph(pictures_to_tensor(held_out["images"][rows]), generator)
        images[rows] = tensor_to_pictures(damaged)
    return objective.validate(replace(corpus, held_out=replace(held_out, arrays=held_out.arrays | {"images": images})))


def _fit(
    name: str, arm: Arm, options: dict[str, Any], settings: dict[str, Any], corpus: Corpus, runs: Path, folder: Path,
    start_from: Path | None = None,
) -> tuple[Any, dict[str, Any]]:  # fmt: skip
    """One run: objective, what validation found."""
    config = resolve(arm.stage, settings | arm.settings).model_copy(update={"options": options, "name": name})
    torch.manual_seed(config.seed)
    objective = build_objective(config, runs)
    return objective, fit(config, objective, corpus, folder, start_from=start_from)["logs"]


def kept(runs: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """What was measured already, by arm.

    Raises:
        typer.BadParameter: if it was with other settings or pictures.
    """
    found = {}
    for arm in ARMS:
        if (file := runs / arm / MEASURED).exists():
            found[arm] = read_json(file) | {"told": ARMS[arm].told}
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
    """A row an arm, a table a stage."""
    parts = []
    for stage, (title, columns) in _TABLES.items():
        rows = []
        for one in arms.values():
            if one["stage"] != stage:
                continue
            values = summary(one) if stage == "studio-base" else one["validation"]
            found = [(values.get(name), digits) for name, digits in columns.values()]
            rows.append([
                one["told"], f"{one['parameters'] / 1e6:.1f}",
                *("-" if value is None else f"{value:.{digits}f}" for value, digits in found),
            ])  # fmt: skip
        if rows:
            parts.append(table([title, "million weights", *columns], rows).rstrip())
    return "\n\n".join(parts)


def tables(report: dict[str, Any]) -> dict[Path, tuple[str, str]]:
    """Page -> what is said to write the tables, tables."""
    return {ROOT / "docs" / "studio-training.md": ("benchmarks/choices.py", told(report["arms"]))}


def main(
    data: Annotated[Path | None, typer.Option(help="Rendered people; in the cache if not given.")] = None,
    held_out: Annotated[Path | None, typer.Option(help="Others; in the cache if not given.")] = None,
    pictures: Annotated[int, typer.Option(help="Budget of each arm.")] = 150_000,
    batch: Annotated[int, typer.Option(help="Of the base; the autoencoder has its preset's.")] = 256,
    lr: Annotated[float, typer.Option(help="Of the base.")] = 1.5e-3,
    half: Annotated[bool, typer.Option("--half", help="Every UNet half as wide.")] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(ARMS)}; repeat.")] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="The JSON file.")] = RESULT,
    runs: Annotated[Path | None, typer.Option(help="Where the runs are kept.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Begin no arm later than this.")] = None,
) -> None:
    """Train, measure, write."""
    if wrong := [name for name in only or () if name not in ARMS]:
        raise typer.BadParameter(f"--only takes {', '.join(ARMS)}, not {', '.join(wrong)}.")
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
        write_json(runs / arm / MEASURED, measure(arm, corpus, runs, settings, half) | {"asked": asked})
        done = kept(runs, asked)
        write_result(output, asked | {"arms": done})
    if output == RESULT:
        write_tables(tables({"arms": done}))
    typer.echo(told(done))


if __name__ == "__main__":
    typer.run(main)
