"""The app under load: seconds to the first picture, seconds of a further one, and many users at once.

    python benchmarks/app_load.py --minutes 10 -o benchmarks/results/app.json

Starts ``mien app`` as a user does. Each of the users has a person, a pose and seeds of their own, and knows how their
pictures look, drawn alone before: an answer that is another user's is counted as crossed.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from docs_parts import write_tables
from numpy.typing import NDArray
from PIL import Image

from mien.bench.stamp import stamp
from mien.core.io import read_json, write_json
from mien.core.processes import available_cores
from mien.demo.examples import Examples
from mien.evaluation.report.tables import table

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "app.json"
SETTLED = 4.0
"""Least mean difference, of 255, between two users' pictures; an answer that is half of it away from its user's own
picture is another's. (A batch is summed in another order than one picture alone: single pixels differ by 1 of 255, or
by 6 where the watermark rounds the other way.)"""
FURTHER = 20


@dataclass
class Tally:
    """What was answered, and how soon."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {})
    statuses: Counter[str] = field(default_factory=Counter)
    crossed: int = 0
    lost: int = 0
    lock: Any = field(default_factory=threading.Lock)

    def add(self, kind: str, status: int, seconds: float) -> None:
        """Count an answer."""
        with self.lock:
            self.statuses[f"{kind} {status}"] += 1
            if status == 200:
                self.seconds.setdefault(kind, []).append(seconds)


