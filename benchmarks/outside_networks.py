"""Networks that nobody here trained, from the npm package @vladmandic/face-api, which ships its weights.

The package is installed into a folder of the cache (Node.js and npm are needed, and a package registry at the first
use) and runs as another program, which is given raw pixels and answers with one line of JSON a picture.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from mien.core.io import cache_folder, sha256_of, write_json
from mien.errors import BadInput, MissingDependency
from mien.evaluation.outside import PARTS, Floats

PACKAGES = {
    "@vladmandic/face-api": "1.7.15",
    "@tensorflow/tfjs": "4.22.0",
    "@tensorflow/tfjs-backend-wasm": "4.22.0",
}
"""Name -> version."""
_SCRIPT = Path(__file__).with_suffix(".cjs")


def installed(folder: Path | None = None) -> Path:
    """The folder with the packages, installed where they are not there yet.

    Raises:
        MissingDependency: if npm is not there, or the packages cannot be had.
    """
    place = folder or cache_folder() / "outside"
    wanted = {"private": True, "dependencies": PACKAGES}
    if (place / "installed.json").is_file() and json.loads((place / "installed.json").read_text()) == wanted:
        return place
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise MissingDependency("The networks from outside need Node.js 18 or newer, with npm: install it.")
    place.mkdir(parents=True, exist_ok=True)
    write_json(place / "package.json", wanted)
    done = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=place, capture_output=True, text=True
    )
    if done.returncode:
        raise MissingDependency(f"npm could not install {', '.join(PACKAGES)}: {done.stderr.strip()[-300:]}")
    write_json(place / "installed.json", wanted)
    return place


class FaceApi:
    """Reads pictures, see `mien.evaluation.outside.OutsideNetworks`; a context manager that ends the program.

    Args:
        folder: where the packages are installed; the cache if not given.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = installed(folder)
        weights = self.folder / "node_modules" / "@vladmandic" / "face-api" / "model"
        names = ("ssd_mobilenetv1", "face_landmark_68", "face_recognition", "face_expression")
        self.files: Mapping[str, str] = {f"outside/{name}": sha256_of(weights / f"{name}_model.bin") for name in names}
        self._program: subprocess.Popen[str] | None = None

    def __enter__(self) -> FaceApi:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._program is not None:
            self._program.kill()
            self._program.wait()

    def __call__(self, pictures: Sequence[Any]) -> dict[str, Floats]:
        """B pictures, PIL or uint8 [H, W, 3] -> ``found`` [B, 1], ``identity`` [B, 128], ``emotion`` [B, 7].

        Raises:
            BadInput: if the program ends.
        """
        found = {name: np.full((len(pictures), *shape), np.nan, np.float32) for name, shape in PARTS.items()}
        with tempfile.TemporaryDirectory() as place:
            for row, picture in enumerate(pictures):
                pixels = np.ascontiguousarray(np.asarray(picture, np.uint8))
                file = Path(place) / "picture.rgb"
                with file.open("wb") as stream:
                    stream.write(pixels.tobytes())
                height, width, _ = pixels.shape
                answer = self._ask({"file": str(file), "width": width, "height": height})
                found["found"][row] = answer["score"]
                if answer["score"]:
                    descriptor = np.asarray(answer["descriptor"], np.float32)
                    found["identity"][row] = descriptor / np.linalg.norm(descriptor)
                    found["emotion"][row] = answer["expressions"]
        return found

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        if self._program is None:
            self._program = subprocess.Popen(
                ["node", str(_SCRIPT), str(self.folder.resolve())],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
        assert self._program.stdin is not None and self._program.stdout is not None
        try:
            self._program.stdin.write(json.dumps(question) + "\n")
            self._program.stdin.flush()
        except BrokenPipeError:
            pass
        line = self._program.stdout.readline()
        if not line:
            raise BadInput(f"The networks from outside ended with status {self._program.wait()}.")
        return dict(json.loads(line))
