"""``generate`` draws what a request asks for; ``repeat`` draws a recorded picture again, bit for bit."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mien import __version__
from mien.editing import steer_edit
from mien.errors import BadInput
from mien.io import check_apart, check_writable, sha256_of
from mien.loading import Loading
from mien.provenance.png import read_record, write_picture
from mien.provenance.record import Record
from mien.request import LOCAL, ROLES, GenerateRequest, input_fields
from mien.steering import Steering, draw_rows, open_inputs, steer
from mien.toolbox import Tools

Progress = Callable[[int, int], None]
"""Told after each denoising step: (picture, step), both from 0."""
_OTHER_COMMANDS = {"animation": "animate", "demo": "demo", "evaluation": "evaluate"}
"""Setting that only the records of another command hold -> that command."""
_GIVEN_WITH = {"adapter": "adapter", "few_step": "adapter", "lora": "lora", "image_encoder": "image-encoder"}
"""Kind of a model that is added to a base -> the option that it is given with."""


def generate(
    request: GenerateRequest,
    *,
    pipeline: Any = None,
    tools: Tools | None = None,
    only: int | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Draw the pictures of a request and write them as PNG files.

    One picture goes through the model at a time, so its bits do not depend on how many others were asked for.

    Args:
        request: what to draw.
        pipeline: a loaded `mien.pipelines.PortraitPipeline`; ``request.base`` is loaded if None.
        tools: readers and helpers; those of the request are loaded if None.
        only: draw only this picture of the request, counted from 0.
        progress: told after each step.

    Returns:
        The files, in order of their seeds: ``output/portrait-SEED.png``.

    Raises:
        MienError: if an input cannot be used or would be written over, weights are missing, or the folder cannot be
            written.
    """
    indices = list(range(request.count)) if only is None else [only]
    files = picture_files(request, indices)
    pictures = open_inputs(request)  # before the seconds of loading: a mistyped path should answer at once
    tools = tools or Tools.load(request.base, request.reader)
    pipeline = pipeline if pipeline is not None else load_pipeline(request.base, request.loading)
    canvas, options = None, {}
    place = (request, pictures, tools, picture_size(pipeline), branch_kinds(pipeline))
    if request.edit is None:
        steering = steer(*place)
    else:
        steering, canvas = steer_edit(*place)
        options = canvas.arguments(request.strength)
    records = record_maker(request, pipeline, tools) if request.provenance else None
    for index, path in zip(indices, files, strict=True):
        image = draw(
            pipeline,
            request,
            steering,
            request.seed + index,
            lambda step, i=index: progress and progress(i, step),
            **options,
        )
        image = image if canvas is None else canvas.put_back(image)
        write_picture(path, image, records(index) if records else None)
    return files


def picture_files(request: GenerateRequest, indices: Sequence[int], further: Sequence[Path] = ()) -> list[Path]:
    """Where the pictures of a request go, once it is clear that they can be written and replace nothing that is read.

    Args:
        request: what is drawn.
        indices: which of its pictures, from 0.
        further: files that are read besides its inputs.

    Raises:
        MienError: if a file cannot be written, or is one of the inputs.
    """
    files = [request.output / f"portrait-{request.seed + index:04d}.png" for index in indices]
    check_apart(files, [*further, *request.inputs.values()])
    check_writable(files)
    return files


