"""``mien bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mien.cli.say import say

app = typer.Typer(add_completion=False, no_args_is_help=True)

Out = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write everything here.")]
Rounds = Annotated[int, typer.Option(help="Turns of each side that count.", min=1)]
Threads = Annotated[int | None, typer.Option(help="Of the processor; torch's own choice if not given.", min=1)]


@app.callback()
def bench() -> None:
    """Time ours side by side with others, in turns in one run."""


@app.command()
def sampling(
    base: Annotated[str, typer.Option(metavar="NAME|FOLDER", help="studio, or a base of SD1.5's shape.")] = "studio",
    size: Annotated[
        str | None, typer.Option(metavar="NAME", help="sd15: its shapes with random weights, in place of a base.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Denoising steps.")] = 25,
    batch: Annotated[int, typer.Option(help="Pictures at once.")] = 1,
    pixels: Annotated[int | None, typer.Option(help="Side of the pictures; the base's own if not given.")] = None,
    side: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="naive, exact, fast, differences, features, interval, few, controlnet or ip-adapters; repeat.",
        ),
    ] = None,
    rounds: Rounds = 5,
    dtype: Annotated[str, typer.Option(metavar="NAME", help="float32, bfloat16 or float16.")] = "float32",
    device: Annotated[str, typer.Option(metavar="NAME", help="cpu or cuda.")] = "cpu",
    threads: Threads = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the UNet; leaves the peers out.")] = False,
    memory: Annotated[bool, typer.Option("--memory", help="Peak memory too, each side in its own process.")] = False,
    curves: Annotated[bool, typer.Option("--curves", help="Cost by batch size, steps and branches too.")] = False,
    portrait: Annotated[
        bool, typer.Option("--portrait", help="Also where the seconds of mien generate go, on the studio.")
    ] = False,
    out: Out = None,
) -> None:
    """Drawing: exact and fast against one UNet call an evaluation, and against stock diffusers on the same UNet.

    Example: mien bench sampling --rounds 5 --memory --json sampling.json
    """
    from mien.bench.portrait import bench_portrait
    from mien.bench.sampling import PEERS, SIDES, Sampling, bench_curves, bench_sampling
    from mien.cli.progress import bar

    usual = tuple(one for one in SIDES if not (compiled and one in PEERS))
    chosen = Sampling.checked(
        base=base, size=size, steps=steps, batch=batch, pixels=pixels, rounds=rounds, dtype=dtype,
        device=device, compiled=compiled, memory=memory, sides=tuple(side) if side else usual,
    )  # fmt: skip
    _use(threads)
    report = bench_sampling(chosen, bar)
    if curves:
        report["curves"] = bench_curves(chosen, bar)
    if portrait:
        report["portrait"] = bench_portrait(rounds, steps, bar)
    _told(report, out)


@app.command()
def training(
    data: Annotated[Path, typer.Option(help="A rendered set.")],
    rounds: Rounds = 40,
    threads: Threads = None,
    out: Out = None,
) -> None:
    """Training steps: the joint step against a plain one, the landmark module's against a ControlNet's."""
    from mien.bench.training import bench_training
    from mien.cli.progress import bar

    _use(threads)
    _told(bench_training(data, rounds, bar), out)


@app.command()
def reading(rounds: Rounds = 5, threads: Threads = None, out: Out = None) -> None:
    """Reading photographs: every reader at hand, and what is made of a face."""
    from mien.bench.reading import bench_reading
    from mien.cli.progress import bar

    _use(threads)
    _told(bench_reading(rounds, bar), out)


@app.command()
def startup(rounds: Rounds = 5, out: Out = None) -> None:
    """Starting: help, imports and loading, each in a process of its own."""
    from mien.bench.startup import bench_startup
    from mien.cli.progress import bar

    _told(bench_startup(rounds, bar), out)


def _use(threads: int | None) -> None:
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def _told(report: dict[str, Any], out: Path | None) -> None:
    """The seconds of each side and the ratios, as lines; everything as JSON where it is asked for."""
    from mien.bench.stamp import command_line, stamp
    from mien.bench.summary import lines
    from mien.core.io import write_json

    if out is not None:
        write_json(out, report | {"made_by": stamp(command_line())})
    for line in lines(report):
        say(line)
