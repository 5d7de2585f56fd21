"""What a rank needs of a large data set: memory, time to its first batch, and how many pictures a second it is given.

    python benchmarks/loader.py -o benchmarks/results/loader.json

The data set is made up: a prepared folder of 200,000 records with pictures of 512 px. Columns of pictures and of
features, which have the keys that the stage asks for, are sparse files that take no disk; landmarks, poses and captions
are written. What runs is the stage's own code: the columns are mapped, its examples are prepared, and its loader makes
batches. What is sparse is read from memory, so the rate says what the processor costs, not the disk. Where other
programs run beside it, ``processor_ms_a_picture`` says more than ``pictures_a_second``: of two cores, n ms each leave
2000 / n pictures a second.
"""

from __future__ import annotations

from mien.core.openmp import wait_passively  # noqa: F401 # isort: skip - importing mien says it before torch loads

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Annotated, Any

import numpy as np
import psutil
import torch
import typer
from docs_parts import RESULTS, ROOT, write_tables

from mien.bench.stamp import stamp
from mien.core.io import read_json, write_json, write_text
from mien.core.processes import available_cores
from mien.data.columns import HEADER, write_header
from mien.data.corpus import PREPARED, Corpus
from mien.data.decoding import CATEGORIES, INDEX
from mien.data.needs import check_needs
from mien.data.shards import shard_name
from mien.data.texts import text_columns
from mien.errors import MienError
from mien.evaluation.report.tables import table
from mien.models import StudioAutoencoder
from mien.models.text import identity_tokens, tokenizer_key
from mien.models.unet import build_unet
from mien.training.bases import base_tokenizer
from mien.training.config import TrainConfig
from mien.training.features import weights_key
from mien.training.loader import Loader
from mien.training.objectives.branch import BranchConfig
from mien.training.run import stage_needs
from mien.training.sources import Sources

RESULT, PAGE = RESULTS / "loader.json", ROOT / "docs" / "training-full-size.md"
PER_PERSON = 8
BATCH = 16
SIZE = 512
SMALL: dict[str, Any] = {"block_out_channels": (32, 32, 32), "attention_head_dim": 1, "cross_attention_dim": 32}


def sparse_column(path: Path, key: str, shape: tuple[int, ...], kind: str) -> None:
    """A column of zeros that takes no room on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        stream.truncate(HEADER + int(np.prod(shape)) * np.dtype(kind).itemsize)
    write_header(path, key, shape, np.dtype(kind))


def filled_column(path: Path, key: str, values: np.ndarray) -> None:
    """A column with values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        stream.write(bytes(HEADER))
        values.tofile(stream)
    write_header(path, key, values.shape, values.dtype)


def landmark_column(path: Path, key: str, count: int) -> None:
    """A face, a little elsewhere in each picture."""
    from mien.faces.linear.face import LinearFace

    points = LinearFace.load().landmarks(np.zeros(53), size=SIZE).astype(np.float32)
    rng = np.random.default_rng(1)
    with path.open("wb") as stream:
        stream.write(bytes(HEADER))
        for start in range(0, count, 1000):
            moved = rng.normal(0, 10, (min(1000, count - start), 1, 3)).astype(np.float32)
            (points + moved).tofile(stream)
    write_header(path, key, (count, *points.shape), points.dtype)


