"""Which latents for 256 px? Autoencoders compared by what a base of half width draws on each, at equal budgets.

    python benchmarks/latents.py --data FOLDER --held-out FOLDER --facekit KIT
    python benchmarks/latents.py ... --only kl --only repa          # some arms; the same command continues

Each arm trains an autoencoder of 16 x 16 latents, then a base half as wide on them with its landmarks and emotion
branches, and draws held-out people with other people's expressions. Arms that change the base alone share the
autoencoder of another. Reader, identity embedder and text encoder at the start are the embedded ones. Writes
``benchmarks/results/latents.json`` and prints the table; models, runs and pictures stay in the cache.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import numpy as np
import typer
from choices import halved
from exit_codes import exit_codes
from result_files import command_line, write_result

from mien.assets import embedded
from mien.cli.progress import bar
from mien.core.io import cache_folder, read_json, write_json
from mien.evaluation.control.baselines import EXACT
from mien.evaluation.models import load_models
from mien.evaluation.png import read_png
from mien.evaluation.protocols import EvaluationRun, protocol_named
from mien.evaluation.protocols.control import compare
from mien.evaluation.report.tables import table
from mien.metrics.spectrum import octave_power
from mien.pipelines.spec import ModelSpec
from mien.training.publish import entry_of, publish
from mien.training.run import is_finished, resolve, train

RESULT = Path(__file__).resolve().parent / "results" / "latents.json"
MEASURED = "measured.json"
AUTOENCODER: Final[dict[str, Any]] = {
    "block_out_channels": (64, 112, 192), "output_shuffle": 4, "crop": 128, "emphasis": 0.5, "square": 8.0,
    "perceptual": 0.3,
}  # fmt: skip
"""Options of every autoencoder, beside its arm's."""
BASE: Final[dict[str, Any]] = {
    "perceptual": (0.0, 0.0), "caption_readout": 0.0, "aux_loss_fraction": 0.0, "portraits": 0.0
}  # fmt: skip
"""Options of every base: what counts late in the long run costs time and tells nothing of latents, nor do portraits."""


class Asked(NamedTuple):
    """What every arm is trained on: data, and pictures of each stage."""

    data: Path
    held_out: Path
    latents: int
    base: int


@dataclass(frozen=True)
class Arm:
    """One change.

    Attributes:
        told: what is changed.
        autoencoder: options of the autoencoder.
        base: options of the base.
        latents: the arm whose autoencoder is taken; its own if None.
        seed: of both.
    """

    told: str
    autoencoder: Mapping[str, Any] = field(default_factory=dict)
    base: Mapping[str, Any] = field(default_factory=dict)
    latents: str | None = None
    seed: int = 0


_TRAINED: Final = ("pictures", "seconds", "validation")
_KL: Final = {"linear": False, "kl": 1e-6}
ARMS: Final[dict[str, Arm]] = {
    "pca": Arm("linear encoder from the PCA of patches"),
    "pca-32": Arm("the same, 32 channels", {"latent_channels": 32}),
    "kl": Arm("convolutional encoder, KL term", _KL),
    "equivariant": Arm("PCA start, equivariance (EQ-VAE)", {"equivariance": 0.5}),
    "equivariant-32": Arm("the same, 32 channels", {"equivariance": 0.5, "latent_channels": 32}),
    "kl-equivariant": Arm("KL term and equivariance", _KL | {"equivariance": 0.5}),
    "aligned": Arm("PCA start, aligned with the reader's features (VA-VAE)", {"alignment": 0.3}),
    "aligned-equivariant": Arm("aligned, equivariance", {"alignment": 0.3, "equivariance": 0.5}),
    "repa": Arm("base: middle features aligned with the reader's (REPA)", base={"representation": 0.5}, latents="pca"),
    "logit-normal": Arm("base: logit-normal timesteps", base={"timesteps": "logit_normal"}, latents="pca"),
    "min-snr": Arm("base: min-SNR weights, gamma 5", base={"gamma": 5.0}, latents="pca"),
    "seed": Arm("pca, another seed: what chance does", seed=1),
}
SHOWN: Final = {
    "KID": ("kid.studio", 4), "nearness of expression": ("nearness.expression", 3),
    "of identity": ("nearness.identity", 3), "right person first": ("identity.top1", 3),
    "glasses": ("attribute.glasses", 3), "hair colour": ("attribute.hair_color", 3), "beard": ("attribute.beard", 3),
    "finest octave": ("octaves", 2), "PSNR, dB": ("psnr", 2),
}  # fmt: skip
"""Column -> measure and its digits. Nearness is relative to the exact render here, not to each arm's autoencoder."""


def train_autoencoder(name: str, place: Path, asked: Asked) -> Path:
    """The run of an arm's autoencoder."""
    arm = ARMS[name]
    options = AUTOENCODER | dict(arm.autoencoder)
    return _train("studio-autoencoder", place / name / "runs", asked, asked.latents, options, arm.seed)


def train_arm(name: str, place: Path, asked: Asked) -> Path:
    """The model folder of an arm; what is trained already is not trained again.

    Args:
        name: of the arm.
        place: where arms are, each with its runs and its model.
        asked: data and budgets.
    """
    arm, runs, model = ARMS[name], place / name / "runs", place / name / "model"
    autoencoder = train_autoencoder(arm.latents or name, place, asked)
    if arm.latents is not None:
        _take(autoencoder, runs / autoencoder.name)
    channels = read_json(autoencoder / "export" / "vae" / "config.json")["latent_channels"]
    unet = halved({"in_channels": channels, "out_channels": channels})
    _train("studio-base", runs, asked, asked.base, BASE | dict(arm.base) | {"unet": unet}, arm.seed)
    if not model.is_dir():
        shutil.copytree(embedded("studio"), model, ignore=shutil.ignore_patterns("adapters", "few_step.safetensors"))
    publish(runs, model, names=("studio-autoencoder", "studio-base"))
    return model


