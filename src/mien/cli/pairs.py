"""``mien pairs``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import Executor, Facekit, Finish, Part, Reader
from mien.cli.say import say
from mien.data.idi import defaults

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def pairs() -> None:
    """Pairs of pictures with one expression and two people (EmojiDiff's IDI)."""


@app.command()
def build(
    data: Annotated[Path, typer.Option(metavar="FOLDER", help="Portraits: shards of our schema.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="The pairs, manifest and report.")],
    model: Annotated[
        str, typer.Option(metavar="SPEC", help="What draws: a spec of ours or a JSON file.")
    ] = "expression",
    maker: Annotated[
        str, typer.Option(metavar="redraw|oracle|FILE.onnx", help="How templates come to another person.")
    ] = "redraw",
    landmarks: Annotated[bool, typer.Option("--landmarks", help="Templates also get E's landmarks.")] = False,
    strength: Annotated[
        float, typer.Option(help="Of the redraw: share of the denoising steps it runs.")
    ] = defaults.STRENGTH,
    exp: Annotated[float, typer.Option(help="Largest Exp that is kept.")] = defaults.EXP,
    lms: Annotated[float, typer.Option(help="Largest LMS that is kept.")] = defaults.LMS,
    identity: Annotated[float, typer.Option(help="Largest identity cosine that is kept.")] = defaults.IDENTITY,
    sharpness: Annotated[
        float, typer.Option(help="Least sharpness of the template against its target's.")
    ] = defaults.SHARPNESS,
    liqe: Annotated[
        Path | None, typer.Option(metavar="FILE.onnx", help="LIQE, exported (docs/how-to-pairs.md): a filter more.")
    ] = None,
    quality: Annotated[float, typer.Option(help="With --liqe: least quality that is kept, 1 to 5.")] = defaults.QUALITY,
    direction: Annotated[
        str, typer.Option(metavar="keep|exclude", help="exclude is the paper's sentence.")
    ] = defaults.DIRECTION,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Exp and LMS from pairs known to be good, not the paper's.")
    ] = False,
    targets: Annotated[int | None, typer.Option(min=1, help="Targets; all of the data set if not given.")] = None,
    attempts: Annotated[int, typer.Option(help="Templates tried for each target.")] = defaults.ATTEMPTS,
    steps: Annotated[int, typer.Option(help="Denoising steps.")] = defaults.STEPS,
    batch: Annotated[int, typer.Option(help="Attempts drawn at once.")] = defaults.BATCH,
    per_shard: Annotated[int, typer.Option(help="Pairs in a shard.")] = defaults.PER_SHARD,
    seed: Annotated[int, typer.Option(help="Of people and noise.")] = defaults.SEED,
    reader: Reader = "auto",
    facekit: Facekit = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one for each GPU if not given.")] = None,
    executor: Executor = "local",
    part: Part = None,
    finish: Finish = False,
) -> None:
    """Redraw each portrait under another person, swap on a third, and keep the pairs in which the expression survived.

    The same command goes on where it was stopped.
    """
    from mien.cli.progress import bar
    from mien.core.stages.execute import parse_part
    from mien.data.idi.open import Order, build_pairs

    thresholds = {"exp": exp, "lms": lms, "identity": identity, "sharpness": sharpness, "direction": direction,
                  "quality": None if liqe is None else quality}  # fmt: skip
    settings = {
        "conditions": ("expression", "landmarks") if landmarks else ("expression",),
        "strength": strength, "thresholds": thresholds, "attempts": attempts, "steps": steps, "batch": batch,
        "per_shard": per_shard, "seed": seed,
    }  # fmt: skip
    order = Order.of(data, model, maker, settings, targets, reader, facekit, liqe)
    report = build_pairs(
        order, output, calibrate, bar, executor=executor, workers=workers, part=parse_part(part), finish=finish
    )
    if report is None:
        say(f"Part {part} is done; when all are, the same command with --finish puts them together.")
        return
    reasons = ", ".join(f"{name} {count}" for name, count in report["reasons"].items())
    say(f"{report['pairs']} pairs from {report['attempts']} attempts in {output} ({reasons})")
