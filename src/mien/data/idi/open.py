"""From the options of ``mien pairs build`` to a builder."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.assets import embedded
from mien.data.idi.build import Builder
from mien.data.idi.filters import Read, calibrated
from mien.data.idi.makers import Iterated, Oracle, TemplateMaker
from mien.data.idi.request import checked_request
from mien.data.idi.source import Portraits
from mien.data.idi.swappers import OnnxSwapper, Redraw, Swapper
from mien.errors import BadInput, MienError
from mien.io import sha256_of
from mien.provenance.fingerprint import model_hashes
from mien.toolbox import Tools

if TYPE_CHECKING:
    from mien.evaluation.spec import ModelSpec

log = logging.getLogger(__name__)

CALIBRATION = 64
"""Portraits that thresholds are calibrated on."""


def open_builder(
    data: Path,
    model: str,
    maker: str,
    settings: Mapping[str, Any],
    targets: int | None = None,
    reader: str = "auto",
    facekit: Path | None = None,
    calibrate: bool = False,
) -> Builder:
    """Load what a build works with.

    Args:
        data: folder of shards.
        model: spec of the model that draws, see `mien.evaluation.spec`.
        maker: ``redraw``, ``oracle`` or an ONNX file.
        settings: further settings of `PairsRequest`.
        targets: how many; all when None.
        reader: ``auto``, ``mediapipe`` or ``studio``.
        facekit: for the oracle.
        calibrate: take the thresholds of Exp and LMS from pairs that are good by construction: exact renders where
            the data set is the studio's and the face kit is there, else each picture and its own reconstruction.

    Raises:
        MienError: if a file is missing or does not fit, or a setting is wrong.
    """
    from mien.evaluation.spec import load_spec

    portraits, spec = Portraits(data), load_spec(model)
    count = min(targets or len(portraits), len(portraits))
    kind = maker if maker in ("redraw", "oracle") else "onnx"
    if kind == "onnx" and not Path(maker).is_file():
        raise BadInput(f"There is no maker {maker!r}: choose redraw, oracle, or give an ONNX file.")
    tools = Tools.load(spec.base, reader)
    request = checked_request(
        **settings, data=portraits.sha256, models={name: sha256_of(file) for name, file in tools.files.items()},
        maker=kind, targets=count, scales=spec.scales, guidance=spec.guidance,
    )  # fmt: skip
    pipeline = None
    made: TemplateMaker
    if kind == "oracle":
        made = Oracle(_renderer(facekit))
    else:
        pipeline = _pipeline(spec, model)
        folder = embedded(spec.base) if spec.base == "studio" else Path(spec.base)
        models = spec.hashes(model_hashes(folder, {})) | request.models
        options = {
            "num_inference_steps": request.steps, "scales": request.scales, "guidance": request.guidance,
            "identity_mode": spec.identity_mode,
        }  # fmt: skip
        swapper: Swapper = Redraw(pipeline, tools, request.conditions, request.strength, options)
        if kind == "onnx":
            swapper, models["swapper"] = OnnxSwapper(Path(maker)), sha256_of(maker)
        request = request.model_copy(update={"models": dict(sorted(models.items()))})
        made = Iterated(pipeline, tools, swapper, request.conditions, options)
    builder = Builder(request, portraits, made, tools)
    if not calibrate:
        return builder
    limits = calibrated(list(_good_pairs(builder, pipeline, facekit)), request.thresholds)
    return replace(builder, request=request.model_copy(update={"thresholds": limits}))


def _pipeline(spec: ModelSpec, name: str) -> Any:
    pipeline = spec.load()
    if "expression" not in pipeline.adapters:
        raise BadInput(f"The model {name} has no expression branch, which draws the templates; give another spec.")
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _renderer(facekit: Path | None) -> Any:
    from mien.studio.kit import FaceKit
    from mien.studio.renderer import Renderer

    return Renderer(FaceKit.load(facekit))


def _good_pairs(builder: Builder, pipeline: Any, facekit: Path | None) -> Iterator[tuple[Read, Read]]:
    """(template, target) of some portraits, good by construction: exact renders, else the autoencoder's copies."""
    oracle = _oracle_of(builder, facekit)
    if oracle is None and pipeline is None:
        raise BadInput("There is nothing to calibrate on: give --facekit for a studio data set, or a model that draws.")
    for row in range(min(CALIBRATION, len(builder.portraits))):
        target = builder.look(builder.portraits[row].image)
        if target.face is None:
            continue
        if oracle is not None:
            picture = oracle.make([builder.job(row, 0, target)[0]])[0]
        else:
            picture = _copied(pipeline, target.image)
        yield builder.look(picture), target


def _oracle_of(builder: Builder, facekit: Path | None) -> Oracle | None:
    """The exact maker where the portraits are the studio's and the face kit is there."""
    if isinstance(builder.maker, Oracle):
        return builder.maker
    try:
        oracle = Oracle(_renderer(facekit))
        oracle.planned(builder.portraits[0].sample)
    except MienError as error:
        log.info("calibrating on copies of the pictures, since there are no exact ones: %s", error)
        return None
    return oracle


def _copied(pipeline: Any, image: Any) -> Any:
    """A picture after the base's autoencoder."""
    import torch

    from mien.pipelines.autoencoders import decode_latents, encode_pictures

    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        copy = decode_latents(pipeline.vae, encode_pictures(pipeline.vae, pixels.to(pipeline.vae.dtype)))
    return ((copy[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
