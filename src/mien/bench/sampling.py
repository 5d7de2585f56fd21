"""Ours against the formula as written and against the peers: the time, memory and arithmetic of drawing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

import torch
from pydantic import Field
from torch import Tensor

from mien.bench import machine
from mien.bench.memory import peak_in_a_process
from mien.bench.naive import NaivePipeline
from mien.bench.peers import PEERS, Peer, StockPipeline
from mien.bench.rig import CONDITIONS, conditions_for, rig
from mien.bench.timing import Run, Timing, pairs, spread, take_turns
from mien.bench.work import against, work
from mien.core.progress import Bar, silent
from mien.core.strict import StrictModel
from mien.diffusion.caching import SPEEDS, Caching, GuidanceInterval, Speed
from mien.errors import BadInput
from mien.pipelines.portrait import PortraitPipeline

INTERVAL = GuidanceInterval(0.0, 0.6)
"""Differences of the last steps are left out altogether: the third way to save evaluations, measured alone."""

MODES: dict[str, Speed | Caching] = {
    "exact": SPEEDS["exact"],
    "fast": SPEEDS["fast"],
    "differences": Caching(differences=SPEEDS["fast"].differences),
    "features": Caching(features=SPEEDS["fast"].features),
    "interval": Caching(interval=INTERVAL),
    "few": "few",
}
"""Ours: the modes, and each part of the fast one alone; ``few`` has its own number of steps."""

Side = Literal["naive", "exact", "fast", "differences", "features", "interval", "few", "controlnet", "ip-adapters"]
SIDES: tuple[Side, ...] = get_args(Side)
Work = dict[str, float] | None
Draw = Callable[[], Tensor]
PAIRS = (
    ("naive", "exact"),
    ("naive", "fast"),
    ("naive", "differences"),
    ("naive", "features"),
    ("naive", "interval"),
    ("naive", "few"),
    ("exact", "fast"),
    ("exact", "few"),
    ("controlnet", "exact"),
    ("controlnet", "fast"),
    ("ip-adapters", "exact"),
    ("ip-adapters", "fast"),
)
"""(slower, faster): the ratios that are reported."""


class Sampling(StrictModel):
    """What is timed.

    Attributes:
        base: ``studio`` or a base of SD1.5's shape.
        size: ``sd15`` for random weights of that base's shape in the place of ``base``.
        steps: denoising steps.
        batch: pictures drawn at once.
        pixels: side of the pictures; the base's own when None.
        rounds: turns that count.
        sides: what takes turns.
        dtype: of the weights.
        device: where it runs.
        compiled: the UNet is compiled, for ours and for the naive sampler; peers stay eager and are left out.
        memory: the peak memory of each side, each in a process of its own.
    """

    base: str = "studio"
    size: str | None = None
    steps: Annotated[int, Field(ge=1, le=1000)] = 25
    batch: Annotated[int, Field(ge=1, le=1000)] = 1
    pixels: Annotated[int, Field(ge=8)] | None = None
    rounds: Annotated[int, Field(ge=1)] = 5
    sides: tuple[Side, ...] = SIDES
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    device: str = "cpu"
    compiled: bool = False
    memory: bool = False


def sides(chosen: Sampling) -> dict[str, Draw]:
    """Name -> a function that draws the same pictures in its own way.

    Raises:
        BadInput: if the base cannot be timed, or a peer is asked for beside a compiled UNet.
        MissingAsset: if ``few`` is all that is asked for, and the base has no weights for it.
    """
    pipeline = rig(chosen.base, chosen.size, getattr(torch, chosen.dtype), chosen.device)
    asked: list[Peer] = [one for one in PEERS if one in chosen.sides]
    if chosen.compiled and asked:
        raise BadInput(f"Peers run as their pipelines come: leave --side {asked[0]} or --compile out.")
    peers: dict[str, StockPipeline] = {name: StockPipeline(name, pipeline) for name in asked}
    if chosen.compiled:
        pipeline.unet.compile(fullgraph=True)
    found: dict[str, Draw] = {}
    for name in chosen.sides:
        if name == "few" and len(chosen.sides) > 1 and not pipeline.has_few_steps:
            continue  # most bases have not been distilled
        if name in peers:
            found[name] = _peer(chosen, pipeline, peers[name])
        else:
            found[name] = ours(chosen, pipeline, name)
    return found


def ours(
    chosen: Sampling, pipeline: PortraitPipeline, name: str, conditions: Sequence[str] = CONDITIONS
) -> Callable[[], Tensor]:
    """A function that draws with one of `MODES`, or with the naive sampler; it gives the latents of its pictures."""
    drawing = pipeline if name in MODES else naive(pipeline)
    options: dict[str, Any] = {"speed": MODES[name]} if name in MODES else {}
    given = conditions_for(pipeline, chosen.batch, tuple(conditions))

    @torch.no_grad()
    def run() -> Tensor:
        found: Any = drawing(
            **given, **options, num_inference_steps=None if name == "few" else chosen.steps,
            height=chosen.pixels, width=chosen.pixels,
            identity_mode="prompt", scales=dict.fromkeys(BRANCHES, 1.0), generator=_generators(chosen),
            output_type="latent",
        )  # fmt: skip
        pipeline._finish(found.images, "pil")
        return found.images

    return run


def naive(pipeline: PortraitPipeline) -> NaivePipeline:
    """The naive sampler on the same parts."""
    own: dict[str, Any] = {name: dict(pipeline.config[name]) for name in ("guidance", "scales")}
    found = NaivePipeline(**pipeline.components, adapters=pipeline.adapters, **own)
    found.set_progress_bar_config(disable=True)
    return found


def _peer(chosen: Sampling, pipeline: PortraitPipeline, peer: StockPipeline) -> Draw:
    given = conditions_for(pipeline, chosen.batch, ("identity", "landmarks"))
    config: Any = pipeline.unet.config
    pixels = chosen.pixels or config.sample_size * pipeline.vae_scale_factor
    return lambda: peer(**given, steps=chosen.steps, pixels=pixels, generator=_generators(chosen))


def _generators(chosen: Sampling) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(chosen.batch)]


def bench_sampling(chosen: Sampling, bar: Bar = silent) -> dict[str, Any]:
    """Time all sides in turns.

    Returns:
        The report, as JSON: ``machine``, ``limits``, ``settings``, ``sides`` (seconds, work and memory of each),
        ``pairs`` (ratios of the seconds, round by round) and ``differences`` (how far the latents lie apart). Work and
        latents are those of a turn of each side before the timed ones.

    Raises:
        BadInput: see :func:`sides`.
    """
    described = machine.describe(chosen.device, chosen.dtype)
    wait = waiting(chosen.device)
    runs = sides(chosen)
    done: dict[str, Work] = {}
    latents: dict[str, Tensor] = {}
    with bar((chosen.rounds + 1) * len(runs), "drawing") as advance:
        for name, run in runs.items():
            # what compiled code does is not seen operation by operation
            latents[name], done[name] = (run(), None) if chosen.compiled else work(run)
            advance(1)
        timings = take_turns(runs, chosen.rounds, warm_up=0, wait=wait, advance=advance)
    limits = machine.limits(chosen.device, getattr(torch, chosen.dtype), wait)
    return {
        "bench": "sampling",
        "settings": chosen.model_dump(mode="json"),
        "machine": described,
        "limits": limits,
        "sides": {name: _told(timing, done[name], limits) for name, timing in timings.items()},
        "pairs": pairs(timings, PAIRS),
        "differences": differences({name: one for name, one in latents.items() if name not in PEERS}),
    } | ({"memory": _memory(chosen, runs)} if chosen.memory else {})


def _told(timing: Timing, done: Work, limits: dict[str, float]) -> dict[str, Any]:
    found = timing.as_json()
    return found if done is None else found | {"work": against(limits, done, found["seconds"]["minimum"])}


def differences(latents: Mapping[str, Tensor]) -> dict[str, float]:
    """|latents - naive latents| / |naive latents|, or of the exact ones where the naive sampler is not timed."""
    first = next((name for name in ("naive", "exact") if name in latents), None)
    if first is None:
        return {}
    own = latents[first].float()
    others = {name: one.float() for name, one in latents.items() if name != first}
    return {f"{name}:{first}": float(f"{(one - own).norm() / own.norm():.3g}") for name, one in others.items()}


def _memory(chosen: Sampling, names: Iterable[str]) -> dict[str, dict[str, float]]:
    settings = chosen.model_dump(mode="json") | {"steps": min(chosen.steps, 2), "memory": False}
    return {side: peak_in_a_process(settings, side) for side in names}


def waiting(device: str) -> Run:
    """A function that returns when everything that a device was asked for is done."""
    return (lambda: torch.cuda.synchronize(device)) if device.startswith("cuda") else (lambda: None)


CURVES: dict[str, tuple[int, ...]] = {"batch": (1, 2, 4, 8), "steps": (5, 10, 25, 50), "branches": (0, 1, 2, 3)}
BRANCHES = ("landmarks", "emotion", "expression")
"""In the order in which the curve adds them."""


def bench_curves(chosen: Sampling, bar: Bar = silent) -> dict[str, list[dict[str, Any]]]:
    """Seconds against the number of pictures at once, of steps and of branches, of naive, exact and fast.

    Returns:
        Axis -> one entry a value: ``value``, and ``seconds`` of each side (median, minimum, maximum).
    """
    pipeline = rig(chosen.base, chosen.size, getattr(torch, chosen.dtype), chosen.device)
    names = [name for name in ("naive", "exact", "fast") if name in chosen.sides]
    found: dict[str, list[dict[str, Any]]] = {}
    with bar(sum(map(len, CURVES.values())) * len(names) * (chosen.rounds + 1), "curves") as advance:
        for axis, values in CURVES.items():
            found[axis] = []
            for value in values:
                here = chosen if axis == "branches" else chosen.model_copy(update={axis: value})
                given = ("identity", *BRANCHES[:value]) if axis == "branches" else CONDITIONS
                if set(given) - {"identity"} > {branch.kind for branch in pipeline.adapters.values()}:
                    continue
                runs = {name: ours(here, pipeline, name, given) for name in names}
                timings = take_turns(runs, chosen.rounds, wait=waiting(chosen.device), advance=advance)
                seconds = {name: spread(one.wall) for name, one in timings.items()}
                found[axis].append({"value": value, "seconds": seconds})
    return found
