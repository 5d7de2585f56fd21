"""What two sets of weights draw of the same wishes: one column a wish, one row a model.

    mkdir before && git archive COMMIT src/mien/assets/studio | tar -x -C before
    python benchmarks/before_after.py before/src/mien/assets/studio src/mien/assets/studio

Writes ``docs/images/before-after.png``, or what ``-o`` says. Words, people, templates, landmark pictures and noise are
the same; faces are found and described by the second folder's reader, and each model is told who it is by its own
embedder. None of the pictures is chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from docs_parts import check_models
from exit_codes import exit_codes
from PIL import Image

from mien.demo.examples import Example, Examples
from mien.faces.observed import DetectedFace
from mien.generation.conditioning import PipelineInputs, build_inputs, open_inputs
from mien.generation.generate import draw
from mien.generation.request import GenerateRequest
from mien.generation.sweep import PAPER, mount
from mien.generation.tools import FaceTools
from mien.pipelines.load import branch_kinds, load_pipeline, picture_size
from mien.provenance.png import write_picture

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Case:
    """A column.

    Attributes:
        label: the wish in a word or two.
        request: the wish.
        person: whose picture is given, if one is.
        template: whose expression is wanted, if anybody's.
    """

    label: str
    request: GenerateRequest
    person: Example | None = None
    template: Example | None = None


def cases(**settings: Any) -> list[Case]:
    """Words alone, people under templates, poses, feelings.

    Args:
        settings: of every request, such as seed, steps, speed and reader.
    """
    examples = Examples.load()
    people, templates = ({one.name: one for one in group} for group in (examples.people, examples.templates))

    def case(label: str, person: str | None = None, template: str | None = None, **wish: Any) -> Case:
        who, shown = people.get(person or ""), templates.get(template or "")
        inputs = {"identity": who and who.path, "expression": shown and shown.path}
        return Case(label, GenerateRequest.checked(**inputs, **wish, **settings), who, shown)

    return [
        case("words", prompt="portrait of a smiling woman with long wavy ginger hair and round glasses"),
        case("words", prompt="photo of an elderly man with dark skin and a full white beard, looking left"),
        case("words", prompt="portrait of a young man with dark skin and a black afro, laughing, facing the camera"),
        case("laugh", "Ada", "laugh"),
        case("surprise", "Bo", "surprise"),
        case("anger", "Cleo", "anger"),
        case("wink", "Dara", "wink"),
        case("yaw +30", "Eli", yaw=30.0),
        case("pitch +16", "Ada", pitch=16.0),
        case("happy", "Bo", emotion="happy:1.0"),
        case("sad", "Dara", emotion="sad:1.0"),
    ]


def steerings(wishes: Sequence[Case], pipeline: Any, reader: FaceTools, own: FaceTools) -> list[PipelineInputs]:
    """What a model is given.

    Args:
        wishes: the cases.
        pipeline: the model.
        reader: finds and describes faces, the same for every model.
        own: tools of the model, which embed identities.
    """

    def embed(seen: DetectedFace) -> Any:
        # a face that was read with an embedding brings that of the reader's own weights
        plain = DetectedFace(seen.image, replace(seen.face, identity=None))
        return own.embed(plain)[0], reader.embed(seen)[1]

    tools = replace(reader, embed=embed)
    place = tools, picture_size(pipeline), branch_kinds(pipeline)
    return [build_inputs(one.request, open_inputs(one.request), *place) for one in wishes]


def drawn(folder: Path, wishes: Sequence[Case], reader: FaceTools) -> list[Image.Image]:
    """The pictures of one model."""
    pipeline, own = load_pipeline(str(folder)), FaceTools.load(str(folder), reader.reader_name)
    given = steerings(wishes, pipeline, reader, own)
    return [
        draw(pipeline, one.request, steering, one.request.seed) for one, steering in zip(wishes, given, strict=True)
    ]


def sheet(wishes: Sequence[Case], rows: Mapping[str, Sequence[Image.Image]]) -> Image.Image:
    """People and templates above, then a row a model."""
    first = next(iter(rows.values()))[0]
    images = [_shown(one.person, first.size) for one in wishes] + [_shown(one.template, first.size) for one in wishes]
    captions = [one.person.name if one.person else "" for one in wishes] + [one.label for one in wishes]
    for name, own in rows.items():
        images += own
        captions += [name] * len(own)
    return mount(images, captions, len(wishes))


def _shown(example: Example | None, size: tuple[int, int]) -> Image.Image:
    if example is None:
        return Image.new("RGB", size, PAPER)
    with Image.open(example.path) as picture:
        return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def main(
    before: Annotated[Path, typer.Argument(help="Folder of the old weights.")],
    after: Annotated[Path, typer.Argument(help="Folder of the new ones.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The sheet.")] = ROOT / "docs/images/before-after.png",
    reader: Annotated[str, typer.Option(help="Who finds the faces, as for mien generate.")] = "auto",
    speed: Annotated[str, typer.Option(help="exact, fast or few.")] = "exact",
    steps: Annotated[int | None, typer.Option(help="Denoising steps; 25 if not given.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all pictures.")] = 1,
) -> None:
    with exit_codes():
        check_models(before, after)
        wishes = cases(seed=seed, steps=steps, speed=speed, reader=reader)
        tools = FaceTools.load(str(after), reader)
        rows = {name: drawn(folder, wishes, tools) for name, folder in (("before", before), ("after", after))}
        write_picture(output, sheet(wishes, rows), None)


if __name__ == "__main__":
    typer.run(main)
