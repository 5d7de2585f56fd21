"""``mien model assemble``: a trained model as one folder that mien and stock diffusers open.

The folder holds a base with what was trained in its place: components in diffusers' layout, ``adapters/``, where the
text encoder was trained also the states of e(0) from before, the face recognition network, and ``pipeline.py`` for
``DiffusionPipeline.from_pretrained(FOLDER, custom_pipeline=FOLDER, trust_remote_code=True)``. Where mien is not
installed, ``stock_pipeline.py`` runs landmark and emotion branches (`mien.pipelines.stock`).
"""

from __future__ import annotations

import inspect
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mien.core.io import check_writable, write_json, write_text
from mien.core.weights import write_weights
from mien.errors import BadInput, MissingAsset
from mien.pipelines.base_facts import base_hashes
from mien.pipelines.bases import arcface_file, is_small
from mien.pipelines.files import NULL_TEXT
from mien.pipelines.spec import ModelSpec

PIPELINE = "pipeline.py"
ABOUT = "assembled.json"
STOCK = "stock_pipeline.py"
ARCFACE = "arcface.onnx"


def assemble(spec: ModelSpec, folder: Path, half: bool = False) -> Mapping[str, Any]:
    """Write the model of a spec as a folder, which appears whole or not at all.

    Args:
        spec: base, adapters, text encoder and so on.
        folder: which is not there yet.
        half: store float16.

    Returns:
        What ``assembled.json`` holds: the base's name and sha256 of everything that pictures depend on.

    Raises:
        BadInput: if the folder is there.
        MienError: if a part is missing or does not fit.
    """
    import torch

    if folder.exists():
        raise BadInput(f"{folder} is there already: choose another folder with -o.")
    check_writable([folder / ABOUT])
    spec.check()
    pipeline = spec.load()
    null = pipeline.encode_null() if spec.text_encoder is not None else None
    about = {
        "base": spec.base if not Path(spec.base).exists() else "folder",
        "guidance": spec.guidance, "scales": spec.scales, "models": spec.hashes(base_hashes(spec.base)),
    }  # fmt: skip
    pipeline.register_to_config(
        guidance={**pipeline.config["guidance"], **spec.guidance}, scales={**pipeline.config["scales"], **spec.scales},
        identity_mode=spec.mode,
    )  # fmt: skip
    if half:
        pipeline.to(torch.float16)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        pipeline.save_pretrained(temporary, safe_serialization=True)
        if null is not None:
            write_weights(temporary / NULL_TEXT, {"states": null.detach().cpu().contiguous()}, {})
        if not is_small(spec.base):
            with suppress(MissingAsset):
                shutil.copyfile(arcface_file(spec.base), temporary / ARCFACE)
        shutil.copyfile(Path(__file__).with_name("custom_pipeline.py"), temporary / PIPELINE)
        write_text(temporary / STOCK, stock_pipeline())
        write_json(temporary / ABOUT, about)
        temporary.chmod(0o755)
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return about


def stock_pipeline() -> str:
    """The source of `mien.pipelines.stock` with the encoders in the place of their imports: one file without mien."""
    import mien.pipelines.stock as stock
    from mien.adapters.encoders import base, emotion, landmarks

    parts = (
        base.ConditionEncoder, base.start_from_input, landmarks.Residual, landmarks.sinusoid_positions,
        landmarks.LandmarkEncoder, emotion.EmotionEncoder,
    )  # fmt: skip
    lines = inspect.getsource(stock).splitlines()
    own = [number for number, line in enumerate(lines) if line.startswith("from mien.")]
    imports = ["import math", "from typing import cast", "", f"CONDITION_DIM = {emotion.CONDITION_DIM}"]
    sources = "\n\n\n".join(["\n".join(imports), *[inspect.getsource(one).rstrip() for one in parts]])
    return "\n".join([*lines[: own[0]], sources, "", *lines[own[-1] + 1 :]]) + "\n"
