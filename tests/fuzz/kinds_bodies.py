"""Bodies of the HTTP API."""

from __future__ import annotations

import atexit
import base64
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient

from mien.app.limits import Limits
from mien.app.server import create_app
from mien.app.service import PortraitService
from mien.demo.examples import Examples
from mien.errors import BadInput
from mien.faces.linear.face import LinearFace
from tests.fuzz.kind import Kind
from tests.fuzz.mutate import mutated, mutated_json

SETTINGS = ("yaw", "pitch", "roll", "steps", "seed", "count", "strength", "rescale", "emotion", "prompt", "speed")
NUMBERS = (0, 1, -1, 2, 89.999, 1e-30, -0.0, 1e308, 2**31, 2**63, "", "happy:1e-9", "at:0/0", "few", "\u0000", None)


def _number(rng: np.random.Generator) -> Any:
    return NUMBERS[int(rng.integers(len(NUMBERS)))]


@cache
def client() -> TestClient:
    """The whole application, which warms up once in a process."""
    service = PortraitService(Limits(rate=10**9, count=2, steps=2), reader="studio")
    asked = TestClient(create_app(service), raise_server_exceptions=False)
    asked.__enter__()
    atexit.register(asked.__exit__, None, None, None)
    return asked


@cache
def bodies() -> dict[str, dict[str, Any]]:
    """Address -> a body that it takes."""
    one, other = (base64.b64encode(one.path.read_bytes()).decode() for one in Examples.load().people[:2])
    return {
        "generate": {"identity": one, "yaw": 20, "steps": 1, "seed": 3, "emotion": "happy:0.5",
                     "blendshapes": {"jawOpen": 0.5}, "guidance": {"text": 2.0}, "rows": [{"pitch": 5}]},
        "preview": {"yaw": 20, "faces": {"identity": [LinearFace.load().landmarks().round(1).tolist()]}},
        "read": {"picture": one},
        "score": {"reference": [one], "generated": [other]},
    }  # fmt: skip


def body(rng: np.random.Generator, folder: Path) -> Path:
    """A file that is called like the address that it is sent to."""
    name = list(bodies())[int(rng.integers(len(bodies())))]
    asked = bodies()[name]
    if name in ("generate", "preview") and rng.random() < 0.4:
        content = json.dumps(asked | {SETTINGS[int(rng.integers(len(SETTINGS)))]: _number(rng)}).encode()
    elif rng.random() < 0.9:
        content = mutated_json(asked, rng).encode("utf-8", "surrogatepass")
    else:
        content = mutated(json.dumps(asked).encode(), rng)
    path = folder / f"{name}.json"
    path.write_bytes(content)
    return path


def send(path: Path) -> None:
    answer = client().post(f"/api/{path.stem}", content=path.read_bytes(), headers={"content-type": "application/json"})
    if answer.status_code == 200:
        return
    assert answer.status_code < 500, answer.text
    errors = answer.json()["errors"]
    assert errors and all(one["message"] for one in errors)
    raise BadInput(errors[0]["message"])


KINDS = {"bodies": Kind(body, send)}
