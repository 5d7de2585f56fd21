"""What each recipe takes on 1, 8 and 64 GPUs: a simulation of queues, stragglers and failures.

    python benchmarks/costs.py                                      # the tables of the recipe pages
    python benchmarks/costs.py --set forward_gpu_seconds=0.008      # with a measurement of one's own; prints only

Every number and where it is from stands in ``costs.json``. No step of ours was timed on a GPU: what one evaluation of
the UNet takes is another's measurement, and the costs of stages are counted in such evaluations. Tasks (256 samples
each) wait in a queue for a GPU or a core; a task of a machine that fails is done again. In training all GPUs wait for
the slowest at each step, and a failure of one costs all of them what came after the last checkpoint. Needs simpy
(``mien[test]``).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from docs_parts import write_tables
from result_files import write_result

from mien.core.io import read_json
from mien.evaluation.report.tables import table
from mien.training.presets import preset

HERE = Path(__file__).resolve().parent
INPUTS, RESULT, DOCS = HERE / "costs.json", HERE / "results" / "costs.json", HERE.parent / "docs"
GPUS = (1, 8, 64)
TASK = 256
"""Samples of a task."""
STEPS = 200
"""Steps that the slowest of several GPUs is drawn for, to say what waiting for it costs."""


def queue_seconds(
    tasks: int, seconds: float, servers: int, failure: float, restart: float, straggle: float, seed: int = 0
) -> float:
    """When the last of some tasks is done.

    Args:
        tasks: how many wait.
        seconds: a task takes in the mean.
        servers: that each take the next task.
        failure: mean seconds until a server fails; infinite for never. Its task goes back into the queue.
        restart: seconds until it is there again.
        straggle: standard deviation of the logarithm of a task's time.
        seed: of chance.
    """
    import simpy

    env, rng, left = simpy.Environment(), np.random.default_rng(seed), [tasks, tasks]  # in the queue, not done
    done = env.event()

    def server() -> Generator[Any]:
        fails = _until(rng, failure)
        while left[1]:
            if not left[0]:  # others are at the last ones: one of them may fail
                yield env.any_of([done, env.timeout(seconds)])
                continue
            left[0] -= 1
            length = seconds * rng.lognormal(-(straggle**2) / 2, straggle)
            if length > fails:
                yield env.timeout(fails)
                left[0] += 1
                yield env.timeout(restart)
                fails = _until(rng, failure)
                continue
            yield env.timeout(length)
            fails -= length
            left[1] -= 1
            if not left[1]:
                done.succeed(env.now)

    for _ in range(servers):
        env.process(server())
    env.run(until=done)
    return float(env.now)


def training_seconds(
    work: float, gpus: int, failure: float, restart: float, checkpoint: float, straggle: float, seed: int = 0
) -> float:
    """When a run is at its end.

    Args:
        work: seconds of one GPU.
        gpus: that share each step.
        failure: mean seconds until one of them fails.
        restart: seconds until the run goes on.
        checkpoint: seconds between two checkpoints.
        straggle: see :func:`queue_seconds`, of a step.
        seed: of chance.
    """
    import simpy

    env, rng = simpy.Environment(), np.random.default_rng(seed)
    slowest = rng.lognormal(-(straggle**2) / 2, straggle, (STEPS, gpus)).max(1).mean() if straggle else 1.0

    def run() -> Generator[Any]:
        left, fails = work / gpus * slowest, _until(rng, failure / gpus)
        while left > 0:
            part = min(left, checkpoint)
            if fails < part:
                yield env.timeout(fails + restart)
                fails = _until(rng, failure / gpus)
                continue
            yield env.timeout(part)
            left, fails = left - part, fails - part

    env.run(until=env.process(run()))
    return float(env.now)


def _until(rng: np.random.Generator, mean: float) -> float:
    return float(rng.exponential(mean)) if np.isfinite(mean) else float("inf")


def stage_cost(
    stage: Mapping[str, Any], numbers: Mapping[str, float], forwards: Mapping[str, float], gpus: int
) -> dict[str, Any]:
    """Hours of a stage on so many GPUs with their cores, and what holds it up."""
    cores, failure = gpus * int(numbers["cores_a_gpu"]), 3600 * numbers["failure_gpu_hours"]
    chance = (failure, numbers["restart_seconds"])
    if stage["on"] == "training":
        config = preset(stage["preset"])
        used = max(count for count in range(1, gpus + 1) if config.global_batch % count == 0)
        computed = forwards[stage["cost"]] * numbers["forward_gpu_seconds"]
        loaded = numbers["loader_core_seconds"] / numbers["cores_a_gpu"] if stage["cost"] != "joint" else 0.0
        seconds = training_seconds(
            config.pictures * max(computed, loaded), used, *chance, numbers["checkpoint_seconds"], numbers["straggle"]
        )
        limit = (
            "cores that load" if loaded > computed else "GPUs" if used == gpus else f"batch of {config.global_batch}"
        )
        return {"hours": seconds / 3600, "gpus": used, "limit": limit}
    on_cores = stage["on"] == "cores"
    computed = numbers["import_core_seconds"] if on_cores else forwards[stage["cost"]] * numbers["forward_gpu_seconds"]
    beside = numbers["identity_core_seconds"] / numbers["cores_a_gpu"] if stage.get("cost") == "features" else 0.0
    each, on_cores = max(computed, beside), on_cores or beside > computed
    tasks, servers = -(-stage["samples"] // TASK), cores if stage["on"] == "cores" else gpus
    seconds = queue_seconds(tasks, each * TASK, servers, *chance, numbers["straggle"])
    limit = "number of tasks" if servers * 2 > tasks else "cores" if on_cores else "GPUs"
    return {"hours": seconds / 3600, "gpus": gpus, "limit": limit}


def report(inputs: Mapping[str, Any], changed: Mapping[str, float]) -> dict[str, Any]:
    """Every stage of every recipe on every number of GPUs."""
    values = {
        kind: {name: changed.get(name, one["value"]) for name, one in inputs[kind].items()}
        for kind in ("numbers", "forwards")
    }
    recipes = {
        recipe: [
            {"stage": stage["name"], "known": known_from(stage, inputs["forwards"])}
            | {str(gpus): stage_cost(stage, **values, gpus=gpus) for gpus in GPUS}
            for stage in stages
        ]
        for recipe, stages in inputs["recipes"].items()
    }
    disk = {recipe: disk_gb(stages, values["numbers"]) for recipe, stages in inputs["recipes"].items()}
    return {"inputs": dict(inputs), "changed": dict(changed), "recipes": recipes, "disk_gb": disk}


def known_from(stage: Mapping[str, Any], forwards: Mapping[str, Mapping[str, Any]]) -> str:
    """What the cost of a sample of a stage rests on, in a word or two."""
    if stage["on"] == "cores":
        return "measured here"
    source = forwards[stage["cost"]]["source"]
    return "assumed" if source.startswith("assumed") else "in part assumed" if "assumed" in source else "counted"


def disk_gb(stages: list[Mapping[str, Any]], numbers: Mapping[str, float]) -> dict[str, float]:
    """Gigabytes that the imported pictures take: as shards, decoded into columns, and with a base's features."""
    pictures = max(stage["samples"] for stage in stages if stage["name"] == "import")
    return {name: pictures * numbers[f"{name}_bytes"] / 1e9 for name in ("shard", "decoded", "feature")}