def write_base(folder: Path) -> None:
    """Small untrained networks; the rank's memory is told beyond them."""
    from mien.faces.networks import IdentityEmbedder
    from tests.tiny import tiny_text

    torch.manual_seed(0)
    build_unet(**SMALL, sample_size=SIZE // 8).save_pretrained(folder / "unet")
    StudioAutoencoder().save_pretrained(folder / "vae")
    IdentityEmbedder().save_pretrained(folder / "identity")
    tokenizer, text_encoder = tiny_text()
    tokenizer.save_pretrained(folder / "tokenizer")
    text_encoder.save_pretrained(folder / "text_encoder")


def write_data(folder: Path, base: Path, count: int) -> None:
    """A prepared data set, with the features of the landmark stage."""
    rng, digest, prepared = np.random.default_rng(0), "made-up", folder / PREPARED
    shard = folder / shard_name(0)
    shard.parent.mkdir(parents=True, exist_ok=True)
    write_text(shard, "made up")
    columns: dict[str, np.ndarray | tuple[tuple[int, ...], str]] = {
        "images": ((count, SIZE, SIZE, 3), "uint8"),
        "masks": ((count, 64, 64), "uint8"),
        "person": np.arange(count) // PER_PERSON,
        "picture": np.arange(count) % PER_PERSON,
        "coefficients": rng.random((count, 53), np.float32),
        "pose": rng.normal(0, 15, (count, 3)).astype(np.float32),
        "landmarks": ((count, 478, 3), "float32"),
        "emotion": ((count, 10), "float32"),
        "age": np.full(count, 30, np.float32),
        "skin_tone": np.full(count, 0.5, np.float32),
    }
    for name, values in columns.items():
        path = prepared / f"{name}.safetensors"
        if isinstance(values, tuple):
            sparse_column(path, digest, *values)
        else:
            filled_column(path, digest, values)
    landmark_column(prepared / "landmarks_mediapipe.safetensors", digest, count)
    words = ["a woman", "a man", "long hair", "a beard", "smiling", "in a garden", "at night"]
    captions = [f"{words[row % 7]}, {words[row % 5]}, {row}" for row in range(count)]
    texts = text_columns([[caption, *["none"] * len(CATEGORIES)] for caption in captions], 0)
    for name, values in texts.items():
        filled_column(prepared / f"{name}.safetensors", digest, values)
    stat = shard.stat()
    index = {
        "digest": digest, "count": count, "texts": ["caption", *CATEGORIES],
        "columns": [*columns, "landmarks_mediapipe", *texts],
        "lacking": {"landmarks_mediapipe": 0, "coefficients": 0, "pose": 0},
        "shards": [[shard.name, stat.st_size, stat.st_mtime_ns]],
    }  # fmt: skip
    write_json(prepared / INDEX, index)
    corpus = Corpus.load(folder)
    vae, tokenizer = StudioAutoencoder.from_pretrained(base / "vae"), base_tokenizer(base / "tokenizer")
    width = read_json(base / "text_encoder" / "config.json")["hidden_size"]
    channels, side = vae.config["latent_channels"], SIZE // 8
    derived = {
        "latents": (weights_key(base / "vae"), (count, channels, side, side)),
        "identity": (weights_key(base / "identity"), (count, 512)),
        "face_places": (f"v1-{count}-{side}", (count, side, side)),
        "tokens": (f"{tokenizer_key(tokenizer)}-{identity_tokens(width)}", (count, 2, tokenizer.model_max_length)),
    }
    for name, (key, shape) in derived.items():
        key = f"{digest}-{key}"
        sparse_column(corpus._derived(name, key), key, shape, "int32" if name == "tokens" else "float16")


def resident_mb() -> float:
    """Memory of this process and its children, theirs alone or shared among them; pages of mapped files, which the
    system may drop at any time, are not counted."""
    total, own = 0, psutil.Process()
    if not Path("/proc/self/status").exists():
        raise MienError("Only Linux tells how much of a process's memory is mapped files.")
    for pid in (own.pid, *(child.pid for child in own.children())):
        with suppress(OSError):  # it has just ended
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith(("RssAnon:", "RssShmem:")):
                    total += int(line.split()[1])
    return total / 1024


@contextmanager
def watched(most: list[float]) -> Iterator[None]:
    """Appends the memory to a list, five times a second, for the time of the block."""
    ended = Event()

    def look() -> None:
        while not ended.wait(0.2):
            most.append(resident_mb())

    thread = Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def processor_seconds() -> float:
    """Of this process and the children that have ended."""
    used = psutil.Process().cpu_times()
    return used.user + used.system + used.children_user + used.children_system


def measure(base: Path, data: Path, workers: int, steps: int) -> dict[str, Any]:
    """One rank: checks and prepares the landmark stage as ``mien train`` does, and takes batches."""
    start, spent_before, first_spent = time.monotonic(), processor_seconds(), 0.0
    config = TrainConfig(
        name="loader", objective="branch:BranchObjective", options={"kind": "landmarks"}, pictures=BATCH * steps,
        global_batch=BATCH, workers=workers,
    )  # fmt: skip
    objective = BranchConfig(kind="landmarks", prompts=(0.2, 0.5, 0.2, 0.1)).build(Sources((base,)))
    model, memory, seen, begun, first, spent = resident_mb(), [0.0], 0, 0.0, 0.0, 0.0
    with watched(memory):
        corpus = Corpus.load(data)
        check_needs(corpus, stage_needs(config), config.name)
        loader = Loader(config, objective, corpus, 0, 1, torch.device("cpu"))
        objective.prepare(corpus, data / "run")
        prepared = time.monotonic()
        for batch in loader.batches(0, config.pictures):
            assert batch.rows is not None and len(batch.rows) == BATCH
            if not first:
                begun, spent = time.monotonic(), processor_seconds()
                first, first_spent = begun - start, spent - spent_before
            else:
                seen += BATCH
    taken = time.monotonic() - begun
    return {
        "workers": workers, "pictures": len(corpus), "model_mb": round(model),
        "most_mb_beyond_the_model": round(max(memory) - model), "seconds_to_prepare": round(prepared - start, 1),
        "seconds_to_the_first_batch": round(first, 1), "processor_seconds_to_it": round(first_spent, 1),
        "pictures_a_second": round(seen / taken),
        "processor_ms_a_picture": round(1000 * (processor_seconds() - spent) / seen, 2), "of_batch": BATCH,
    }  # fmt: skip


def tables(found: Mapping[str, Any]) -> dict[Path, tuple[str, str]]:
    """Page -> the command that writes its table, and the table."""
    head = [
        "processes that load ahead", "MB beyond the networks", "seconds to the first batch", "pictures a second",
        "ms of a core a picture", "pictures a second that two cores allow",
    ]  # fmt: skip
    rows = [
        [f"{one['workers']}", f"{one['most_mb_beyond_the_model']}", f"{one['seconds_to_the_first_batch']}",
         f"{one['pictures_a_second']}", f"{one['processor_ms_a_picture']}",
         f"{2000 / one['processor_ms_a_picture']:.0f}"]
        for one in found["ranks"]
    ]  # fmt: skip
    text = (
        f"A rank of the landmark stage on {found['ranks'][0]['pictures']:,} made-up pictures of {SIZE} px, prepared "
        f"([JSON](../benchmarks/results/loader.json)): {found['cores']} cores, of which other programs wanted "
        f"{found['load_before']:.1f} when it began."
    )
    return {PAGE: ("python benchmarks/loader.py", f"{text}\n\n{table(head, rows)}")}


def main(
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The report, a JSON file.")] = None,
    count: Annotated[int, typer.Option(help="Pictures of the made-up data set.")] = 200_000,
    steps: Annotated[int, typer.Option(help="Batches taken.")] = 200,
    one: Annotated[str | None, typer.Option(hidden=True, help="BASE:DATA:WORKERS, in a process of its own.")] = None,
) -> None:
    """Measure ranks with and without processes that load ahead; each is a process of its own."""
    if one is not None:
        base, data, workers = one.split(":")
        sys.stdout.write(json.dumps(measure(Path(base), Path(data), int(workers), steps)) + "\n")
        return
    with tempfile.TemporaryDirectory(prefix="loader-") as folder:
        base, data = Path(folder) / "base", Path(folder) / "data"
        write_base(base)
        write_data(data, base, count)

        def rank(workers: int) -> dict[str, Any]:
            command = [sys.executable, __file__, "--one", f"{base}:{data}:{workers}", "--steps", str(steps)]
            told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            typer.echo(told.splitlines()[-1])
            return json.loads(told.splitlines()[-1])

        load = psutil.getloadavg()[0]
        found = [rank(workers) for workers in (0, 1, 2)]
    report = {"cores": available_cores(), "load_before": load, "ranks": found}
    if output is not None:
        command = "python benchmarks/loader.py -o benchmarks/results/loader.json"
        write_json(output, report | {"made_by": stamp(command)})
        if output.resolve() == RESULT:
            write_tables(tables(read_json(RESULT)))


if __name__ == "__main__":
    typer.run(main)
