"""The page ``docs/speed.md`` and its chart from the JSON in ``benchmarks/results/``: no number is written by hand.

python benchmarks/docs_speed.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docs_parts import with_stale_note
from line_chart import panels

from mien.core.io import read_json, write_text
from mien.diffusion.caching import SPEEDS
from mien.evaluation.report.tables import table
from mien.pipelines.few_step import FILE, read_few_step

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "speed.md"
CHART = ROOT / "docs" / "images" / "speed.svg"
BUSY = 0.5
"""Load a core, before the run, from which on timings are called preliminary."""

LOSSES = {
    "transfer.mediapipe.exp": "expression, transfer (MediaPipe's Exp)",
    "transfer.judge.coefficients": "expression, transfer (judge's coefficients)",
    "transfer.judge.pose": "pose, transfer (judge)",
    "judge.emotion_class": "emotion, share of wrong classes (judge)",
    "identity.cosine": "identity, cosine (judge)",
    "transfer.identity.cosine": "identity, between impostor and renderer",
}

MODES = """\
`exact` is Eq. 6 as it stands: every difference at every step, all evaluations of all pictures in one batch.
Three things are computed less often than the formula says, without changing the result:

- keys and values of the branches, and those of the base's text: once a picture, not once a step;
- what text and sizes add to the time embedding: likewise;
- everything before the first cross-attention: rows that share their text are still the same row there, and are computed
  once.

`fast` (`--speed fast`, `speed="fast"`, the spec field `speed`) gives nearly the same picture from less work; the
commands that draw take it unless told otherwise, the library and the benchmarks do not:

- **guidance differences are kept** (`DifferenceCaching`). One evaluation a step, the most conditioned one, plus
  D = e_guided - e_reference. D is computed at steps {whole} of 25 and goes on linearly in between; it is kept as noise,
  whatever the UNet predicts. The gaps grow because D changes most while the layout is decided.
- **deep features are reused** (`FeatureReuse`; DeepCache, Ma et al. 2024, arXiv 2312.00858): the deep blocks run at
  every third step at least; in between only the outermost skip connection does.

A third way is there and not part of `fast`: a **guidance interval** (`GuidanceInterval`; Kynkäänniemi et al. 2024,
arXiv 2404.07724), which leaves differences out altogether at some steps. A setting of one's own is a `Caching` with
any of the three: `pipeline(..., speed=Caching(features=FeatureReuse(every=2)))`. At equal work, fewer steps of the
sampler are the alternative: change `--steps`.

