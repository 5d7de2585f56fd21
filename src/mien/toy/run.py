"""``run``: pictures, then training in rounds, and after each round a look at what the branch does by now.

Training is ``mien train studio-pretrained-landmarks``, FaceCrafter's first stage, given again and again with a larger
budget: each round continues the last one's checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien import __version__
from mien.core.io import claim, read_json, write_json
from mien.core.progress import Bar, silent
from mien.generation.sweep import mount
from mien.media.pictures import open_picture
from mien.provenance.png import write_picture
from mien.provenance.record import Record
from mien.toy.sheet import Column, sheet
from mien.toy.watch import SEED, WISHES, Watch

if TYPE_CHECKING:
    from PIL import Image

PRESET = "studio-pretrained-landmarks"
LEARNT = Path(PRESET) / "export" / "adapters" / "landmarks.safetensors"


@dataclass(frozen=True)
class Size:
    """How much is done; the default takes about three minutes on two cores.

    Attributes:
        people: who are drawn to learn from.
        per_person: pictures of each.
        rounds: of training, with a look after each.
        pictures: of a round.
        batch: of a training step.
        lr: learning rate.
        steps: denoising steps of a look; None is the usual number.
    """

    people: int = 32
    per_person: int = 8
    rounds: int = 6
    pictures: int = 600
    batch: int = 8
    lr: float = 3e-3
    steps: int | None = None

    def overrides(self, number: int) -> dict[str, Any]:
        """Settings of the preset for rounds 1 to ``number``: its rate does not fall, so that rounds can be added."""
        return {
            "pictures": number * self.pictures, "batch": self.batch, "lr": self.lr, "lr_decay_fraction": 0.0,
            "warmup_images": 20 * self.batch, "log_every": 10,
        }  # fmt: skip


def run(
    output: Path,
    size: Size | None = None,
    *,
    on_look: Callable[[str, dict[str, Any]], Any] = lambda name, numbers: None,
    bar: Bar = silent,
    made_by: Mapping[str, Any] | None = None,
) -> Path:
    """Draw, train and watch; the same call, or one with more rounds, continues an interrupted one.

    Args:
        output: folder for ``toy.png``, ``toy.json``, ``looks/``, ``data/`` and ``runs/``.
        size: how much of each.
        on_look: called after each look with its name and numbers.
        bar: makes progress bars of (total, label).
        made_by: what ``toy.json`` says of the command, the machine and the weights.

    Returns:
        The picture.

    Raises:
        ConfigError: if the folder holds a toy of another size.
    """
    from mien.generation.tools import FaceTools
    from mien.pipelines.load import add_adapters, load_pipeline
    from mien.toy.data import draw_dataset
    from mien.training.run import train
    from mien.training.state import counters_of

    size = size or Size()
    fixed = {name: value for name, value in asdict(size).items() if name != "rounds"}
    claim(output / "size.json", fixed, "a toy of another size")
    tools, pipeline = FaceTools.load("studio", "studio"), load_pipeline("studio")
    report = Report(output, Watch(tools, pipeline, size.steps), asdict(size), on_look, made_by)
    report.look("shipped", 0, 0.0)
    with bar(size.people * size.per_person, "drawing what to learn from") as advance:
        draw_dataset(output / "data", size.people, size.per_person, pipeline, tools, advance)
    report.look("0", 0, 0.0, without=True)
    for number in range(1, size.rounds + 1):
        if not report.has(str(number)):
            train(PRESET, data=output / "data", runs=output / "runs", overrides=size.overrides(number), bar=bar)
            add_adapters(pipeline, (str(output / "runs" / LEARNT),))
        spent = (counters_of(output / "runs" / PRESET) or {}).get("seconds", 0.0)
        report.look(str(number), number * size.pictures, spent)
    return report.write()


@dataclass(eq=False)
class Report:
    """The looks so far, on disk and as one picture.

    Attributes:
        output: where they lie.
        watch: who looks.
        settings: what the report says of the run.
        on_look: called with each.
        made_by: what ``toy.json`` says of the command, the machine and the weights.
        looks: by name, in their order.
    """

    output: Path
    watch: Watch
    settings: dict[str, Any]
    on_look: Callable[[str, dict[str, Any]], Any]
    made_by: Mapping[str, Any] | None = None
    looks: dict[str, tuple[dict[str, Any], list[Image.Image]]] = field(default_factory=dict)
    _base: Record = field(init=False)

    def __post_init__(self) -> None:
        self._base = self._record()  # the whole picture's, before a branch takes the shipped one's place

    def _file(self, name: str) -> Path:
        return self.output / "looks" / f"{name}.json"

    def has(self, name: str) -> bool:
        """Whether this look was taken, now or before an interruption."""
        return self._file(name).exists()

    def look(self, name: str, pictures: int, seconds: float, **options: Any) -> None:
        """Take a look, or read what was seen, and bring the picture up to date.

        Args:
            name: of the look.
            pictures: that the branch has seen.
            seconds: of training until then.
            options: of :meth:`Watch.look`.
        """
        tiles = [self.output / "looks" / f"{name}-{row + 1}.png" for row in range(len(WISHES))]
        if not self.has(name):
            seen = self.watch.look(**options)
            record = self._record()
            for tile, image in zip(tiles, seen.images, strict=True):
                write_picture(tile, image, record)
            rows = [*self.watch.wanted, *seen.images]
            captions = [label for label, _ in WISHES] + [""] * len(WISHES)
            write_picture(self.output / "looks" / f"{name}.png", mount(rows, captions, len(WISHES)), record)
            numbers = {"pictures": pictures, "seconds": round(seconds, 1), **seen.numbers()}
            write_json(self._file(name), numbers)  # last: a look that has its numbers has everything
        images = [open_picture(tile) for tile in tiles]
        self.looks[name] = read_json(self._file(name)), images
        self.write()
        self.on_look(name, self.looks[name][0])

    def write(self) -> Path:
        """``toy.png`` and ``toy.json`` of the looks so far; the picture's path."""
        columns = {
            name: Column(_title(name, numbers), images, numbers["pose_error"])
            for name, (numbers, images) in self.looks.items()
        }
        shipped = columns.pop("shipped", None)
        picture = sheet(self.watch.wanted, [label for label, _ in WISHES], list(columns.values()), shipped)
        write_picture(self.output / "toy.png", picture, self._base)
        numbers = {name: numbers for name, (numbers, _) in self.looks.items()}
        report = {"mien": __version__, "size": self.settings, "looks": numbers}
        made_by = {} if self.made_by is None else {"made_by": dict(self.made_by)}
        write_json(self.output / "toy.json", report | made_by)
        return self.output / "toy.png"

    def _record(self) -> Record:
        from mien.generation.records import hashes
        from mien.provenance.fingerprint import environment

        return Record(
            mien=__version__,
            settings={"toy": self.settings, "seed": SEED},
            index=0,
            inputs={},
            models=hashes(self.watch.pipeline, self.watch.tools),
            environment=environment(str(self.watch.pipeline.device)),
        )


def _title(name: str, numbers: dict[str, Any]) -> str:
    if name == "shipped":
        return "shipped"
    return f"{numbers['pictures']:,}" if numbers["pictures"] else "without"
