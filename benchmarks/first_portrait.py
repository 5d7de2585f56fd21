"""From a clone to the first portrait of one's own picture on the page, step by step.

    python benchmarks/first_portrait.py -o benchmarks/results/first_portrait.json

Does in an empty folder what the README says: clone, a virtual environment, ``pip install '.[app]'``, ``mien app``; then
a headless Chromium opens the page, waits for its first portrait, and gives it a photograph. Needs selenium, a
chromedriver and a package index that pip reaches.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from app_load import machine, started
from docs_parts import write_tables

from mien.bench.stamp import stamp
from mien.core.io import write_json
from mien.demo.examples import Examples
from mien.evaluation.report.tables import table

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "first_portrait.json"
SEEN = "!document.getElementById('portrait').hidden"
PATIENCE = 600.0
"""Seconds that a step in the browser may take."""


class Steps:
    """What was done, each with seconds of the clock and of the processor.

    Attributes:
        done: name -> seconds.
        server: whose processor time counts besides that of commands that have ended.
    """

    def __init__(self) -> None:
        self.done: list[dict[str, Any]] = []
        self.server: psutil.Process | None = None

    def spent(self) -> float:
        """Seconds of the processor so far."""
        ended = os.times()
        own = self.server.cpu_times() if self.server else None
        return ended.children_user + ended.children_system + (own.user + own.system if own else 0.0)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Do a step, and keep what it took."""
        begun, spent = time.monotonic(), self.spent()
        yield
        took = {"seconds": time.monotonic() - begun, "processor": self.spent() - spent}
        self.done.append({"step": name} | {key: round(value, 1) for key, value in took.items()})
        print(self.done[-1], file=sys.stderr, flush=True)  # noqa: T201


def measure(folder: Path, source: str, photo: Path) -> list[dict[str, Any]]:
    """Every step, in an empty folder."""
    clone, steps = folder / "mien", Steps()
    python = clone / ".venv" / "bin" / "python"
    with steps.step("`git clone`"):
        subprocess.run(["git", "clone", "-q", "--depth", "1", source, clone], check=True)
    with steps.step("`python -m venv .venv`"):
        subprocess.run([sys.executable, "-m", "venv", clone / ".venv"], check=True)
    with steps.step("`pip install '.[app]'`, PyTorch included"):
        subprocess.run([python, "-m", "pip", "install", "-q", "-c", "constraints.txt", ".[app]"], cwd=clone, check=True)
    with steps.step("`mien app`, until it prints its address"):
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        process, address, _ = started([str(python.with_name("mien")), "app", "--port", "0"], env=clean, cwd=folder)
        steps.server = psutil.Process(process.pid)
    try:
        walk(steps, address, photo)
    finally:
        process.terminate()
        process.wait(60)
    return steps.done


def walk(steps: Steps, address: str, photo: Path) -> None:
    """The page: its own first portrait, then that of a photograph."""
    from selenium import webdriver
    from selenium.webdriver.support.wait import WebDriverWait

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(argument)
    with webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver"))) as driver:
        wait = WebDriverWait(driver, PATIENCE, 0.05)
        with steps.step("the page opened, until its first portrait"):
            driver.get(address)
            wait.until(lambda _: driver.execute_script(f"return {SEEN}"))
        with steps.step("a photograph given, until its portrait"):
            before = driver.execute_script("return document.getElementById('portrait').src")
            driver.find_element("id", "identity-file").send_keys(str(photo))
            named = f"document.querySelector('#identity-photos strong')?.textContent === '{photo.name}'"
            wait.until(lambda _: driver.execute_script(f"return {named}"))
            shown = f"{SEEN} && !document.querySelector('#portrait.rough') && document.getElementById('portrait').src"
            wait.until(lambda _: driver.execute_script(f"return {shown}") not in (False, before))


def tables(report: dict[str, Any]) -> dict[Path, tuple[str, str]]:
    """Page -> what is said to write the table, table."""
    rows = [[one["step"], f"{one['seconds']:.1f} s", f"{one['processor']:.1f} s"] for one in report["steps"]]
    whole = [f"{sum(one[key] for one in report['steps']):.0f} s" for key in ("seconds", "processor")]
    where = report["machine"]
    head = ["", f"clock, at a load of {where['load']:.0f} on {where['cores']} cores", "processor"]
    return {ROOT / "docs" / "app.md": ("benchmarks/first_portrait.py", table(head, [*rows, ["together", *whole]]))}


def main() -> None:
    """Measure, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default=ROOT.as_uri(), help="What is cloned.")
    parser.add_argument("--photo", type=Path, help="A picture of a person; one of the studio's if not given.")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    options = parser.parse_args()
    made_by = stamp("python benchmarks/first_portrait.py")
    with tempfile.TemporaryDirectory() as folder:
        photo = shutil.copy(options.photo or Examples.load().people[1].path, Path(folder) / "me.png")
        steps = measure(Path(folder), options.source, Path(photo))
    report = {"made_by": made_by, "machine": machine(), "steps": steps}
    write_json(options.output, report)
    if options.output == RESULT:
        write_tables(tables(report))


if __name__ == "__main__":
    main()