def pixels(image: str) -> NDArray[np.int64]:
    """A picture of an answer as numbers."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(image))).convert("RGB"), np.int64)


def body_of(number: int, photos: list[str]) -> dict[str, Any]:
    """What a user asks for, a photograph included."""
    yaw, emotion = -20.0 + 10 * (number // 5 % 5), ("happy", "sad")[number // 25]
    return {"identity": photos[number % 5], "yaw": yaw, "emotion": emotion, "seed": number, "speed": "few"}


def user(number: int, address: str, body: dict[str, Any], known: NDArray[np.int64], end: float, tally: Tally) -> None:
    """Draws, reads, previews, cancels and makes mistakes until the time is over."""
    dice = random.Random(number)
    faces: Any = None
    with httpx.Client(base_url=address, timeout=300, headers={"x-mien-client": str(number)}) as client:
        while time.monotonic() < end:
            kind = dice.choices(["generate", "read", "preview", "cancel", "mistake"], [10, 2, 4, 1, 1])[0]
            begun = time.monotonic()
            try:
                if kind == "generate":
                    answer = client.post("/api/generate", json=body)
                    if answer.status_code == 200:
                        shown = pixels(answer.json()["pictures"][0]["image"])
                        tally.crossed += int(np.abs(shown - known).mean() > SETTLED / 2)
                elif kind == "read":
                    answer = client.post("/api/read", json={"picture": body["identity"]})
                    if answer.status_code == 200:
                        faces = {"identity": [answer.json()["faces"][0]["landmarks"]]}
                elif kind == "preview":
                    if faces is None:
                        continue  # nothing was read yet
                    answer = client.post("/api/preview", json={"faces": faces, "yaw": dice.uniform(-30, 30)})
                elif kind == "cancel":
                    headers = {"accept": "text/event-stream"}
                    with client.stream(
                        "POST", "/api/generate", json=body | {"speed": "exact"}, headers=headers
                    ) as answer:
                        next(answer.iter_text())
                else:
                    answer = client.post("/api/generate", json=body | {"yaw": 400})
                tally.add(kind, answer.status_code, time.monotonic() - begun)
                if answer.status_code == 429:
                    time.sleep(float(answer.headers["retry-after"]))
            except httpx.HTTPError as error:
                with tally.lock:
                    tally.lost += 1
                    tally.statuses[f"{kind} {type(error).__name__}"] += 1
            time.sleep(dice.uniform(0, 1))


def quantiles(values: list[float]) -> dict[str, float]:
    """Number, median, 95 % and largest, seconds."""
    low, high = np.quantile(values, [0.5, 0.95])
    return {
        "n": len(values),
        "median": round(float(low), 3),
        "p95": round(float(high), 3),
        "most": round(max(values), 3),
    }


def started(command: list[str], **options: Any) -> tuple[subprocess.Popen[str], str, float]:
    """The server, its address, and when its command was given; ``options`` are those of `subprocess.Popen`."""
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    assert process.stdout is not None
    return process, process.stdout.readline().strip().rstrip("/"), begun


def tables(report: dict[str, Any]) -> dict[Path, tuple[str, str]]:
    """Page -> what is said to write the table, table."""
    alone, load, where = report["alone"], report["load"], report["machine"]
    minutes, users = load["minutes"], load["users"]
    asked = sum(load["answers"].values())
    refused = sum(count for name, count in load["answers"].items() if name.endswith(" 429"))
    memory = load["rss_mb"]
    rows = [
        ["from the command to the first picture", "15 s", f"{alone['first_picture_s']:.1f} s"],
        ["the same, seconds of the processor", "-", f"{alone['first_picture_processor_s']:.1f} s"],
        ["a further picture, `few`, median", "under 1 s", f"{alone['few_s']['median']:.2f} s"],
        ["the same, seconds of the processor", "-", f"{alone['few_processor_s']:.2f} s"],
        ["refined, `exact`", "-", f"{alone['exact_s']['median']:.1f} s"],
        ["load of the machine meanwhile", "idle",
         f"{alone['machine']['load']:.1f} on {alone['machine']['cores']} cores"],
        [f"{users} users, minutes", "10", f"{minutes:g}"],
        ["requests; of them refused for a full queue", "-", f"{asked}; {refused}"],
        ["lost, crossed, still waiting afterwards", "0", f"{load['lost']}, {load['crossed']}, {load['still_waiting']}"],
        *(
            [f"{kind}: median, 95 %", "-", f"{one['median']:.2f} s, {one['p95']:.2f} s"]
            for kind, one in load["seconds"].items()
        ),
        ["memory in the first and the second half, most", "flat",
         f"{memory['first_half']:.0f}, {memory['second_half']:.0f}, {memory['most']:.0f} MB"],
        ["load of the machine meanwhile", "idle", f"{where['load']:.1f} on {where['cores']} cores"],
    ]  # fmt: skip
    return {ROOT / "docs" / "app.md": ("benchmarks/app_load.py", table(["", "asked", "measured"], rows))}


def machine() -> dict[str, Any]:
    """What the seconds depend on besides the program."""
    load = psutil.getloadavg()[0]
    return {"cores": available_cores(), "threads": os.environ.get("OMP_NUM_THREADS", "all"), "load": load}


def measured_alone(client: httpx.Client, server: psutil.Process, begun: float, photos: list[str]) -> dict[str, Any]:
    """One user: the start, further pictures, refined ones; seconds of the clock and of the processor."""

    def spent() -> float:
        times = server.cpu_times()
        return times.user + times.system

    def draw(**more: Any) -> float:
        then = time.monotonic()
        client.post("/api/generate", json=body_of(0, photos) | more).raise_for_status()
        return time.monotonic() - then

    while not client.get("/api/health").json()["ready"]:
        time.sleep(0.05)
    ready = time.monotonic() - begun
    draw()
    first, first_spent = time.monotonic() - begun, spent()
    further = [draw(seed=100 + number) for number in range(FURTHER)]
    further_spent = (spent() - first_spent) / FURTHER
    refined = [draw(seed=number, speed="exact") for number in range(3)]
    return {
        "ready_s": round(ready, 2),
        "first_picture_s": round(first, 2),
        "first_picture_processor_s": round(first_spent, 2),
        "few_s": quantiles(further),
        "few_processor_s": round(further_spent, 3),
        "exact_s": quantiles(refined),
        "machine": machine(),
    }


def measured_load(
    client: httpx.Client, server: psutil.Process, address: str, photos: list[str], users: int, minutes: float
) -> dict[str, Any]:
    """Many users for some minutes."""
    bodies = [body_of(number, photos) for number in range(users)]
    known = [pixels(client.post("/api/generate", json=one).json()["pictures"][0]["image"]) for one in bodies]
    apart = min(np.abs(a - b).mean() for i, a in enumerate(known) for b in known[:i])
    assert apart > SETTLED, apart
    tally, memory = Tally(), []
    end = time.monotonic() + minutes * 60
    threads = [
        threading.Thread(target=user, args=(number, address, bodies[number], known[number], end, tally))
        for number in range(users)
    ]
    for one in threads:
        one.start()
    while time.monotonic() < end:
        memory.append(server.memory_info().rss / 1e6)
        time.sleep(min(2.0, max(0.0, end - time.monotonic())))
    for one in threads:
        one.join()
    half = len(memory) // 2
    return {
        "users": users,
        "minutes": minutes,
        "answers": dict(sorted(tally.statuses.items())),
        "seconds": {kind: quantiles(values) for kind, values in sorted(tally.seconds.items())},
        "lost": tally.lost,
        "crossed": tally.crossed,
        "still_waiting": client.get("/api/health").json()["waiting"],
        "rss_mb": {
            "first_half": round(float(np.mean(memory[:half])), 1),
            "second_half": round(float(np.mean(memory[half:])), 1),
            "most": round(max(memory), 1),
            "by_minute": [round(float(np.mean(some))) for some in np.array_split(memory, max(1, round(minutes)))],
        },
    }


def main() -> None:
    """Measure, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=32)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--reader", default="studio")
    parser.add_argument("--alone", action="store_true", help="Measure one user anew, and keep the rest of the report.")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    options = parser.parse_args()
    command = [sys.executable, "-m", "mien", "app", "--port", "0", "--reader", options.reader, "--limit", "rate=100000"]
    photos = [base64.b64encode(one.path.read_bytes()).decode() for one in Examples.load().people]
    made_by = stamp("python benchmarks/app_load.py " + " ".join(sys.argv[1:]))
    process, address, begun = started(command)
    try:
        server = psutil.Process(process.pid)
        with httpx.Client(base_url=address, timeout=300) as client:
            alone = measured_alone(client, server, begun, photos) | {"made_by": made_by}
            if options.alone:
                report = read_json(options.output) | {"alone": alone}
            else:
                load = measured_load(client, server, address, photos, options.users, options.minutes)
                report = {"made_by": made_by, "machine": machine(), "alone": alone, "load": load}
    finally:
        process.terminate()
        process.wait(60)
    write_json(options.output, report)
    if options.output == RESULT:
        write_tables(tables(report))
    print(json.dumps({part: report[part] for part in ("alone", "load")}, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
