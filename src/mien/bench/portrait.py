"""Where the seconds of a portrait go: the UNet, the decoder, and everything else from the photograph to the file."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.bench import machine
from mien.bench.timing import spread, take_turns
from mien.core.progress import Bar, silent
from mien.diffusion.caching import SPEEDS
from mien.diffusion.shortcuts import Detours

if TYPE_CHECKING:
    from mien.pipelines.portrait import PortraitPipeline


PARTS = ("unet", "decoder")


class Stopwatch:
    """Seconds spent inside the UNet and the decoder of a pipeline; :meth:`remove` leaves no trace.

    Attributes:
        seconds: part -> so far.
    """

    def __init__(self, pipeline: PortraitPipeline) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(PARTS, 0.0)
        self._vae = pipeline.vae
        self._detours = Detours()
        self._detours.put(pipeline.unet, lambda forward, given, options: self._timed("unet", forward, given, options))
        decode = self._vae.decode
        self._vae.decode = lambda *given, **options: self._timed("decoder", decode, given, options)

    def _timed(self, part: str, run: Callable[..., Any], given: tuple[Any, ...], options: dict[str, Any]) -> Any:
        start = time.perf_counter()
        found = run(*given, **options)
        self.seconds[part] += time.perf_counter() - start
        return found

    def remove(self) -> None:
        """Put everything back."""
        self._detours.remove()
        del self._vae.decode


def bench_portrait(rounds: int = 5, steps: int = 25, bar: Bar = silent) -> dict[str, Any]:
    """A warm ``mien generate`` of one portrait with the shipped examples, in every mode in turns.

    Args:
        rounds: portraits of each that count.
        steps: denoising steps.
        bar: makes progress bars.

    Returns:
        The report, as JSON: for each mode the seconds in all, in each part and outside of both, and ``outside``, the
        share of the latter.
    """
    from mien.demo.examples import Examples
    from mien.generation.generate import generate
    from mien.generation.request import GenerateRequest
    from mien.generation.tools import FaceTools
    from mien.pipelines.load import load_pipeline

    described = machine.describe("cpu", "float32")
    pipeline, tools, examples = load_pipeline("studio"), FaceTools.load("studio", "auto"), Examples.load()
    speeds = [speed for speed in SPEEDS if speed != "few" or pipeline.has_few_steps]
    found: dict[str, dict[str, list[float]]] = {speed: {"all": [], **{part: [] for part in PARTS}} for speed in speeds}

    def draw(speed: str, folder: Path) -> None:
        request = GenerateRequest.checked(
            identity=examples.people[0].path, expression=examples.templates[0].path, emotion="happy:0.5",
            steps=None if speed == "few" else steps, speed=speed, output=folder,
        )  # fmt: skip
        watch, start = Stopwatch(pipeline), time.perf_counter()
        try:
            generate(request, pipeline=pipeline, tools=tools)
        finally:
            watch.remove()
        for part, seconds in {"all": time.perf_counter() - start, **watch.seconds}.items():
            found[speed][part].append(seconds)

    with tempfile.TemporaryDirectory() as folder, bar((rounds + 1) * len(speeds), "portraits") as advance:
        runs = {speed: lambda speed=speed: draw(speed, Path(folder)) for speed in speeds}
        take_turns(runs, rounds, advance=advance)
    return {"bench": "portrait", "machine": described, "steps": steps, "reader": tools.reader_name} | {
        "speeds": {
            speed: _told({part: values[-rounds:] for part, values in one.items()}) for speed, one in found.items()
        }
    }


def _told(seconds: dict[str, list[float]]) -> dict[str, Any]:
    rest = [whole - sum(seconds[part][row] for part in PARTS) for row, whole in enumerate(seconds["all"])]
    shares = [part / whole for part, whole in zip(rest, seconds["all"], strict=True)]
    return {part: spread(values) for part, values in {**seconds, "rest": rest}.items()} | {"outside": spread(shares)}