def recipe_table(stages: list[dict[str, Any]], disk: Mapping[str, float]) -> str:
    """Hours by stage and number of GPUs, the sum, the stage that takes longest; and the disk."""
    counts = [str(gpus) for gpus in GPUS]
    rows = [
        [one["stage"], *(f"{one[count]['hours']:.3g}" for count in counts), one[counts[-1]]["limit"], one["known"]]
        for one in stages
    ]
    sums = [sum(one[count]["hours"] for one in stages) for count in counts]
    longest = [max(stages, key=lambda one, count=count: one[count]["hours"])["stage"] for count in counts]
    rows.append(["**all, one after another**", *(f"**{value:.3g}**" for value in sums), "", ""])
    rows.append(["bottleneck", *longest, "", ""])
    heads = [
        "Hours on", *(f"{count} GPU{'s' * (count != '1')}" for count in counts), f"what limits {counts[-1]} GPUs",
        "evaluations of a sample",
    ]  # fmt: skip
    room = (
        f"Disk, which every machine sees: {disk['shard']:.0f} GB of shards, {disk['decoded']:.0f} GB when they are "
        f"decoded, {disk['feature']:.0f} GB of features for each base; SDXL's pictures of 1024 pixels take four times "
        "as much."
    )
    return f"{table(heads, rows)}\n\n{room}"


def tables(found: Mapping[str, Any]) -> dict[Path, tuple[str, str]]:
    """Page -> the command that writes its table, and the table."""
    source = "python benchmarks/costs.py"
    return {
        DOCS / f"recipe-{name}.md": (source, recipe_table(stages, found["disk_gb"][name]))
        for name, stages in found["recipes"].items()
    }  # fmt: skip


def main(
    changed: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE of costs.json, e.g. measured.")] = None,
) -> None:
    """Simulate, and write the result and the pages; with --set print the tables only."""
    inputs = read_json(INPUTS)
    values: dict[str, float] = {}
    for one in changed or ():
        name, _, value = one.partition("=")
        if name not in inputs["numbers"] and name not in inputs["forwards"]:
            raise typer.BadParameter(
                f"there is no number '{name}': {', '.join([*inputs['numbers'], *inputs['forwards']])}"
            )
        values[name] = float(value)
    found = report(inputs, values)
    if values:
        for name, stages in found["recipes"].items():
            typer.echo(f"{name}\n{recipe_table(stages, found['disk_gb'][name])}\n")
        return
    write_result(RESULT, found)
    write_tables(tables(found))


if __name__ == "__main__":
    typer.run(main)