def _train(preset: str, runs: Path, asked: Asked, pictures: int, options: dict[str, Any], seed: int) -> Path:
    """The finished run of a preset with some options of its own."""
    config = resolve(preset, {})
    overrides = {
        "options": config.options | options, "pictures": pictures, "seed": seed, "warmup_images": pictures // 50,
        "depends_on": (*config.depends_on, "studio-reader"),  # whose features the autoencoder's terms are taken in
    }  # fmt: skip
    if not is_finished(runs / preset, pictures):
        train(preset, data=asked.data, held_out=asked.held_out, runs=runs, bar=bar, overrides=overrides)
    return runs / preset


def _take(run: Path, place: Path) -> None:
    """A run of elsewhere, as one of these: what it exported and what is told of it."""
    if not place.exists():
        keep = shutil.ignore_patterns("checkpoint*", "start.safetensors", "tensorboard", "grid")
        shutil.copytree(run, place, ignore=keep)


def measure(name: str, model: Path, folder: Path, facekit: Path | None, people: int, each: int) -> dict[str, Any]:
    """What an arm draws, and how it trained.

    Args:
        name: of the arm.
        model: its folder.
        folder: where pictures are kept.
        facekit: the face kit's file.
        people: held-out people, and as many targets.
        each: targets of each of them.
    """
    control, spec = protocol_named("control"), ModelSpec(base=str(model))
    settings = control.settings(people, people, each, batch=20, draws=400)
    run = EvaluationRun(settings, load_models({name: spec}, settings, facekit), folder, bar, command=command_line())
    found = compare(run)
    metrics, headline = found.data["models"][name]["metrics"], found.data["headline"]["models"]
    drawn, right = (
        np.stack([read_png(file) for file in files]) for files in (found.runs[name].files, found.benchmark.answers)
    )
    values = {measure: one["value"] for measure, one in (metrics | headline[name]).items()}
    best = {measure: one["value"] for measure, one in headline[EXACT].items()}
    values |= {key: _share(values[key], best[key]) for key in values if key.startswith("nearness.")}
    octaves = (octave_power(drawn) / octave_power(right)).round(4).tolist()
    runs = model.parent / "runs"
    told = {part: entry_of(runs / f"studio-{part}") for part in ("autoencoder", "base")}
    return {
        "told": ARMS[name].told,
        "values": values,
        "exact": best,
        "octaves": octaves,
        "psnr": told["autoencoder"]["validation"]["psnr"],
        "trained": {part: {key: one[key] for key in _TRAINED} for part, one in told.items()},
        "judges": found.data["judges"],
    }  # fmt: skip


def measured(place: Path) -> dict[str, Any]:
    """What was measured so far, by arm."""
    return {arm: read_json(place / arm / MEASURED) for arm in ARMS if (place / arm / MEASURED).exists()}


def table_of(arms: Mapping[str, Any]) -> str:
    """A row an arm."""
    rows = []
    for one in arms.values():
        values = one["values"] | {"octaves": one["octaves"][-1], "psnr": one["psnr"]}
        rows.append([one["told"], *(_number(values.get(key), digits) for key, digits in SHOWN.values())])
    return table(["arm", *SHOWN], rows)


def _share(value: float | None, of: float | None) -> float | None:
    return None if value is None or not of else value / of


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def main(
    data: Annotated[Path, typer.Option(help="Rendered people of 256 px.")],
    held_out: Annotated[Path, typer.Option(help="Others.")],
    facekit: Annotated[Path | None, typer.Option(help="The face kit's file; MIEN_FACEKIT if not given.")] = None,
    only: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(ARMS)}; repeat.")] = None,
    latents: Annotated[int, typer.Option(help="Pictures of an autoencoder.")] = 80_000,
    base: Annotated[int, typer.Option(help="Pictures of a base.")] = 200_000,
    people: Annotated[int, typer.Option(help="Held-out people that are drawn, and as many targets.")] = 40,
    each: Annotated[int, typer.Option(help="Targets of each.")] = 10,
    place: Annotated[Path | None, typer.Option(help="Where runs, models and pictures are kept.")] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="The JSON file.")] = RESULT,
) -> None:
    """Train, draw, measure, write."""
    if wrong := [name for name in only or () if name not in ARMS]:
        raise typer.BadParameter(f"--only takes {', '.join(ARMS)}, not {', '.join(wrong)}.")
    with exit_codes():
        place = place or cache_folder() / "benchmarks" / "latents"
        asked = Asked(data, held_out, latents, base)
        budgets = {"latents": latents, "base": base, "people": people, "each": each}
        for name in only or ARMS:
            if not (place / name / MEASURED).exists():
                model = train_arm(name, place, asked)
                found = measure(name, model, place / name / "pictures", facekit, people, each)
                write_json(place / name / MEASURED, found | {"budgets": budgets})
            write_result(output, {"arms": measured(place)})
        typer.echo(table_of(measured(place)))


if __name__ == "__main__":
    typer.run(main)
