"""From the options of ``mien pairs build`` to pairs: nothing that draws is loaded before it is needed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from mien.core.io import check_writable, claim, read_json, sha256_of, write_json
from mien.core.log import only_process
from mien.core.progress import Bar, silent
from mien.core.stages.execute import execute, usual_workers
from mien.core.strict import StrictModel
from mien.data.idi.build import LOCK, Builder, PairsStage
from mien.data.idi.filters import Read, calibrated
from mien.data.idi.folder import claim_pairs, is_finished, report_of
from mien.data.idi.makers import Iterated, Oracle, Picture
from mien.data.idi.quality import PictureQuality
from mien.data.idi.request import SETTINGS_FILE, PairsRequest
from mien.data.idi.source import Portraits
from mien.data.idi.swappers import OnnxSwapper, Redraw
from mien.errors import BadInput, MienError
from mien.generation.tools import FaceTools
from mien.pipelines.base_facts import base_hashes
from mien.pipelines.load import picture_size

if TYPE_CHECKING:
    from mien.pipelines.portrait import PortraitPipeline
    from mien.pipelines.spec import ModelSpec
    from mien.studio.renderer import Renderer

log = logging.getLogger(__name__)

CALIBRATION = 64
"""Portraits that thresholds are calibrated on."""
CALIBRATION_FILE = "calibration.json"


@dataclass(frozen=True, eq=False)
class Order:
    """What is asked for, checked, with all hashes, but without the models that draw.

    Attributes:
        request: everything the pairs depend on.
        portraits: the data set.
        tools: reads faces.
        model: name of the spec.
        spec: of the model that draws.
        maker: ``redraw``, ``oracle`` or an ONNX file.
        reader: who reads faces, as it was asked for.
        facekit: the face kit's file; None takes ``MIEN_FACEKIT``.
        liqe: LIQE's file, see `mien.data.idi.quality`; None does not ask it.
    """

    request: PairsRequest
    portraits: Portraits
    tools: FaceTools
    model: str
    spec: ModelSpec
    maker: str
    reader: str
    facekit: Path | None
    liqe: Path | None = None

    @classmethod
    def of(
        cls,
        data: Path,
        model: str,
        maker: str,
        settings: Mapping[str, Any],
        targets: int | None = None,
        reader: str = "auto",
        facekit: Path | None = None,
        liqe: Path | None = None,
    ) -> Order:
        """Check what is asked for.

        Args:
            data: folder of shards.
            model: spec of the model that draws, see `mien.pipelines.spec`.
            maker: see the attributes.
            settings: further settings of `PairsRequest`.
            targets: how many; all when None.
            reader: ``auto``, ``mediapipe`` or ``studio``.
            facekit: for the oracle.
            liqe: see the attributes.

        Raises:
            MienError: if a file is missing or does not fit, or a setting is wrong.
        """
        from mien.pipelines.spec import load_spec
        from mien.studio.kit import kit_file

        portraits, spec = Portraits(data), load_spec(model)
        kind = maker if maker in ("redraw", "oracle") else "onnx"
        if kind == "onnx" and not Path(maker).is_file():
            raise BadInput(f"There is no maker {maker!r}: choose redraw, oracle, or give an ONNX file.")
        if liqe is not None and not liqe.is_file():
            raise BadInput(f"There is no file {liqe}: export LIQE as docs/how-to-pairs.md says, or leave --liqe out.")
        tools = FaceTools.load(spec.base, reader)
        base = base_hashes(spec.base)
        if kind == "oracle":
            models = {name: digest for name, digest in base.items() if name.startswith(("identity/", "reader/"))}
        else:
            models = spec.hashes(base)
        models |= {name: sha256_of(file) for name, file in tools.files.items()}
        if kind == "onnx":
            models["swapper"] = sha256_of(maker)
        if liqe is not None:
            models["liqe"] = sha256_of(liqe)
        request = PairsRequest.checked(
            **settings, data=portraits.sha256, models=dict(sorted(models.items())), maker=kind,
            kit=sha256_of(kit_file(facekit)) if kind == "oracle" else None,
            targets=min(targets or len(portraits), len(portraits)), scales=spec.scales, guidance=spec.guidance,
            identity_mode=spec.mode,
        )  # fmt: skip
        return cls(request, portraits, tools, model, spec, maker, reader, facekit, liqe)

    def again(self) -> Callable[[], Order]:
        """Gives this order in another process, which neither reads nor hashes the data set anew; picklable."""
        return partial(
            _again, self.request, self.portraits, self.model, self.maker, self.reader, self.facekit, self.liqe
        )

    def open(self) -> Builder:
        """Load what draws.

        Raises:
            MienError: if a file is missing or does not fit.
        """
        request = self.request
        quality = None if self.liqe is None else PictureQuality(self.liqe)
        if request.maker == "oracle":
            oracle = Oracle(_renderer(self.facekit, self.portraits))
            return Builder(request, self.portraits, oracle, self.tools, quality)
        pipeline = self.spec.load()
        if "expression" not in pipeline.adapters:
            raise BadInput(
                f"The model {self.model} has no expression branch, which draws the templates; give another spec."
            )
        pipeline.set_progress_bar_config(disable=True)
        self._check_size(picture_size(pipeline))
        options = {
            "num_inference_steps": request.steps, "scales": request.scales, "guidance": request.guidance,
            "identity_mode": request.identity_mode,
        }  # fmt: skip
        if request.maker == "onnx":
            swapper = OnnxSwapper(Path(self.maker))
        else:
            swapper = Redraw(pipeline, self.tools, request.conditions, request.strength, options)
        maker = Iterated(pipeline, self.tools, swapper, request.conditions, options)
        return Builder(request, self.portraits, maker, self.tools, quality)

    def _check_size(self, drawn: int) -> None:
        """A template takes the place of a portrait, so it has its size."""
        own = len(self.portraits[0].image)
        if own != drawn:
            raise BadInput(
                f"The portraits in {self.portraits.folder} are {own} px a side and {self.model} draws {drawn}: import "
                f"them with  --size {drawn}."
            )


def _again(
    request: PairsRequest,
    portraits: Portraits,
    model: str,
    maker: str,
    reader: str,
    facekit: Path | None,
    liqe: Path | None,
) -> Order:
    from mien.pipelines.spec import load_spec

    spec = load_spec(model)
    return Order(request, portraits, FaceTools.load(spec.base, reader), model, spec, maker, reader, facekit, liqe)


def build_pairs(
    order: Order,
    folder: Path,
    calibrate: bool = False,
    bar: Bar = silent,
    *,
    executor: str = "local",
    workers: int | None = None,
    part: tuple[int, int] | None = None,
    finish: bool = False,
) -> dict[str, Any] | None:
    """Make all pairs of an order, or those that are missing; what draws is loaded only if some are.

    Args:
        order: what is asked for.
        folder: see `Builder.build`; with ``calibration.json`` where thresholds were calibrated.
        calibrate: take the thresholds of Exp and LMS from pairs that are good by construction: exact renders where
            the data set is the studio's and the face kit is there, else each picture and its own reconstruction.
        bar: makes progress bars.
        executor: see `mien.core.stages.execute.execute`, as are the next three.
        workers: processes, each of which loads what draws; None: see `usual_workers`.
        part: (i, n): only these batches.
        finish: make no pairs; put together what the parts have made.

    Returns:
        The numbers of the report; None after a part.

    Raises:
        ConfigError: if the folder holds other pairs.
        BadInput: if no attempt was kept.
        MienError: if a file is missing or does not fit.
    """
    request = _calibrated_before(order.request, folder) if calibrate else order.request
    if request is not None and (folder / SETTINGS_FILE).exists():
        claim_pairs(folder, request)
        if is_finished(folder):
            return report_of(folder)
    check_writable([folder / SETTINGS_FILE])  # before what draws is loaded
    workers = workers or (usual_workers(PairsStage.resources) if executor == "local" else None)
    ours = executor == "local" and workers == 1 and not finish
    builder = order.open() if ours or request is None else None
    if request is None:
        assert builder is not None
        limits = calibrated(list(_good_pairs(builder, order.facekit)), order.request.thresholds)
        request = order.request.model_copy(update={"thresholds": limits})
        claim_pairs(folder, request)
        asked = order.request.model_dump(mode="json", exclude={"thresholds"})
        stored = {"request": asked, "exp": limits.exp, "lms": limits.lms}
        write_json(folder / CALIBRATION_FILE, stored)
    claim_pairs(folder, request)
    own = replace(builder, request=request) if ours and builder is not None else None
    stage = PairsStage(folder, request, own, order.again())
    alone = nullcontext() if part else only_process(folder / LOCK, f"the pairs in {folder}")
    with alone:
        if is_finished(folder):  # by another process, while this one opened its models
            return report_of(folder)
        done = execute(stage, executor=executor, workers=workers, part=part, finish_only=finish, bar=bar)
    return report_of(folder) if done else None


class _Calibrated(StrictModel):
    """What a calibration found; 0 where good pairs do not differ at all."""

    exp: float = Field(ge=0)
    lms: float = Field(ge=0)


def _calibrated_before(request: PairsRequest, folder: Path) -> PairsRequest | None:
    """The request with the thresholds that an earlier call found for it; None where there was none."""
    path = folder / CALIBRATION_FILE
    if not path.exists():
        return None
    claim(path, request.model_dump(mode="json", exclude={"thresholds"}), "other pairs")
    stored = read_json(path)
    found = _Calibrated.parsed({name: stored.get(name) for name in ("exp", "lms")}, path)
    limits = request.thresholds.model_copy(update=found.model_dump())
    return request.model_copy(update={"thresholds": limits})


def _renderer(facekit: Path | None, portraits: Portraits) -> Renderer:
    """Of pictures as large as the portraits: a template takes the place of one."""
    from mien.studio.kit import FaceKit
    from mien.studio.renderer import Renderer

    return Renderer(FaceKit.load(facekit), size=len(portraits[0].image))


def _good_pairs(builder: Builder, facekit: Path | None) -> Iterator[tuple[Read, Read]]:
    """(template, target) of some portraits, good by construction: exact renders, else the autoencoder's copies."""
    maker = builder.maker
    oracle = maker if isinstance(maker, Oracle) else _oracle_of(builder.portraits, facekit)
    for row in range(min(CALIBRATION, len(builder.portraits))):
        target = builder.read(row)
        if target.face is None:
            continue
        if oracle is not None:
            picture = oracle.make([builder.job(row, 0, target)[0]])[0]
        else:
            assert isinstance(maker, Iterated)
            picture = _copied(maker.pipeline, target.image)
        yield builder.look(picture), target


def _oracle_of(portraits: Portraits, facekit: Path | None) -> Oracle | None:
    """The exact maker where the portraits are the studio's and the face kit is there."""
    try:
        oracle = Oracle(_renderer(facekit, portraits))
        oracle.planned(portraits[0].sample)
    except MienError as error:
        log.info("calibrating on copies of the pictures, since there are no exact ones: %s", error)
        return None
    return oracle


def _copied(pipeline: PortraitPipeline, image: Picture) -> Picture:
    """A picture after the base's autoencoder."""
    import torch

    from mien.core.pixels import picture_to_tensor, tensor_to_pictures
    from mien.pipelines.autoencoders import decode_latents, encode_pictures

    own = picture_to_tensor(image).to(pipeline.vae.dtype)
    with torch.no_grad():
        return tensor_to_pictures(decode_latents(pipeline.vae, encode_pictures(pipeline.vae, own)))[0]
