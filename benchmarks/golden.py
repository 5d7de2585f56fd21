"""Golden pictures and golden losses: whether a change of the code changed a bit of what it computes.

    export MIEN_FACEKIT=KIT MIEN_ASSETS=FOLDER                          # the kit's file; MediaPipe's model
    python benchmarks/golden.py --src OLD/src -o before.json            # 13 minutes of one core
    python benchmarks/golden.py --src NEW/src -o after.json
    python benchmarks/golden.py --compare before.json after.json        # exit code 1 and a line for each difference

`--only pictures` and `--preset NAME` record a part, which is compared with the same part of a whole record.

mien is driven by its command line alone, so that modules may move. Pictures are held by their decoded pixels. Every
preset is trained for ten steps on a few rendered pictures: held are its settings, what it logs, and the bits of the
weights that come out, since logs are running means of five decimals. A stage goes on from the embedded weights, or from
ten steps of an earlier one where they have no such part. The pictures to train on are rendered once, by whichever code
comes first, into the folder of ``--data``. Only runs of one machine and one environment can be compared.
"""

from __future__ import annotations

from mien.core.openmp import wait_passively  # noqa: F401 # isort: skip - importing mien says it before torch loads

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from PIL import Image, ImageSequence
from safetensors import safe_open

from mien.core.io import write_json
from mien.core.log import read_lines

STEPS = 10
BATCH = 4
TRAINED = ("batch", BATCH), ("pictures", STEPS * BATCH), ("warmup", 2 * BATCH), ("log_every", 1)
"""Settings of every preset: rates that are reached at once, or ten steps would change no loss."""
SMALL = {"trajectories": 20, "steps": 2, "teacher": 4}
"""Options of few-step presets, whose teacher draws: one group of the fewest steps."""
SHIPPED = ("autoencoder", "identity", "text", "reader", "base", "landmarks", "emotion", "faceid", "expression-encoder")
"""Stages, less ``studio-``, whose parts are embedded: what goes on from them starts there."""
RENDERED = {
    "set": ("render", 6, 6, 20_000),
    "set/portraits": ("portraits", 6, 6, 20_000),
    "pairs": ("pairs", 6, 6, 5_000_000),
    "held-out": ("render", 6, 4, 900_000),
}
"""Folder -> command of ``mien studio``, people, pictures of each, first seed."""
DATA = Path(tempfile.gettempdir()) / "mien-golden"
MEASURED = ("seconds", "images_per_second", "memory_mb")
"""What a log says of the machine."""
LIMIT = 1800
"""Seconds a command may take."""


def requests(faces: Path, work: Path) -> dict[str, list[str]]:
    """Name -> what is asked of mien, without where it goes: every mode on the embedded model, in few steps.

    Args:
        faces: the example pictures.
        work: a folder for a film.
    """
    frames = work / "frames"
    frames.mkdir()
    for name in ("laugh", "wink"):
        shutil.copy(faces / f"template-{name}.png", frames)
    ada, bo, cleo, dara, eli = (f"{faces}/person-{name}.png" for name in ("Ada", "Bo", "Cleo", "Dara", "Eli"))
    laugh, kiss, wink, doubt, sorrow, surprise = (
        f"{faces}/template-{name}.png" for name in ("laugh", "kiss", "wink", "doubt", "sorrow", "surprise")
    )
    asked = {
        "identity": f"generate --identity {ada} --speed exact --steps 4",
        "identity, expression": f"generate --identity {bo} --expression {laugh} --seed 3 --steps 8",
        "expression": f"generate --expression {kiss} --reader studio --speed exact --steps 4 --seed 5",
        "words": "generate --prompt WORDS -n 2 --seed 7 --steps 8",
        "pose": f"generate --identity {cleo} --yaw 20 --pitch -8 --roll 5 --scheduler euler --steps 4",
        "emotion, blendshapes": f"generate --identity {dara} --emotion happy:0.6,surprise:0.3 --blendshape jawOpen=0.5 "
        "--blendshape mouthSmile=0.4 --prompt WORDS --guidance emotion=3 --steps 4",
        "few": f"generate --identity {eli} --expression {wink} --speed few --seed 11",
        "edit": f"generate --edit {ada} --expression {surprise} --strength 0.6 --steps 6",
        "mixed": f"generate --identity {ada}:0.7 --identity {bo}:0.3 --expression {doubt} --pose {sorrow} --raw "
        "--scale expression=1 --scale landmarks=0.8 --guidance text=2 --guidance identity=3 --rescale 0.4 "
        "--scheduler ddim --speed exact --no-provenance --steps 4",
        "sweep": f"sweep --identity {cleo} --yaw -25..25 --steps 2 --denoising-steps 4",
        "animate": f"animate --identity {dara} --driving {frames} --fps 2 --steps 4",
    }
    words = "a woman with long red hair and glasses, smiling"
    return {name: [words if word == "WORDS" else word for word in line.split()] for name, line in asked.items()}