`pipeline.unet.compile(fullgraph=True)` works in both modes: no graph break, compiled once for all pictures of one shape
(twice in `fast`, which has two batch sizes). A compiled UNet runs whole, so deep features are not reused then."""

READING = """\
How to read the tables. Sides take turns in one process (A B C, C B A, ...); ratios are taken round by round, and stand
with their median, minimum and maximum. `naive` makes one UNet call for each evaluation of each step and keeps nothing.
`controlnet` is diffusers' `StableDiffusionControlNetPipeline` with an IP-Adapter, `ip-adapters` its
`StableDiffusionPipeline` with two, on the same UNet, text encoder, scheduler and decoder; they have two evaluations
(text against none) where ours have four, since they cannot weigh conditions apart. GFLOP are those of products,
convolutions and attentions, counted by running them; gigabytes are what these read and write. *At the limit* is
the longer of GFLOP over the machine's best product and gigabytes over its best copy; the share is that over the time
measured, above 100% where convolutions run faster than the best product."""

FEW = """\
`few` (`--speed few`, `speed="few"`) draws with a base that was
[distilled](training-full-size.md#few-steps): {steps} steps of one evaluation each, with every condition. It is a LoRA
of {megabytes} MB that is in the base's weights only while such a picture is drawn. Guidance is inside, with the
base's own weights ({guidance}), and so are the number of steps and the solver: other weights, a negative prompt or
another scheduler are refused. Scales, masks and step ranges of the branches act as always. A base without the file
says so."""


def page() -> str:
    """The whole page, as Markdown."""
    whole = sorted(SPEEDS["fast"].differences.steps(25)) if SPEEDS["fast"].differences else []
    parts = [
        "# Speed",
        "Written by `python benchmarks/docs_speed.py` from the JSON files in `benchmarks/results/`, which "
        "`python benchmarks/speed.py` measures in one go on a machine that does nothing else.",
        "## What is computed, and what is not",
        MODES.replace("{whole}", ", ".join(map(str, whole))),
        READING,
    ]
    titles = {
        "studio": "The studio",
        "curves": "The studio: what batch size, steps and branches cost",
        "sd15": "Stable Diffusion 1.5's size, random weights",
    }
    for name, title in titles.items():
        if (file := RESULTS / f"speed_{name}.json").is_file():
            parts += ["## " + title, *_sampling(read_json(file), name)]
        if name == "studio":
            parts += _other_ways()
    if (file := RESULTS / "speed_memory.json").is_file():
        parts += ["### Memory", *_memory(read_json(file))]
    parts += _few()
    if (file := RESULTS / "speed_quality.json").is_file():
        parts += ["## What speed costs in quality", *_quality(read_json(file))]
    for name, title in {"reading": "Reading a photograph", "startup": "Starting"}.items():
        if (file := RESULTS / f"speed_{name}.json").is_file():
            parts += ["## " + title, *_sides(read_json(file), name)]
    parts += _together()
    return with_stale_note("\n\n".join(parts) + "\n")


def _together() -> list[str]:
    """Two programs on the same cores."""
    reports = {file.name: read_json(file) for file in sorted(RESULTS.glob("openmp*.json"))}
    if not reports:
        return []
    rows = []
    for report in reports.values():
        machine = f"{report['made_by']['machine']['processor']}, {report['cores']} cores"
        found = {way: min(rates) for way, rates in report["steps a second"].items()}
        ways = dict.fromkeys(way.rpartition(", ")[0] for way in found)
        counts = ("alone", "in pairs")
        rows += [[machine, way, *(f"{found[f'{way}, {count}']:,.0f}" for count in counts)] for way in ways]
    sources = ", ".join(f"[JSON](../benchmarks/results/{name})" for name in reports)
    return [
        "## Two programs at once",
        f"`python benchmarks/openmp.py` ({sources}): small steps a second of the slower program, by how OpenMP's "
        "threads wait for each other. mien sets `PASSIVE` and `GOMP_SPINCOUNT`, after which a thread sleeps, unless "
        "one of them is set already. The small base is made of such steps. On a virtual machine that is slow to wake "
        "threads one of them may be faster than several: try `OMP_NUM_THREADS=1`.",
        table(["machine", "`OMP_WAIT_POLICY`", "alone", "two at once"], rows),
    ]


WAYS = {"studio": "float32", "bf16": "bfloat16", "compiled": "float32, UNet compiled"}
"""Result -> the way of computing that was timed in it."""


def _other_ways() -> list[str]:
    """The same pictures in bfloat16 and with a compiled UNet, which is what a processor could do faster."""
    found = {name: RESULTS / f"speed_{name}.json" for name in WAYS}
    if not all(file.is_file() for file in found.values()):
        return []
    reports = {name: read_json(file) for name, file in found.items()}
    sides = [side for side in reports["studio"]["sides"] if all(side in one["sides"] for one in reports.values())]
    plain = {side: reports["studio"]["sides"][side]["seconds"]["median"] for side in sides}
    rows = []
    for name, report in reports.items():
        seconds = {side: report["sides"][side]["seconds"] for side in sides}
        faster = [f"{plain[side] / seconds[side]['median']:.2f}" for side in sides]
        rows.append([WAYS[name], *(median_range(one) for one in seconds.values()), *faster])
    head = ["Computed in", *(f"`{side}`, seconds" for side in sides), *(f"`{side}`, times as fast" for side in sides)]
    sources = ", ".join(f"`{name}` ([JSON](../benchmarks/results/speed_{name}.json))" for name in ("bf16", "compiled"))
    return [
        "### Other ways to compute it",
        f"`python benchmarks/speed.py bf16 compiled`, one process after the other: {sources}. A compiled UNet runs "
        "whole, reuses no deep features, and takes a minute to compile in each process. Neither is the default: both "
        "gain little or nothing here, and float32 gives nearly the same picture on every processor.",
        table(head, rows),
    ]


def _few() -> list[str]:
    """The mode of the embedded base."""
    from mien.assets import embedded

    file = embedded("studio") / FILE
    if not file.is_file():
        return []
    inside = read_few_step(file).settings
    told = ", ".join(f"{name} {weight:g}" for name, weight in inside.guidance.items())
    megabytes = f"{file.stat().st_size / 1e6:.2f}"
    return ["## Few steps", FEW.format(steps=inside.steps, megabytes=megabytes, guidance=told)]


def _source(name: str, report: dict[str, Any]) -> str:
    machine = report["machine"]
    cores, threads = machine["cores"], machine["threads"]
    busy = machine["load"] is not None and machine["load"] > BUSY * cores
    told = f"{machine['processor']}, {threads} of {cores} cores, torch {machine['torch']}, {machine['dtype']}"
    caution = f" **Preliminary**: the load was {machine['load']:g} on {cores} cores before the run." if busy else ""
    return f"`python benchmarks/speed.py {name}` ([JSON](../benchmarks/results/speed_{name}.json)): {told}.{caution}"


def _sampling(report: dict[str, Any], name: str) -> list[str]:
    settings, limits = report["settings"], report["limits"]
    what = f"{settings['batch']} picture at once, {settings['steps']} steps, {report['machine']['dtype']}"
    rows = [
        [f"`{side}`", median_range(one["seconds"]), f"{one['work']['gflop']:.4g}", f"{one['work']['gigabytes']:.3g}",
         f"{one['work']['seconds_at_limit']:.3g}", f"{one['work']['share_of_limit']:.0%}"]
        for side, one in report["sides"].items()
    ]  # fmt: skip
    head = ["Side", "seconds", "GFLOP", "gigabytes", "seconds at the limit", "share"]
    parts = [
        _source(name, report),
        f"{what}, identity, landmarks and emotion. The machine's best: {limits['gflops']:g} GFLOP/s in a product, "
        f"{limits['gigabytes']:g} GB/s in a copy.",
        table(head, rows),
        _pairs(report),
        "How far latents lie from those of the naive sampler, relative: "
        + ", ".join(f"{pair.partition(':')[0]} {value:.2g}" for pair, value in report["differences"].items())
        + ".",
    ]
    if "curves" in report:
        parts += [f"![Seconds against batch size, steps and branches](images/{CHART.name})", _curves(report["curves"])]
    if "portrait" in report:
        parts += ["Where the seconds of a warm `mien generate` go, from the photographs to the file:",
                  _portrait(report["portrait"])]  # fmt: skip
    return parts


def _memory(report: dict[str, Any]) -> list[str]:
    pixels, dtype = report["settings"]["pixels"], report["machine"]["dtype"]
    rows = [[f"`{side}`", f"{one['before']:.0f}", f"{one['megabytes']:.0f}"] for side, one in report["memory"].items()]
    return [
        "`python benchmarks/speed.py memory` ([JSON](../benchmarks/results/speed_memory.json)): one picture of "
        f"{pixels} px, {dtype}, each side in a process of its own; the peak of the resident set from the first step "
        "to the picture.",
        table(["Side", "megabytes with everything loaded", "megabytes at the peak"], rows),
    ]


def median_range(found: dict[str, float]) -> str:
    return f"{found['median']:.3g} ({found['minimum']:.3g} to {found['maximum']:.3g})"


def _pairs(report: dict[str, Any]) -> str:
    rows = [
        [
            f"`{one['of']}` / `{one['to']}`",
            median_range(one["ratio"]),
            _processor(one["ratio"]),
            str(one["ratio"]["rounds"]),
        ]
        for one in report["pairs"]
    ]
    return table(["Ratio of the times", "by the clock", "of the processor's time", "rounds"], rows)


def _processor(found: dict[str, Any]) -> str:
    return median_range(found["cpu"]) if found.get("cpu") else "-"


def _curves(curves: dict[str, Any]) -> str:
    sides = list(next(iter(curves.values()))[0]["seconds"])
    rows = [
        [axis, str(one["value"]), *(f"{one['seconds'][side]['median']:.3g}" for side in sides)]
        for axis, points in curves.items() for one in points
    ]  # fmt: skip
    return table(["Of", "", *(f"`{side}`, seconds" for side in sides)], rows)


def _portrait(report: dict[str, Any]) -> str:
    rows = [
        [f"`{speed}`", *(f"{one[part]['median']:.3g}" for part in ("all", "unet", "decoder", "rest")),
         f"{one['outside']['median']:.1%}"]
        for speed, one in report["speeds"].items()
    ]  # fmt: skip
    return table(["Speed", "seconds", "UNet", "decoder", "all else", "share of all else"], rows)


def _quality(report: dict[str, Any]) -> list[str]:
    modes = [name for name in report["models"] if name != "exact"]
    exact, rows = report["models"]["exact"]["metrics"], []
    for metric, meaning in LOSSES.items():
        own = exact[metric]
        sign = 1 if own["better"] == "lower" else -1
        # a share of errors is held against the share of what is right
        whole = 1 - own["value"] if own["better"] == "lower" else own["value"]
        rows.append([meaning, f"{own['value']:.3f}"])
        for mode in modes:
            found = report["differences"][mode][metric]
            worst = max(sign * found["low"], sign * found["high"])
            rows[-1] += [f"{report['models'][mode]['metrics'][metric]['value']:.3f}",
                         f"{sign * found['value'] / whole:+.1%} (to {worst / whole:+.1%})"]  # fmt: skip
    head = ["", "exact", *(f"{mode}{what}" for mode in modes for what in ("", ": loss"))]
    return [
        "`python benchmarks/speed.py quality` ([JSON](../benchmarks/results/speed_quality.json)). "
        f"{report['title']} Loss is a share of what exact has, with the upper end of its 95 % interval; below 0 it is "
        "a gain.",
        table(head, rows),
    ]


def _sides(report: dict[str, Any], name: str) -> list[str]:
    count = f", for {report['pictures']} pictures" if "pictures" in report else ""
    rows = [[f"`{side}`", median_range(one["seconds"])] for side, one in report["sides"].items()]
    return [_source(name, report), table(["", f"seconds{count}"], rows), _pairs(report)]


def chart() -> str | None:
    """The curves of the studio as SVG; None while they are not there."""
    file = RESULTS / "speed_curves.json"
    curves = read_json(file).get("curves") if file.is_file() else None
    if not curves:
        return None
    labels = {"batch": "pictures at once", "steps": "steps", "branches": "branches besides the identity"}
    charts = {
        labels[axis]: {
            side: [(one["value"], one["seconds"][side]["median"]) for one in points] for side in points[0]["seconds"]
        }
        for axis, points in curves.items()
    }
    return panels(charts, "seconds")


if __name__ == "__main__":
    write_text(PAGE, page())
    if (drawn := chart()) is not None:
        write_text(CHART, drawn)