def repeat(
    file: Path,
    inputs: Mapping[str, Path | None],
    output: Path,
    *,
    base: str | None = None,
    loading: Loading | None = None,
    **options: Any,
) -> list[Path]:
    """Draw the picture in ``file`` again from the same inputs.

    Args:
        file: a picture with a record.
        inputs: role -> file, for the roles that the picture was made with.
        output: folder for the new file.
        base: where the models are, if they came from a folder or a file.
        loading: the adapters and LoRA files that were used, and where to run; the rest is as recorded.
        options: as for `generate`.

    Returns:
        The one file written.

    Raises:
        BadInput: if ``file`` has no record or would be written over, an input is missing, superfluous or not the
            recorded one, or the models differ.
    """
    record = read_record(file)
    for setting, command in _OTHER_COMMANDS.items():
        if setting in record.settings:
            raise BadInput(f"{file} was not made by  mien generate: give  mien {command}  the same again.")
    check_inputs(record, inputs, file)
    if record.settings.get("base") == LOCAL and base is None:
        raise BadInput(f"{file} was made with models from a folder or a file: give it with --base.")
    chosen: dict[str, Any] = {} if base is None else {"base": base}
    chosen |= {"loading": (loading or Loading()).repeated(record.settings.get("loading", {})), "output": output}
    wanted = GenerateRequest.checked(**{**record.settings, **input_fields(inputs), **chosen})
    picture_files(wanted, [record.index], [file])
    before = sha256_of(file)
    if record.mien != __version__:
        warnings.warn(f"{file} was made by mien {record.mien}, this is {__version__}: bits may differ", stacklevel=2)
    threads = record.environment.get("threads", "")
    if threads.isdigit():
        import torch

        torch.set_num_threads(int(threads))  # sums of floats depend on how they are split
    pipeline = options.pop("pipeline", None) or load_pipeline(wanted.base, wanted.loading)
    tools = options.pop("tools", None) or Tools.load(wanted.base, wanted.reader)
    present = hashes(pipeline, tools)
    check_models(record, present, file)
    files = generate(wanted, pipeline=pipeline, tools=tools, only=record.index, **options)
    if sha256_of(files[0]) != before:
        as_now = record.models.keys() == present.keys()
        why = "the libraries or the machine differ" if as_now else "its record is of an older kind, and so is its mark"
        warnings.warn(f"{files[0]} is not bit-equal to {file}: {why}", stacklevel=2)
    return files


def check_inputs(record: Record, inputs: Mapping[str, Path | None], file: Path) -> None:
    """Refuse inputs that are not the recorded ones, naming the one that differs."""
    for role in sorted({*ROLES, *inputs, *record.inputs}):
        option = "another --identity" if role not in ROLES else f"--{role}"
        given, expected = inputs.get(role), record.inputs.get(role)
        if given is None and expected is not None:
            raise BadInput(f"{file} was made with {option}: give the same picture again.")
        if given is not None and expected is None:
            raise BadInput(f"{file} was made without {option}: leave it out.")
        if given is None or expected is None:
            continue
        if not given.is_file():
            raise BadInput(f"There is no picture file at {given}; check the path.")
        if sha256_of(given) != expected:
            raise BadInput(
                f"{given} is not the {role} picture of {file}: its sha256 is not {expected[:12]}... as recorded."
            )


def check_models(record: Record, present: Mapping[str, str], file: Path) -> None:
    """Refuse models that are not the recorded ones, naming the first that differs and how to give it again."""
    from mien.provenance.fingerprint import is_configuration

    if not any(map(is_configuration, record.models)):  # recorded before configurations were
        present = {name: digest for name, digest in present.items() if not is_configuration(name)}
    recorded = under_present_names(record.models, present)
    for name in sorted(recorded.keys() | present.keys()):
        if recorded.get(name) != present.get(name):
            how = "is not there now" if name not in present else "was not there" if name not in recorded else "differs"
            raise BadInput(f"{file} was made with other models ({name} {how}): {_advice(name, record)}.")


def under_present_names(recorded: Mapping[str, str], present: Mapping[str, str]) -> dict[str, str]:
    """Recorded models, those whose name is gone under the name that the same bytes have now.

    Records of earlier releases tell added files by their own names, which a user may change.
    """
    free = {name: digest for name, digest in present.items() if name not in recorded}
    found = {}
    for name, digest in recorded.items():
        now = name if name in present else next((one for one, there in free.items() if there == digest), name)
        free.pop(now, None)
        found[now] = digest
    return found


def _advice(model: str, record: Record) -> str:
    """What to do about a model that differs."""
    option = _GIVEN_WITH.get(model.replace("/", ":").partition(":")[0])
    if option is not None:
        return f"give the same files again with --{option}, in their order"
    if record.settings.get("base") == LOCAL:
        return "give the same --base again, or install the version that made it"
    return "install the version that made it"