class Mien:
    """The command line of one checkout.

    Args:
        src: its ``src``.
        cache: what takes the place of the user's cache folder.
    """

    def __init__(self, src: Path, cache: Path) -> None:
        self.src, self.cache = src, cache
        self.env = os.environ | {
            "PYTHONPATH": str(src), "MIEN_CACHE": str(cache), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE",
            "HF_HUB_OFFLINE": "1", "COLUMNS": "120",
        }  # fmt: skip

    def python(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the interpreter on this checkout."""
        command = [sys.executable, *words]
        return subprocess.run(command, env=self.env, cwd=self.cache, capture_output=True, text=True, timeout=LIMIT)

    def __call__(self, *words: str | Path) -> str:
        """Run a command; what it said if it failed, without names of folders, else nothing."""
        try:
            done = self.python("-m", "mien", *map(str, words))
        except subprocess.TimeoutExpired:
            return f"took more than {LIMIT} s"
        if done.returncode == 0:
            return ""
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return said[-1].replace(str(self.src), "SRC").replace(str(self.cache.parent), "WORK")

    def presets(self) -> dict[str, dict[str, Any]]:
        """Name -> settings of every preset, in an order in which each comes after what it needs.

        The one way to have the names from the command line is to ask for a preset that is none.
        """
        listed = self.python("-m", "mien", "train", "?", "--dry-run").stderr
        names = listed.partition("choose one of:")[2].strip().rstrip(".").replace(",", " ").split()
        if not names:
            raise SystemExit(f"mien train no longer lists its presets: {listed.strip()[-300:]}")
        dry = ((name, self.python("-m", "mien", "train", name, "--dry-run")) for name in names)
        return {name: json.loads(done.stdout) for name, done in dry}


def checked(src: Path, cache: Path) -> Mien:
    """The command line of a checkout, after a look at whether it is this checkout that is run, and has MediaPipe."""
    cache.mkdir(parents=True, exist_ok=True)
    mien = Mien(src, cache)
    if not Path(mien.env.get("MIEN_ASSETS", ""), "face_landmarker.task").is_file():
        raise SystemExit("Set MIEN_ASSETS to the folder of face_landmarker.task: without, faces are read otherwise.")
    file = mien.python("-c", "import mien; print(mien.__file__)").stdout.strip()
    if not file or not Path(file).resolve().is_relative_to(src):
        raise SystemExit(f"--src {src} holds no package mien; what is imported is {file or 'nothing'}.")
    return mien


def pixels_digest(path: Path) -> str:
    """sha256 of what a picture or film shows: size, mode and pixels of each frame."""
    digest = hashlib.sha256()
    with Image.open(path) as image:
        for frame in ImageSequence.Iterator(image):
            shown = frame.convert("RGB") if frame.mode == "P" else frame
            digest.update(f"{shown.mode} {shown.size}".encode() + shown.tobytes())
    return digest.hexdigest()


def tensors_digest(path: Path) -> str:
    """sha256 of the tensors of a safetensors file by name, type, shape and bits; its metadata is not looked at."""
    digest = hashlib.sha256()
    with safe_open(path, framework="pt") as stored:
        for name in sorted(stored.keys()):
            value = stored.get_tensor(name).contiguous()
            digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
            digest.update(value.flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def data_digests(data: Path) -> dict[str, str]:
    """Shard -> sha256."""
    shards = sorted(data.glob("**/shard-*.tar"))
    return {path.relative_to(data).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in shards}


def render(mien: Mien, data: Path) -> None:
    """Render what is not there yet of the pictures to train on."""
    for name, (command, people, each, seed) in RENDERED.items():
        done = data / f"{name.replace('/', '-')}.done"
        if done.exists():
            continue
        sizes = ("--people", people, "--per-person", each, "--first-seed", seed, "--size", 128, "--workers", 1)
        if error := mien("studio", command, "-o", data / name, *map(str, sizes)):
            raise SystemExit(f"mien studio {command}: {error}")
        done.touch()


def golden_picture(mien: Mien, words: list[str], folder: Path) -> dict[str, Any]:
    """File -> digest of its pixels, of all that a request draws."""
    film = words[0] == "animate"
    folder.mkdir(parents=True)
    if error := mien(*words, "-o", folder / "film.gif" if film else folder):
        return {"not run": error}
    files = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".gif"))
    return {path.name: pixels_digest(path) for path in files} or {"not run": "it wrote no picture"}


def golden_loss(mien: Mien, config: dict[str, Any], data: Path, runs: Path) -> dict[str, Any]:
    """What ten steps of a preset log, and the weights that they leave.

    Args:
        mien: the command line.
        config: the preset.
        data: rendered pictures; what this checkout derives from them is kept beside them.
        runs: a folder for each preset, with its run and links to the runs that it needs.
    """
    name, options = config["name"], config["options"]
    place = runs / name
    place.mkdir(parents=True)
    for needed in _needed(config):
        if needed.removeprefix("studio-") not in SHIPPED and (runs / needed / needed / "export").is_dir():
            (place / needed).symlink_to(runs / needed / needed)
    settings = dict(TRAINED)
    if "trajectories" in options:
        settings["options"] = options | SMALL
    changed = [word for key, value in settings.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    pictures = data / ("pairs" if options.get("templates") else "set")
    told = ("--data", pictures, "--held-out", data / "held-out", "--runs", place, *changed, "--quiet")
    if error := mien("train", name, *told):
        return {"not run": error}
    return run_digests(place / name)


def run_digests(run: Path) -> dict[str, Any]:
    """What a run logged, less the time it took, and the digests of its weights; its checkpoint is removed."""
    lines = read_lines(run / "log.jsonl")
    checkpoint, export = run / "checkpoint.safetensors", run / "export"
    found = {
        "log": [{key: value for key, value in line.items() if key not in MEASURED} for line in lines],
        "checkpoint": tensors_digest(checkpoint),
        "export": {
            path.relative_to(export).as_posix(): tensors_digest(path)
            for path in sorted(export.glob("**/*.safetensors"))
        },
    }
    checkpoint.unlink()  # the base's takes 300 MB
    return found


def twin(config: dict[str, Any], others: dict[str, dict[str, Any]]) -> str | None:
    """Why a preset need not be trained: one of ``others`` differs from it in nothing but the name, or the seed."""
    same = config.keys() - {"name", "seed"}
    name = next((name for name, other in others.items() if all(other[key] == config[key] for key in same)), None)
    if name is None:
        return None
    return f"{name} with another {'name' if others[name]['seed'] == config['seed'] else 'seed'}"


def pictures_of(mien: Mien, work: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each request and its golden picture."""
    faces = next(mien.src.rglob("examples/person-Ada.png")).parent
    for name, words in requests(faces, work).items():
        yield name, golden_picture(mien, words, work / "pictures" / name.replace(", ", "-"))


def _needed(settings: dict[str, Any]) -> list[str]:
    """What a preset goes on from, under the name that the setting has now or had in 0.1.0."""
    return settings.get("depends_on", settings.get("needs", []))


def with_needed(names: list[str], presets: dict[str, dict[str, Any]]) -> set[str]:
    """These presets and all that they go on from."""
    found, ahead = set(), set(names)
    while ahead:
        found |= ahead
        needs = {needed for name in ahead for needed in _needed(presets[name])}
        ahead = {name for name in needs if name.removeprefix("studio-") not in SHIPPED} - found
    return found


def losses_of(mien: Mien, work: Path, data: Path, names: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each preset, or those with these names and what they need, its settings and its golden losses."""
    for name in ("set", "pairs", "held-out"):  # what is derived from pictures is kept beside them, and must be new
        for file in (data / name).rglob("shard-*.tar"):
            copy = work / "data" / file.relative_to(data)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)
    seen: dict[str, dict[str, Any]] = {}
    presets = mien.presets()
    if unknown := set(names) - presets.keys():
        raise SystemExit(f"There is no preset {', '.join(unknown)}.")
    wanted = with_needed(names or list(presets), presets)
    needed = {name for config in presets.values() for name in _needed(config)}
    for name, config in presets.items():
        if name not in wanted:
            continue
        settings = config | {"objective": config["objective"].rpartition(":")[2]}  # its module may move
        if name not in needed and (same := twin(config, seen)):
            yield name, {"settings": settings, "not run": same}
            continue
        seen[name] = config
        yield name, {"settings": settings} | golden_loss(mien, config, work / "data", work / "runs")


def leaves(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """(place, value as JSON) of everything in a report; NaN is a value like others."""
    if isinstance(value, dict | list) and value:
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(part, f"{where} / {key}" if where else str(key))
    else:
        yield where, json.dumps(value)


def recorded(report: dict[str, Any]) -> dict[str, Any]:
    """A report without what is said about it."""
    return {key: part for key, part in report.items() if key != "about"}


def shared(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    """Of one report the pictures and presets that the other has too."""
    parts = {key: part for key, part in one.items() if key in two}
    return {key: {name: value for name, value in part.items() if name in two[key]} for key, part in parts.items()}


def differences(one: dict[str, Any], two: dict[str, Any]) -> list[str]:
    """A line for each place where two reports are not the same; what is said about them is left out."""
    before, after = (dict(leaves(recorded(report))) for report in (one, two))
    places = list(before | after)
    pairs = [(place, before.get(place, "nothing"), after.get(place, "nothing")) for place in places]
    return [f"{place}: {a} -> {b}" for place, a, b in pairs if a != b]


def compare(one: Path, two: Path) -> None:
    """Print the differences, and leave with 1 if there are any; of a part of a record, only that part is compared."""
    before, after = (json.loads(path.read_text(encoding="utf-8")) for path in (one, two))
    if before["about"]["part"] or after["about"]["part"]:
        before, after = shared(before, after), shared(after, before)
    found = differences(before, after)
    for line in found:
        typer.echo(line)
    if not found:
        typer.echo(f"Equal: {', '.join(f'{len(part)} {key}' for key, part in recorded(after).items())}.")
    raise typer.Exit(1 if found else 0)


def timed(title: str, found: Iterator[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """All of it, with a line for each on the error stream."""
    kept, start = {}, time.monotonic()
    for name, values in found:
        kept[name] = values
        now = time.monotonic()
        typer.echo(f"{title} {name}: {values.get('not run', 'done')}, {now - start:.1f} s", err=True)
        start = now
    return kept


def about(src: Path, part: bool) -> dict[str, Any]:
    """Where a report is from, and whether it is a part of one."""
    git = ["git", "-C", str(src), "rev-parse", "HEAD"]
    return {
        "part": part, "src": str(src), "commit": subprocess.run(git, capture_output=True, text=True).stdout.strip(),
        "python": platform.python_version(), "processor": platform.processor() or platform.machine(),
        **{name: version(name) for name in ("torch", "diffusers", "transformers", "numpy", "pillow")},
    }  # fmt: skip


def main(
    src: Annotated[Path | None, typer.Option(help="The folder src of a checkout.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The report, a JSON file.")] = None,
    data: Annotated[Path, typer.Option(help="Where pictures to train on are rendered once.")] = DATA,
    only: Annotated[str | None, typer.Option(help="pictures or losses.")] = None,
    preset: Annotated[list[str] | None, typer.Option(help="These presets and what they need, not all; repeat.")] = None,
    compared: Annotated[tuple[Path, Path] | None, typer.Option("--compare", metavar="A B", help="Two reports.")] = None,
) -> None:
    """Record a checkout, or compare two records."""
    if compared:
        compare(*compared)
    if src is None or output is None or only not in (None, "pictures", "losses"):
        raise typer.BadParameter("give --src and -o, perhaps --only pictures or losses; or --compare A B.")
    src, data, start = src.resolve(), data.resolve(), time.monotonic()
    report: dict[str, Any] = {"about": about(src, bool(only or preset))}
    with tempfile.TemporaryDirectory(prefix="golden-") as folder:
        work = Path(folder).resolve()
        mien = checked(src, work / "cache")
        if only != "losses":
            report["pictures"] = timed("picture", pictures_of(mien, work))
        if only != "pictures":
            render(checked(src, data / "cache"), data)
            report |= {"data": data_digests(data), "losses": timed("preset", losses_of(mien, work, data, preset or []))}
    report["about"]["seconds"] = round(time.monotonic() - start)
    write_json(output, report)
    done = {**report.get("pictures", {}), **report.get("losses", {})}
    for name, values in done.items():
        if "not run" in values:
            typer.echo(f"not run: {name}: {values['not run']}")
    typer.echo(f"{sum('not run' not in one for one in done.values())} of {len(done)} recorded in {output}.")


if __name__ == "__main__":
    typer.run(main)
