"""``mien generate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mien.cli.grouped import PortraitCommand
from mien.cli.options import (
    FILES,
    HOW,
    Adapters,
    Base,
    Device,
    ImageEncoder,
    Loras,
    NoProvenance,
    Offload,
    Precision,
    Raw,
    Reader,
    Speed,
    Tiling,
)
from mien.cli.say import say, say_error, say_file

app = typer.Typer(add_completion=False)

WHO, LOOK, WORDS = "Who", "Expression, pose, feeling", "Words"
KEEP_WITH_LIKE = {
    "like", "identity", "expression", "mouth", "eyes", "brows", "pose", "edit", "base", "output", "form", "adapter",
    "lora", "image_encoder", "device", "offload",
}  # fmt: skip
PLAIN_READERS = ("auto", "mediapipe-torch", "mediapipe", "studio")
"""Readers that need neither peft nor scipy."""


@app.command(cls=PortraitCommand)
def generate(
    context: typer.Context,
    identity: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PHOTO[:WEIGHT]",
            help="Picture of the person to draw; repeat for more pictures of them, or to mix people.",
            rich_help_panel=WHO,
        ),
    ] = None,
    edit: Annotated[
        Path | None,
        typer.Option(
            metavar="PHOTO", help="Change the face of this portrait, and leave the rest as it is.", rich_help_panel=WHO
        ),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(metavar="0..1", help="With --edit: how much of the face is given up.", rich_help_panel=WHO),
    ] = None,
    expression: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PHOTO[:WEIGHT]",
            help="Picture of any face whose expression is wanted; repeat to blend several.",
            rich_help_panel=LOOK,
        ),
    ] = None,
    expression_strength: Annotated[
        float,
        typer.Option(metavar="0..2", help="0 is a face at rest, 1 as read, more exaggerates it.", rich_help_panel=LOOK),
    ] = 1.0,
    mouth: Annotated[
        Path | None,
        typer.Option(metavar="PHOTO", help="Mouth, jaw and cheeks from this picture instead.", rich_help_panel=LOOK),
    ] = None,
    eyes: Annotated[
        Path | None,
        typer.Option(metavar="PHOTO", help="Lids and gaze from this picture instead.", rich_help_panel=LOOK),
    ] = None,
    brows: Annotated[
        Path | None, typer.Option(metavar="PHOTO", help="Brows from this picture instead.", rich_help_panel=LOOK)
    ] = None,
    pose: Annotated[
        Path | None, typer.Option(metavar="PHOTO", help="Picture whose head pose is wanted.", rich_help_panel=LOOK)
    ] = None,
    yaw: Annotated[
        float | None,
        typer.Option(
            metavar="DEGREES", help="Head turned to the subject's left (+) or right (-).", rich_help_panel=LOOK
        ),
    ] = None,
    pitch: Annotated[
        float | None, typer.Option(metavar="DEGREES", help="Head looking up (+) or down (-).", rich_help_panel=LOOK)
    ] = None,
    roll: Annotated[
        float | None,
        typer.Option(metavar="DEGREES", help="Head tilted to the subject's left shoulder (+).", rich_help_panel=LOOK),
    ] = None,
    blendshape: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=0..1", help="Move one part of the face, e.g. jawOpen=0.6; repeat.", rich_help_panel=LOOK
        ),
    ] = None,
    emotion: Annotated[
        str | None,
        typer.Option(
            metavar="NAME:0..1", help="A feeling, e.g. happy:0.8 or happy:0.5,surprise:0.5.", rich_help_panel=LOOK
        ),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(help="What the words say; without it the identity picture is described.", rich_help_panel=WORDS),
    ] = None,
    describe: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS",
            help="Of the person, over what is read in the picture: 'short grey hair, no glasses'.",
            rich_help_panel=WORDS,
        ),
    ] = None,
    count: Annotated[int, typer.Option("-n", "--count", help="Number of pictures.", rich_help_panel=HOW)] = 1,
    seed: Annotated[
        int, typer.Option(help="Seed of the first picture; the next has the next.", rich_help_panel=HOW)
    ] = 0,
    steps: Annotated[
        int | None, typer.Option(help="Denoising steps; 25, except with --speed few.", rich_help_panel=HOW)
    ] = None,
    scale: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BRANCH=NUMBER",
            help="Strength of landmarks, expression, emotion or an identity branch, "
            "e.g. landmarks=1.0; 0 is off; repeat.",
            rich_help_panel=HOW,
        ),
    ] = None,
    guidance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DIAL=NUMBER",
            help="Guidance weight of text, identity, landmarks, expression or emotion; repeat.",
            rich_help_panel=HOW,
        ),
    ] = None,
    rescale: Annotated[
        float, typer.Option(metavar="0..1", help="Against over-saturation at high guidance.", rich_help_panel=HOW)
    ] = 0.0,
    scheduler: Annotated[
        str | None, typer.Option(metavar="NAME", help="dpm++ (default), ddpm, ddim, euler or lcm.", rich_help_panel=HOW)
    ] = None,
    speed: Speed = "fast",
    base: Base = "studio",
    reader: Reader = "auto",
    expression_by: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What takes the expression from its picture: landmarks, picture (the expression branch) or both; as "
            "the base has it if not given.",
            rich_help_panel=HOW,
        ),
    ] = None,
    retarget: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="How the identity gets the expression: difference, coefficients, or none (the paper's way: the other "
            "face's landmarks as they are).",
            rich_help_panel=HOW,
        ),
    ] = "difference",
    no_retarget: Annotated[
        bool, typer.Option("--no-retarget", help="The same as --retarget none.", rich_help_panel=HOW)
    ] = False,
    raw: Raw = False,
    adapter: Adapters = None,
    lora: Loras = None,
    image_encoder: ImageEncoder = None,
    precision: Precision = "auto",
    device: Device = "auto",
    offload: Offload = False,
    tiling: Tiling = False,
    like: Annotated[
        Path | None,
        typer.Option(
            metavar="PICTURE", help="Repeat this picture bit for bit, from the same inputs.", rich_help_panel=FILES
        ),
    ] = None,
    requests: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Draw every request of this .jsonl or .csv file (docs/cli.md); other options are for those that "
            "a line leaves out.",
            rich_help_panel=FILES,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="With --from: processes; one for each GPU if not given.", rich_help_panel=FILES),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --from: pictures drawn at once; 8 on a GPU, else 1, if not given.",
            rich_help_panel=FILES,
        ),
    ] = None,
    executor: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="With --from: local, or ray (a cluster).",
            rich_help_panel=FILES,
        ),
    ] = "local",
    part: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="With --from: only this part of N; then --finish.",
            rich_help_panel=FILES,
        ),
    ] = None,
    finish: Annotated[
        bool,
        typer.Option("--finish", help="With --from: put together what all parts have drawn.", rich_help_panel=FILES),
    ] = False,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="png, jpeg or webp, each with its record; else what -o says, else png.",
            rich_help_panel=FILES,
        ),
    ] = None,
    no_provenance: NoProvenance = False,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FOLDER|FILE",
            help="Where the pictures go, or what it is called.",
            rich_help_panel=FILES,
        ),
    ] = Path("out"),
) -> None:
    """Make portraits: this person, that expression, this pose.

    Example: mien generate --identity me.jpg --expression friend.jpg --yaw 20 -n 4 -o out
    """
    from mien.cli.words import numbers
    from mien.errors import BadInput

    if context.obj and base == "studio" and not lora and like is None and reader in PLAIN_READERS:
        from mien.core.optional import leave_out

        leave_out("peft", "scipy")
    from mien.generation.request import STRENGTH, GenerateRequest, input_fields, weighted_pictures
    from mien.pipelines.load_options import Loading, loras_of

    people, weights = weighted_pictures(identity or [], "identity")
    templates, template_weights = weighted_pictures(expression or [], "expression")
    parts = {"mouth": mouth, "eyes": eyes, "brows": brows}
    inputs = {**templates, **parts, "pose": pose, "edit": edit, **people}
    loading = Loading.checked(
        adapters=tuple(adapter or ()),
        image_encoder=image_encoder,
        loras=loras_of(lora or []),
        precision=precision,
        device=device,
        offload=offload,
        tiling=tiling,
    )
    if like is not None:
        for name in context.params:
            source = context.get_parameter_source(name)
            if name not in KEEP_WITH_LIKE and source is not None and source.name != "DEFAULT":
                option = "-n" if name == "count" else "--" + name.replace("_", "-")
                raise BadInput(f"--like repeats the recorded settings: leave out {option}, or leave out --like.")
        if weights or template_weights:
            raise BadInput("--like repeats the recorded weights: give the pictures without.")
        from mien.generation.repeat import repeat

        given = context.get_parameter_source("base")
        chosen = base if given is not None and given.name != "DEFAULT" else None
        _report(repeat(like, inputs, output, form=form, base=chosen, loading=loading))
        return
    asked = dict(
        **input_fields(inputs),
        weights=weights,
        expression_weights=template_weights,
        expression_strength=expression_strength,
        strength=STRENGTH if strength is None else strength,
        yaw=yaw,
        pitch=pitch,
        roll=roll,
        blendshapes=numbers(blendshape, "--blendshape"),
        emotion=emotion,
        prompt=prompt,
        describe=describe,
        count=count,
        seed=seed,
        steps=steps,
        scales=numbers(scale, "--scale"),
        guidance=numbers(guidance, "--guidance"),
        base=base,
        loading=loading,
        reader=reader,
        expression_by=expression_by,
        retarget="none" if no_retarget or raw else retarget,
        guidance_rescale=rescale,
        scheduler=scheduler,
        speed=speed,
        provenance=not no_provenance,
        output=output,
        format=form,
    )
    if requests is not None:
        _draw_many(requests, output, asked, part, executor=executor, workers=workers, batch=batch, finish=finish)
        return
    if part is not None or finish or workers or batch or executor != "local":
        raise BadInput(
            "--part, --finish, --workers, --batch and --executor share out a file of requests: give it with --from."
        )
    request = GenerateRequest.checked(**asked)
    from mien.media.pictures import check_pictures

    check_pictures(request.input_files)  # a mistyped path answers before torch is imported
    if people or edit:
        from mien.provenance.consent import remind_once

        remind_once(say_error)
    from mien.cli.progress import bar
    from mien.generation.generate import generate as draw

    total = None if request.steps_run is None else request.count * request.steps_run
    with bar(total, "drawing") as advance:
        files = draw(request, on_read=say_error, progress=lambda picture, step: advance(1))
    _report(files)


def _draw_many(requests: Path, output: Path, asked: dict[str, Any], part: str | None, **how: Any) -> None:
    from mien.cli.progress import bar
    from mien.core.stages.execute import parse_part
    from mien.generation.many import MANIFEST, generate_many
    from mien.provenance.consent import remind_once

    remind_once(say_error)
    counts = generate_many(requests, output, asked, part=parse_part(part), bar=bar, **how)
    rest = f"see {output / MANIFEST}" if counts.whole else "when all parts are done, the same command with --finish"
    say(f"{counts.pictures} pictures of {counts.requests} requests, {counts.failed} failed; {rest}")


def _report(files: list[Path]) -> None:
    """The files written, one a line, on the output stream, so that a script can use them."""
    for file in files:
        say_file(file)
