"""`mien.generate`, `mien.load` and `mien.save`: the functions that people call from Python."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from mien.core.io import check_writable
from mien.errors import BadInput
from mien.generation.generate import Progress, draw_pictures
from mien.generation.reading import PictureReader, batch_rows
from mien.generation.request import STRENGTH, GenerateRequest
from mien.pipelines.load import load as load_base
from mien.pipelines.load_options import Loading
from mien.provenance.consent import remind_once
from mien.provenance.png import CHUNK, picture_format, write_picture
from mien.provenance.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch
    from PIL import Image

    from mien.conditions import Emotion, Pose
    from mien.diffusion.caching import Speed
    from mien.generation.request import Branch, Dial, ExpressionBy, Retarget, Scheduler
    from mien.media.pictures import PictureLike
    from mien.pipelines.load_options import Device
    from mien.pipelines.portrait import PortraitPipeline

log = logging.getLogger(__name__)

Pictures: TypeAlias = "PictureLike | Sequence[PictureLike]"
Numbers: TypeAlias = "float | Sequence[float]"


def generate(
    *,
    identity: Pictures | None = None,
    expression: Pictures | None = None,
    expression_strength: Numbers = 1.0,
    mouth: Pictures | None = None,
    eyes: Pictures | None = None,
    brows: Pictures | None = None,
    pose: Pictures | Pose | Sequence[Pose] | None = None,
    yaw: Numbers | None = None,
    pitch: Numbers | None = None,
    roll: Numbers | None = None,
    blendshapes: Mapping[str, float] | Sequence[Mapping[str, float]] | None = None,
    emotion: str | Emotion | Sequence[str | Emotion] | None = None,
    prompt: str | Sequence[str] | None = None,
    describe: str | Sequence[str] | None = None,
    n: int = 1,
    seed: int | Sequence[int] = 0,
    steps: int | None = None,
    identities: Sequence[PictureLike] = (),
    weights: Sequence[float] = (),
    expressions: Sequence[PictureLike] = (),
    expression_weights: Sequence[float] = (),
    edit: Pictures | None = None,
    strength: float = STRENGTH,
    scales: Mapping[Branch, float] | None = None,
    guidance: Mapping[Dial, float] | None = None,
    guidance_rescale: float = 0.0,
    expression_by: ExpressionBy | None = None,
    retarget: Retarget | bool = "difference",
    scheduler: Scheduler | None = None,
    speed: Speed = "fast",
    base: str | Path | None = None,
    reader: str | None = None,
    pipeline: PortraitPipeline | None = None,
    provenance: bool = True,
    progress: Progress | None = None,
) -> list[Image.Image]:
    """Draw portraits and return them; no file is written.

    The keywords are those of ``mien generate`` and of `mien.generation.request.GenerateRequest`, with the same
    pictures: ``mien.generate(identity="me.jpg", seed=1)`` gives the pixels of ``mien generate --identity me.jpg --seed
    1`` before the watermark. Pictures are files, PIL pictures, arrays or tensors (`mien.media.pictures.as_picture`).

    Lists make batches: ``identity``, ``expression`` and its strength, the parts of the face, ``pose``, the angles,
    ``blendshapes``, ``emotion``, ``prompt``, ``describe``, ``edit`` and ``seed`` may be lists of one length; a single
    value goes to every row. Each row gives the pictures that it gives alone.

    The last base that was used stays loaded, until another is asked for. To hold one yourself, load it (`mien.load`)
    and give it as ``pipeline``.

    Args:
        identity: the person to draw.
        expression: any face whose expression (and, without ``pose`` and angles, head pose) is wanted.
        expression_strength: 0 is a face at rest, 1 the expression as it was read, up to 2 exaggerates it.
        mouth: a face whose mouth, jaw and cheeks are wanted, whatever ``expression`` does there.
        eyes: the same of lids and gaze.
        brows: the same of the brows.
        pose: a picture whose head pose is wanted, or a `mien.Pose`.
        yaw: degrees, + to the subject's left; an angle not given comes from ``pose``, else ``expression``, else 0.
        pitch: degrees, + up.
        roll: degrees, + tilts to the subject's left shoulder.
        blendshapes: name -> [0, 1], over the expression's own, such as ``{"jawOpen": 0.6}``.
        emotion: such as ``"happy"``, ``"happy:0.5,surprise:0.5"``, or a `mien.Emotion`.
        prompt: text prompt; without one the identity picture is described.
        describe: of the person, over what is read in the picture, such as ``"short grey hair, no glasses"``.
        n: pictures of each row; picture i has the seed ``seed + i``.
        seed: seed of the first picture.
        steps: denoising steps; 25 when None, or as many as the speed ``few`` was distilled for.
        identities: more pictures of the same person, or of others to mix in (not a batch).
        weights: of ``identity`` and each of ``identities`` in that mean.
        expressions: more expression pictures, blended with ``expression`` (not a batch).
        expression_weights: of ``expression`` and each of ``expressions`` in that mean.
        edit: a portrait whose face is changed, instead of a new picture.
        strength: how much of that portrait's face is given up, above 0 and up to 1.
        scales: branch -> factor of its attention output; 0 switches it off.
        guidance: condition or ``"text"`` -> guidance weight.
        guidance_rescale: 0 to 1, against over-saturation at high guidance.
        expression_by: through which branches the expression picture steers: ``landmarks``, ``picture`` or ``both``;
            None is as the base has it.
        retarget: how the identity gets the expression: ``difference``, ``coefficients`` or ``none``
            (`GenerateRequest`).
        scheduler: ``dpm++``, ``ddpm``, ``ddim``, ``euler`` or ``lcm``; the base's own when None.
        speed: ``exact``, ``fast`` or ``few`` (docs/speed.md); ``fast`` as on the command line.
        base: ``studio`` (the default), ``sd15``, ``sdxl``, ``arc2face``, a folder, a file or a name on the hub.
        reader: who reads faces, see `mien.faces.names`; ``auto`` when None.
        pipeline: of `mien.load`, instead of ``base`` and ``reader``.
        provenance: attach the record of how each picture was made, which `mien.save` writes.
        progress: called after each denoising step with (picture, step), both from 0.

    Returns:
        RGB pictures, all n of the first row first. ``image.info["mien"]`` is the record (JSON).

    Raises:
        NoFaceFound: if a picture has no face.
        BadInput: if a value is out of range, lists have different lengths, or a picture cannot be used.
        MissingAsset: if weights are not here; the message says how to get them.

    Example:
        >>> import mien
        >>> images = mien.generate(identity="me.jpg", expression="friend.jpg", yaw=20, emotion="happy", n=2, steps=2)
        >>> [image.size for image in images]
        [(256, 256), (256, 256)]
    """
    if pipeline is not None and (base is not None or reader is not None):
        raise BadInput("Give pipeline, or base and reader: a pipeline has its own.")
    if n < 1:
        raise BadInput(f"n is the number of pictures of each row, at least 1, not {n}.")
    pipeline = pipeline if pipeline is not None else _last_used(str(base or "studio"), reader or "auto")
    own = pipeline.reader
    if not isinstance(own, PictureReader):
        raise BadInput("This pipeline has no readers of its own: load it with mien.load.")
    rows = {
        "identity": identity, "expression": expression, "expression_strength": expression_strength, "mouth": mouth,
        "eyes": eyes, "brows": brows, "pose": pose, "yaw": yaw, "pitch": pitch, "roll": roll,
        "blendshapes": blendshapes, "emotion": emotion, "prompt": prompt, "describe": describe, "edit": edit,
        "seed": seed,
    }  # fmt: skip
    shared = {
        "count": n, "steps": steps, "identities": tuple(identities), "weights": tuple(weights), "strength": strength,
        "expressions": tuple(expressions), "expression_weights": tuple(expression_weights),
        "scales": dict(scales or {}), "guidance": dict(guidance or {}), "guidance_rescale": guidance_rescale,
        "expression_by": expression_by, "retarget": retarget, "scheduler": scheduler, "speed": speed,
        "provenance": provenance,
        "base": own.base, "reader": own.reader, "loading": own.loading,
    }  # fmt: skip
    # all rows are checked before the first is drawn
    requests = [
        GenerateRequest.checked(**row, **shared)
        for row in batch_rows({name: value for name, value in rows.items() if value is not None})
    ]
    if any(one.identity is not None or one.identities or one.edit is not None for one in requests):
        remind_once(log.warning)
    images: list[Image.Image] = []
    for number, request in enumerate(requests):
        advance = None if progress is None else partial(_later, progress, number * n)
        for drawn in draw_pictures(request, pipeline=pipeline, tools=own.tools, progress=advance):
            if drawn.record is not None:
                drawn.image.info[CHUNK] = drawn.record.text()
            images.append(drawn.image)
    return images


def save(image: Image.Image, path: str | Path) -> Path:
    """Write a picture of `generate` as a PNG, JPEG or WebP file, as ``mien generate`` writes its PNG files.

    The file carries the record of how it was made, the declaration that it is synthetic (XMP) and an invisible
    watermark, so that ``mien show`` can tell and ``mien generate --like`` can repeat it. ``image.save(path)`` of PIL
    writes the pixels alone. A picture that was made with ``provenance=False`` is written without any of them.

    Args:
        image: a picture of `generate`, with its ``info``.
        path: the file, ``.png``, ``.jpg`` or ``.webp``; the latter two at quality 95.

    Returns:
        The path.

    Raises:
        MienError: if the file cannot be written, or has another ending; or if ``image`` is no PIL picture.

    Example:
        >>> import mien
        >>> (image,) = mien.generate(identity="me.jpg", steps=2)
        >>> mien.save(image, "portrait.png").name
        'portrait.png'
    """
    path = Path(path)
    picture_format(path)
    from PIL import Image

    if not isinstance(image, Image.Image):  # pyright: ignore[reportUnnecessaryIsInstance]: callers are not checked
        raise BadInput(f"A picture of mien.generate is saved, with what PIL keeps of it, not {type(image).__name__}.")
    check_writable([path])
    record = image.info.get(CHUNK)
    write_picture(path, image, None if record is None else Record.parse(record, "the picture"))
    return path


def load(
    base: str | Path = "studio",
    *,
    adapters: str | Path | Sequence[str | Path] = (),
    loras: str | Path | Mapping[str | Path, float] | Sequence[str | Path] = (),
    torch_dtype: torch.dtype | None = None,
    device: Device = "auto",
    reader: str = "auto",
    image_encoder: str | Path | None = None,
    offload: bool = False,
    tiling: bool = False,
) -> PortraitPipeline:
    """Load a pipeline that draws portraits of pictures, poses, emotions and prompts.

    It is a diffusers pipeline (``.to("cuda")``, ``.scheduler``, ``load_lora_weights`` and so on). Each call loads the
    weights anew.

    Args:
        base: ``studio`` (ships with mien), ``sd15``, ``sdxl``, ``arc2face``, a folder in diffusers' layout, a
            ``.safetensors`` file, or a name on the hub.
        adapters: files, or names of assets, of branches that are added to the base's own.
        loras: LoRA files; a mapping gives each its weight.
        torch_dtype: of the weights; float16 on a GPU for a base of full size when None, else float32.
        device: ``auto`` is a GPU where there is one.
        reader: who reads the faces in pictures, see `mien.faces.names`.
        image_encoder: folder of the CLIP image encoder for adapters that need one; the one that fits when None.
        offload: keep on the GPU only the network that is at work.
        tiling: encode and decode pictures in tiles.

    Raises:
        MissingAsset: if the base or a file is not here; the message says how to get it.
        BadInput: if it is of another kind, or there is no such device.
        ConfigError: if an adapter or a LoRA file does not fit the base.

    Example:
        >>> import mien
        >>> pipe = mien.load("studio", device="cpu")
        >>> sorted(pipe.adapters)
        ['emotion', 'expression', 'faceid', 'landmarks']
    """
    weights = loras if isinstance(loras, Mapping) else dict.fromkeys(_several(loras), 1.0)
    loading = Loading.checked(
        adapters=tuple(map(str, _several(adapters))),
        loras=tuple({"file": file, "weight": weight} for file, weight in weights.items()),
        precision=_precision(torch_dtype),
        device=device,
        image_encoder=image_encoder,
        offload=offload,
        tiling=tiling,
    )
    pipeline = load_base(str(base), loading)
    pipeline.reader = PictureReader(str(base), reader, loading)
    return pipeline


def _later(progress: Progress, first: int, picture: int, step: int) -> None:
    """Progress of a row that begins with picture number ``first`` of a call."""
    progress(first + picture, step)


@lru_cache(maxsize=1)
def _last_used(base: str, reader: str) -> PortraitPipeline:
    """The base that `generate` drew with last; nobody else holds it, so nobody changes it."""
    pipeline = load(base, reader=reader)
    pipeline.set_progress_bar_config(disable=True)  # pyright: ignore[reportUnknownMemberType]
    return pipeline


def _several(values: str | Path | Iterable[str | Path]) -> Sequence[str | Path]:
    return [values] if isinstance(values, str | Path) else list(values)


def _precision(dtype: torch.dtype | None) -> str:
    """The name of a precision of `Loading`."""
    names = {"None": "auto", "torch.float32": "fp32", "torch.float16": "fp16", "torch.bfloat16": "bf16"}
    if str(dtype) not in names:
        raise BadInput(f"torch_dtype is torch.float32, torch.float16 or torch.bfloat16, not {dtype}.")
    return names[str(dtype)]
