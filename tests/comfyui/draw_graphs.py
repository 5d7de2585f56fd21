"""Lays the example workflows out in ComfyUI's own page: their files for its menu, and the pictures of the docs.

``MIEN_COMFYUI=FOLDER MIEN_COMFYUI_PYTHON=PYTHON python -m tests.comfyui.draw_graphs`` writes
``comfyui/example_workflows/NAME.json`` and ``docs/images/comfyui-NAME.png`` from ``NAME.api.json``.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

from tests.comfyui.server import NODES, ROOT, Server, running, where

EXAMPLES = ROOT / "src" / "mien" / "assets" / "examples"
SIZE = (2400, 1500)
LAYOUT: dict[str, dict[str, tuple[int, ...]]] = {
    "steer": {
        "4": (0, 0), "5": (0, 400), "6": (310, 0), "7": (310, 400), "8": (310, 200), "11": (310, 560), "9": (620, 0),
        "10": (930, 420), "1": (930, -170), "12": (930, 0), "2": (1300, -170, 400, 120), "3": (1300, 0, 400, 120),
        "13": (1300, 170), "17": (1300, 330), "14": (1760, -170), "15": (1760, 170), "16": (1760, 270),
    },
    "portrait": {
        "1": (0, 0), "2": (0, 400), "3": (330, 480), "4": (640, 0, 380, 380), "5": (1080, 0, 330, 400),
    },
}  # fmt: skip
"""Node -> where its upper left corner stands, and how large it is where it is not as it comes."""
_LOAD = """
const [graph, layout, done] = arguments;
(async () => {
  const app = window.comfyAPI?.app?.app ?? window.app;
  await app.loadApiJson(graph, "example");
  for (const node of app.graph.nodes) {
    const place = layout[String(node.id)];
    if (place) node.pos = [place[0], place[1]];
    for (const widget of node.widgets ?? []) if (widget.name === "control_after_generate") widget.value = "fixed";
    if (place?.length > 2) node.setSize([place[2], place[3]]);
  }
  app.graph.setDirtyCanvas(true, true);
  done(JSON.stringify(app.graph.serialize()));
})().catch(error => done("error: " + error));
"""
_FRAME = """
const [margin] = arguments;
const overlays = ".p-toast, .p-dialog-mask, .minimap-main-container, .litegraph-minimap";
document.querySelectorAll(overlays).forEach(one => one.remove());
const app = window.comfyAPI?.app?.app ?? window.app;
const boxes = app.graph.nodes.map(({pos: [x, y], size: [w, h]}) => [x, y - 30, x + w, y + h]);
const [x0, y0] = [0, 1].map(i => Math.min(...boxes.map(b => b[i])) - margin);
const [x1, y1] = [2, 3].map(i => Math.max(...boxes.map(b => b[i])) + margin);
const there = app.canvas.canvas.getBoundingClientRect();  // the menus stand beside and above it
const [left, top] = [20, 40];
const scale = Math.min((innerWidth - there.x - left) / (x1 - x0), (innerHeight - there.y - top) / (y1 - y0), 1.2);
app.canvas.ds.scale = scale;
app.canvas.ds.offset = [-x0 + left / scale, -y0 + top / scale];
app.canvas.setDirty(true, true);
app.canvas.draw(true, true);
const [x, y] = [there.x + left, there.y + top];
return [x, y, x + (x1 - x0) * scale, y + (y1 - y0) * scale];
"""


def main() -> None:
    """Write the files of every example."""
    from selenium import webdriver
    from selenium.webdriver.support.ui import WebDriverWait

    found = where()
    assert found is not None, "MIEN_COMFYUI names no checkout of ComfyUI"
    options = webdriver.ChromeOptions()
    for word in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        f"--window-size={SIZE[0]},{SIZE[1]}",
    ):
        options.add_argument(word)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        for kind, name in (("checkpoints", "v1-5-pruned-emaonly"), ("mien", "my-adapter")):
            (base / "models" / kind).mkdir(parents=True)
            (base / "models" / kind / f"{name}.safetensors").touch()  # for the menus; nothing is run
        (base / "input").mkdir()
        for name in ("person-Ada.png", "template-laugh.png"):
            Image.open(EXAMPLES / name).convert("RGB").save(base / "input" / name)
        with running(*found, base) as server, webdriver.Chrome(options=options, service=service) as browser:
            browser.set_script_timeout(60)
            ready = "return !!((window.comfyAPI?.app?.app ?? window.app)?.graph)"
            for file in sorted((NODES / "example_workflows").glob("*.api.json")):
                browser.get(server.address)
                browser.execute_script("localStorage.clear(); sessionStorage.clear()")  # nothing of the last workflow
                browser.get(server.address)
                WebDriverWait(browser, 120).until(lambda page: page.execute_script(ready))
                time.sleep(5)  # the page opens a workflow of its own
                _draw(browser, json.loads(file.read_text()), file.name.removesuffix(".api.json"), server)


def _draw(browser: Any, graph: dict[str, Any], name: str, server: Server) -> None:
    layout = LAYOUT["portrait" if name == "portrait" else "steer"]
    answer = browser.execute_async_script(_LOAD, graph, layout)
    assert not answer.startswith("error"), answer
    made = json.loads(answer)
    assert len(made["nodes"]) == len(graph), "the page was not ready: on a busy machine it opens its own workflow later"
    (NODES / "example_workflows" / f"{name}.json").write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    if name == "portrait":  # needs no checkpoint: drawn, so that the picture shows what comes out
        browser.execute_script("(window.comfyAPI?.app?.app ?? window.app).queuePrompt(0)")
        until = time.monotonic() + 900
        while not json.loads(server.get("/history")):
            assert time.monotonic() < until, "not drawn in time: try again on an idle machine"
            time.sleep(1)
    time.sleep(3)  # pictures in the nodes
    box = browser.execute_script(_FRAME, 24)
    time.sleep(1)
    place = ROOT / "docs" / "images" / f"comfyui-{name}.png"
    browser.save_screenshot(str(place))
    left, top, right, bottom = (round(value) for value in box)
    shown = Image.open(place).convert("RGB").crop((left, top, right, bottom))
    shown.save(place, optimize=True)


if __name__ == "__main__":
    main()