def load_pipeline(base: str, loading: Loading | None = None) -> Any:
    """The pipeline of a base, on the GPU if there is one.

    Args:
        base: see `mien.pipelines.bases.open_base`.
        loading: what is added to it, and how it runs.

    Raises:
        MienError: if it cannot be loaded.
    """
    from mien.pipelines.load import load

    silence_loading()
    pipeline = load(base, loading or Loading())
    pipeline.set_progress_bar_config(disable=True)  # one bar for the whole request, not one a picture
    return pipeline


def silence_loading() -> None:
    """No bars for the loading of weights that takes a second."""
    import diffusers.utils.logging
    import transformers.utils.logging

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()


def picture_size(pipeline: Any) -> int:
    """Side of the pictures that a pipeline draws, in pixels."""
    return int(pipeline.unet.config.sample_size * pipeline.vae_scale_factor)


def branch_kinds(pipeline: Any) -> frozenset[str]:
    """Kinds of branches that a pipeline has; "expression" only together with its image encoder.

    "face" is among them where the identity branch looks at the face's picture (FaceID Plus).
    """
    kinds = {branch.kind for branch in pipeline.adapters.values()}
    if getattr(pipeline, "controlnet", None) is not None:
        kinds.add("landmarks")
    if any(getattr(getattr(branch, "encoder", None), "looks", False) for branch in pipeline.adapters.values()):
        kinds.add("face")
    return frozenset(kinds - {"expression"} if pipeline.expression_encoder is None else kinds)


def draw(
    pipeline: Any,
    request: GenerateRequest,
    steering: Steering,
    seed: int,
    on_step: Callable[[int], Any] | None = None,
    **options: Any,
) -> Any:
    """One picture (PIL) for one seed; ``options``: further arguments of the pipeline."""

    def told(_pipeline: Any, step: int, _timestep: Any, values: dict[str, Any]) -> dict[str, Any]:
        if on_step:
            on_step(step)
        return values

    return draw_requested(pipeline, request, [steering], [seed], callback_on_step_end=told, **options)[0]


def draw_requested(
    pipeline: Any, request: GenerateRequest, rows: Sequence[Steering], seeds: Sequence[int], **options: Any
) -> list[Any]:
    """`mien.steering.draw_rows` with the scheduler, steps, speed, scales and guidance of a request."""
    from mien.pipelines.schedulers import sampling_with

    with sampling_with(pipeline, request.scheduler):
        return draw_rows(
            pipeline,
            rows,
            seeds,
            scales=dict(request.scales),
            guidance=dict(request.guidance),
            guidance_rescale=request.guidance_rescale,
            num_inference_steps=request.steps,
            speed=request.speed,
            **options,
        )


def hashes(pipeline: Any, tools: Tools) -> dict[str, str]:
    """sha256 of the weights that a picture depends on, by file, and of their configurations, by folder."""
    from mien.provenance.fingerprint import model_hashes

    return model_hashes(pipeline.folder, {**pipeline.parts, **tools.files})


def record_maker(
    request: GenerateRequest,
    pipeline: Any,
    tools: Tools,
    further: Mapping[str, Path] | None = None,
    told: Mapping[str, Any] | None = None,
) -> Callable[[int], Record]:
    """A function that gives the record of picture i; hashing is done once.

    Args:
        request: what is drawn.
        pipeline: by what.
        tools: its readers.
        further: input files by role besides the request's.
        told: settings besides the request's.
    """
    from mien.provenance.fingerprint import environment

    inputs = {role: sha256_of(path) for role, path in {**request.inputs, **(further or {})}.items()}
    models = hashes(pipeline, tools)
    # "auto" is resolved, so that a repeat elsewhere does not read the face with another reader
    settings = request.settings() | {"reader": tools.reader_name} | dict(told or {})
    around = environment(str(pipeline.device))

    def record(index: int) -> Record:
        return Record(
            mien=__version__, settings=settings, index=index, inputs=inputs, models=models, environment=around
        )

    return record
