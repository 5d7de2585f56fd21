"""The command line as a user meets it: in a process of its own."""

import json
import os
import re
import resource
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COMMANDS = (
    "",
    "generate",
    "demo",
    "toy",
    "show",
    "read",
    "evaluate",
    "sweep",
    "animate",
    "pairs",
    "pairs build",
    "assets",
    "score",
    "study",
    "study add",
    "study serve",
    "study results",
    "model",
    "model info",
    "train",
    "studio",
    "studio render",
    "studio pairs",
    "studio portraits",
    "data",
    "data import",
    "data check",
    "data join",
    "data protocol",
    "model assemble",
    "facekit",
)
SNAPSHOTS = Path(__file__).parent / "help"


def mien(*words: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1"}
    environment.update(options.pop("env", {}))  # type: ignore[arg-type]
    command = [sys.executable, "-m", "mien", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, **options)  # type: ignore[call-overload]


def one_sentence(result: subprocess.CompletedProcess[str]) -> str:
    """The error: exit code 2, nothing on the output stream, one line on the error stream."""
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("mien: ")
    return line


@pytest.mark.parametrize("command", COMMANDS)
def test_help_answers_in_half_a_second(command: str) -> None:
    best = float("inf")
    for _ in range(3):
        # processor time, not the clock: another test may be running on this core
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        result = mien(*command.split(), "--help")
        elapsed, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        best = min(best, elapsed, spent)
        assert result.returncode == 0
        assert "Usage: mien" in result.stdout
    assert best < 0.5


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_heavy(command: str) -> None:
    script = (
        "import sys; from mien.cli.main import main\n"
        f"main({[*command.split(), '--help']!r})\n"
        "heavy = {'torch', 'numpy', 'diffusers', 'transformers', 'PIL', 'mediapipe'}\n"
        "print('LOADED', *sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert result.stdout.splitlines()[-1] == "LOADED"


@pytest.mark.parametrize("command", ("", "generate", "demo", "toy", "show", "read", "model info", "train"))
def test_help_says_what_it_said(command: str) -> None:
    """Snapshots of our own words; MIEN_UPDATE_SNAPSHOTS=1 writes them anew."""
    file = SNAPSHOTS / f"{command.replace(' ', '-') or 'mien'}.txt"
    # releases of typer write types and defaults each in their own way; names of options and our sentences stay
    words = re.sub(
        r"\s+", " ", re.sub(r"<\w+>|\[[^]]*\]|\{FILE\}|[A-Z.]{2,}", "", mien(*command.split(), "--help").stdout)
    )
    if os.environ.get("MIEN_UPDATE_SNAPSHOTS"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(words.strip() + "\n")
    assert words.strip() == file.read_text().strip()


def test_version_and_no_arguments() -> None:
    assert re.fullmatch(r"mien \d+\.\d+\.\d+\s*", mien("--version").stdout)
    nothing = mien()
    assert nothing.returncode == 0
    assert "generate" in nothing.stdout


def test_a_mistyped_word_is_one_sentence() -> None:
    assert "Did you mean 'generate'?" in one_sentence(mien("genrate"))
    assert "--identty" in one_sentence(mien("generate", "--identty", "x.png"))
    assert "--yaw" in one_sentence(mien("generate", "--yaw", "left"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "Nothing to draw"),
        (("--yaw", "95"), "yaw"),
        (("--yaw", "20", "-n", "0"), "count"),
        (("--yaw", "20", "--steps", "0"), "steps"),
        (("--yaw", "20", "--seed", "-1"), "seed"),
        (("--blendshape", "jawOpen"), "--blendshape as NAME=NUMBER"),
        (("--blendshape", "jawOpne=0.5"), "no blendshape called"),
        (("--blendshape", "jawOpen=1.5"), "jawOpen"),
        (("--emotion", "gleeful"), "no emotion called"),
        (("--emotion", "happy:2"), "happy"),
        (("--yaw", "20", "--scale", "landmark=1"), "landmark"),
        (("--yaw", "20", "--guidance", "text=much"), "--guidance as NAME=NUMBER"),
        (("--yaw", "20", "--reader", "me"), "reader"),
        (("--blendshape", "jawOpne=0.5"), "did you mean 'jawOpen'?"),
        (("--emotion", "hapy=0.8"), "did you mean 'happy'?"),
        (("--yaw", "20", "--base", "stduio"), "did you mean 'studio'?"),
        (("--yaw", "20", "--base", "./nowhere"), "There is no base './nowhere'"),
        (("--yaw", "20", "--base", "weights.safetensors"), "There is no base"),
        (("me.jpg",), "--identity me.jpg draws this person"),
        (("--yaw", "20", "my photo.heic"), "--identity 'my photo.heic'"),
        (("happy",), "'happy' follows no option"),
        (("--identity", "nobody.png"), "nobody.png"),
        (("--like", "nothing.png"), "nothing.png"),
    ],
)
def test_generate_refuses_in_one_sentence(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    assert told in one_sentence(mien("generate", *words, "-o", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-o", "out.bmp"), "must end with .png, .jpg or .webp"),
        (("-o", "out.webp", "--format", "png"), "out.webp is the name of a WEBP file, and png is asked for"),
        (("--format", "gif"), "'png', 'jpeg' or 'webp', not 'gif'"),
    ],
)
def test_a_format_without_a_record_is_refused(
    words: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert told in one_sentence(mien("generate", "--yaw", "20", *words))
    assert not list(tmp_path.iterdir())


def test_many_pictures_go_into_a_folder(tmp_path: Path) -> None:
    (tmp_path / "all.jsonl").write_text("{}")
    Image.new("RGB", (64, 64)).save(tmp_path / "me.png")
    sweep = ("sweep", "--identity", tmp_path / "me.png", "--yaw=-9..9")
    for words in (("generate", "--from", tmp_path / "all.jsonl"), sweep):
        assert f"-o {tmp_path / 'row'}." in one_sentence(mien(*words, "-o", tmp_path / "row.png"))


def test_a_folder_for_a_picture_names_a_picture_in_it(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "me.png")
    told = one_sentence(mien("generate", "--identity", tmp_path, "-o", tmp_path / "out"))
    assert "is a folder" in told and str(tmp_path / "me.png") in told


@pytest.fixture
def bad(tmp_path: Path) -> dict[str, Path]:
    """Files that are no usable picture."""
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    photo.save(tmp_path / "whole.jpg")
    files = {
        "truncated": (tmp_path / "whole.jpg").read_bytes()[:1000],
        "text": b"hello",
        "empty": b"",
        "bomb": b"BM"
        + bytes(8)
        + b"\x36\0\0\0\x28\0\0\0"
        + (20000).to_bytes(4, "little") * 2
        + b"\x01\0\x18"
        + bytes(25),
    }
    for name, content in files.items():
        (tmp_path / f"{name}.jpg").write_bytes(content)
    photo.crop((0, 0, 1, 1)).save(tmp_path / "one-pixel.png")
    return {path.stem: path for path in tmp_path.iterdir() if path.stem != "whole"} | {"folder": tmp_path}


@pytest.mark.parametrize("name", ["truncated", "text", "empty", "bomb", "one-pixel", "folder"])
@pytest.mark.parametrize("command", ["show", "read", "generate"])
def test_bad_pictures_are_one_sentence(name: str, command: str, bad: dict[str, Path], tmp_path: Path) -> None:
    words = (
        ("generate", "--identity", bad[name], "-o", tmp_path / "out") if command == "generate" else (command, bad[name])
    )
    assert bad[name].name in one_sentence(mien(*words))


def test_score_of_two_pictures_by_the_studios_own_reader(tmp_path: Path) -> None:
    examples = Path(__file__).resolve().parents[2] / "src/mien/assets/examples"
    one, other = examples / "person-Ada.png", examples / "person-Bo.png"
    words = ("score", "--reference", one, "--reader", "studio", "--generated")
    same = json.loads(mien(*words, one, "--json").stdout)["metrics"]
    different = json.loads(mien(*words, other, "--json").stdout)["metrics"]
    assert same["exp"]["value"] == 0 and same["lms"]["value"] == 0
    assert different["exp"]["value"] > 0.01 and different["lms"]["n"] == 1
    assert same["identity.studio"]["value"] > 0.999 > different["identity.studio"]["value"]
    lines = mien(*words, other).stdout
    assert "1 pair;" in lines and "needs 2 or more" in lines
    assert "not one of each" in one_sentence(mien("score", "--reference", one, "--generated", tmp_path))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("beauty", "--model", "a=lmk"), "no protocol 'beauty'"),
        (("control", "--model", "lmk"), "--model NAME=SPEC"),
        (("control", "--model", "a=lmk", "--model", "a=id-only"), "each name once"),
        (("control", "--model", "a=nothing.json"), "no spec nothing.json"),
        (("control", "--model", "a=lmk", "--sweep", "landmarks"), "--sweep BRANCH=NUMBER"),
        (("control", "--model", "a=lmk", "--people", "0"), "--people"),
        (("control", "--model", "a=lmk", "--target-count", "0"), "--target-count"),
        (("control", "--model", "a=lmk", "--pairs-per-person", "0"), "--pairs-per-person"),
        (("control", "--model", "a=lmk", "--targets", "there"), "both --identities and --targets"),
        (("diversity", "--model", "a=lmk", "--targets", "there"), "nothing but the identity"),
        (("fairness", "--model", "a=lmk", "--identities", "there"), "measured on studio people"),
        (("text", "--model", "a=lmk", "--sweep", "landmarks=1"), "measured on studio people"),
        (("control", "--model", "a=lmk", "--identities", "no", "--targets", "no"), "no folder no"),
        (("control", "--model", "a=lmk", "--identities", ".", "--targets", ".", "--development"), "--development is"),
        (("control", "--model", "a=controlnet", "--identities", ".", "--targets", "."), "mien train studio-controlnet"),
    ],
)
def test_evaluate_refuses_in_one_sentence(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    nowhere = {"MIEN_CACHE": str(tmp_path / "cache")}  # a comparison may have been trained on this machine
    assert told in one_sentence(mien("evaluate", *words, "-o", tmp_path / "report", env=nowhere))
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "Choose what to change"),
        (("--yaw", "0..5", "--pitch", "0..5"), "Choose what to change"),
        (("--yaw", "ten"), "FROM..TO"),
        (("--emotion-path", "happy..hungry"), "no emotion called 'hungry'"),
        (("--blendshape", "jawOpen=0..2"), "less than or equal to 1"),
    ],
)
def test_sweep_refuses_in_one_sentence(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    assert told in one_sentence(mien("sweep", "--prompt", "portrait", *words, "-o", tmp_path / "row"))
    assert not (tmp_path / "row").exists()


def test_a_study_is_made_served_and_counted(tmp_path: Path) -> None:
    import signal
    from urllib.request import urlopen

    examples = Path(__file__).resolve().parents[2] / "src/mien/assets/examples"
    for method in ("one", "other"):
        (tmp_path / method).mkdir()
        (tmp_path / method / "a.png").write_bytes((examples / "person-Ada.png").read_bytes())
    study = tmp_path / "study"
    words = ("--question", "Which?", "--option", f"one={tmp_path / 'one'}", "--option", f"other={tmp_path / 'other'}")
    assert "1 sets: Which?" in mien("study", "add", study, *words).stdout
    command = [sys.executable, "-m", "mien", "study", "serve", str(study), "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}

    def interruptible() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a suite run in the background hands down that it is ignored

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, preexec_fn=interruptible) as one:
        try:
            assert one.stdout is not None
            address = one.stdout.readline().strip()
            with urlopen(address) as answer:
                assert b"Which picture?" in answer.read()
            one.send_signal(signal.SIGINT)
            assert one.wait(20) == 130
        finally:
            one.kill()
    assert json.loads(mien("study", "results", study, "--json").stdout)["participants"] == 0
    assert "0 participants" in mien("study", "results", study).stdout
    assert "no study" in one_sentence(mien("study", "serve", tmp_path))


def test_show_speaks_and_writes_json(tmp_path: Path) -> None:
    from mien.provenance.png import write_picture
    from mien.provenance.record import Record

    record = Record(
        mien="0.1.0", settings={"seed": 4, "prompt": None}, index=2, inputs={"identity": "a" * 64},
        models={"unet.safetensors": "b" * 64}, environment={"torch": "2.6"},
    )  # fmt: skip
    y, x = np.mgrid[:128, :128]
    write_picture(tmp_path / "a.png", Image.fromarray(np.stack([x, y, x], -1).astype(np.uint8)), record)
    spoken = mien("show", tmp_path / "a.png").stdout
    assert "seed 6" in spoken
    assert "trainedAlgorithmicMedia" in spoken
    assert "belongs to the record" in spoken
    found = json.loads(mien("show", tmp_path / "a.png", "--json").stdout)
    assert set(found) == {"record", "digital_source_type", "mark", "mark_fits_record"}
    assert found["record"]["inputs"] == {"identity": "a" * 64}
    assert found["mark_fits_record"] is True


def test_show_of_a_film(tmp_path: Path) -> None:
    from mien.demo.examples import Examples
    from mien.provenance.png import write_picture
    from mien.provenance.record import Record
    from mien.provenance.video import write_video

    record = Record(mien="0.1.0", settings={"seed": 4, "animation": {}}, index=0, inputs={}, models={}, environment={})
    write_picture(tmp_path / "1.png", Image.open(Examples.load().people[0].path).convert("RGB"), record)
    Image.new("RGB", (256, 256)).save(tmp_path / "2.png")
    write_video(tmp_path / "film.webp", [tmp_path / "1.png", tmp_path / "2.png"], 10, record)
    spoken = mien("show", tmp_path / "film.webp").stdout
    assert "seed 4" in spoken and "trainedAlgorithmicMedia" in spoken
    assert "in the first frame, belongs to the record" in spoken
    assert json.loads(mien("show", tmp_path / "film.webp", "--json").stdout)["record"] == record.model_dump()


def test_show_of_a_foreign_picture(tmp_path: Path) -> None:
    Image.new("RGB", (100, 80), "teal").save(tmp_path / "a.jpg")
    assert "none found" in mien("show", tmp_path / "a.jpg").stdout
    found = json.loads(mien("show", tmp_path / "a.jpg", "--json").stdout)
    assert found == {"record": None, "digital_source_type": None, "mark": None, "mark_fits_record": None}


@pytest.mark.parametrize("base", ["studio", "sd15", "sdxl"])
def test_model_info_is_stable_json(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    from mien.cli.main import main

    assert main(["model", "info", "--base", base, "--json"]) == 0  # in this process: importing torch takes seconds
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"parameters"}
    assert set(found["parameters"]) == {"unet", "landmarks", "emotion", "expression", "identity", "controlnet"}
    assert all(isinstance(number, int) for number in found["parameters"].values())


def test_model_info_of_an_unknown_base(capsys: pytest.CaptureFixture[str]) -> None:
    from mien.cli.main import main

    assert main(["model", "info", "--base", "sd3"]) == 2
    assert "sd3" in capsys.readouterr().err


def test_train_refuses_what_it_does_not_know() -> None:
    assert "no-such-preset" in one_sentence(mien("train", "no-such-preset", "--dry-run"))
    assert "KEY=VALUE" in one_sentence(mien("train", "no-such-preset", "--set", "steps"))
    for option, value in (("--minutes", "-1"), ("--minutes", "nan"), ("--minutes", "inf"), ("--share", "nan")):
        assert option in one_sentence(mien("train", "studio-base", "--dry-run", option, value))


def test_a_place_that_cannot_be_written_is_said_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.cli.main import main  # in this process: importing torch takes seconds

    for loads in (
        "mien.pipelines.load.load_pipeline",
        "mien.generation.tools.FaceTools.load",
        "mien.evaluation.models.load_models",
    ):
        monkeypatch.setattr(loads, lambda *words: pytest.fail("models were loaded"))
    plain, broken = tmp_path / "plain", tmp_path / "broken.json"
    plain.write_text("mine")
    report = ("evaluate", "control", "--model", "a=lmk", "-o", tmp_path / "a")
    cases: list[tuple[tuple[str | Path, ...], str, str]] = [
        (("demo", "-o", plain), "", f"Cannot write to {plain}"),
        ((*report[:-1], plain), "", f"Cannot write to {plain}"),
        ((*report, "--pictures", plain), "", f"Cannot write to {plain}"),
        ((*report, "--claims", plain / "claims.json"), "", f"Cannot write to {plain}"),
        ((*report, "--claims", tmp_path), "", "is a folder"),
        ((*report, "--claims", broken), "[", f"{broken} is not a JSON file"),
        *(((*report, "--claims", broken), text, f"{broken} holds no claims") for text in ("{}", "[3]", '[{"a": 4}]')),
    ]
    for words, content, told in cases:
        broken.write_text(content)
        assert main([str(word) for word in words]) == 2
        assert told in capsys.readouterr().err
    assert plain.read_text() == "mine" and not (tmp_path / "a").exists()


def test_a_name_that_is_no_text_is_printed_byte_by_byte(tmp_path: Path) -> None:
    script = "import mien.generation.generate, sys; from pathlib import Path; from mien.cli.main import main\n"
    script += "mien.generation.generate.generate = lambda request, **_: [request.output / 'ü.png']\n"
    script += "sys.exit(main(['generate', '--prompt', 'a', '-o', sys.argv[1]]))"
    command = [sys.executable, "-c", script, b"o\xff"]
    for encoding, told in (("utf-8:strict", b"o\xff/\xc3\xbc.png\n"), ("latin1:strict", b"o\\udcff/\xfc.png\n")):
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        result = subprocess.run(command, capture_output=True, env=environment, timeout=60)
        assert (result.returncode, result.stdout, result.stderr) == (0, told, b"")


def test_interrupting_is_quiet(tmp_path: Path) -> None:
    script = "import mien.provenance.png as png\ndef stop(*_): raise KeyboardInterrupt\npng.examine = stop\n"
    script += "import sys; from mien.cli.main import main; sys.exit(main(['show', 'x.png']))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (130, "")


def test_a_full_disk_is_one_sentence() -> None:
    script = "import mien.provenance.png as png\ndef full(*_): raise OSError(28, 'No space left on device', 'a.png')\n"
    script += "png.examine = full\nimport sys; from mien.cli.main import main; sys.exit(main(['show', 'x.png']))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert "No space left on device" in one_sentence(result)


def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    command = f"{sys.executable} -m mien show {tmp_path / 'a.png'} | true"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert result.stderr == ""


@pytest.mark.skipif(os.name != "posix", reason="streams as on Unix")
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("fate", ["closed", "nobody reads", "full"])
def test_no_stream_is_needed(stream: str, fate: str, tmp_path: Path) -> None:
    """A traceback, or the exit code 1, and a note that could not be said ended the work."""
    command = [sys.executable, "-m", "mien", *(["--version"] if stream == "stdout" else ["show", "nothing.png"])]
    if fate == "closed":
        shell = f"exec {shlex.join(command)} {'>' if stream == 'stdout' else '2>'}&-"
        result = subprocess.run(["sh", "-c", shell], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    else:
        reading, writing = os.pipe() if fate == "nobody reads" else (-1, os.open("/dev/full", os.O_WRONLY))
        if reading >= 0:
            os.close(reading)
        streams: dict[str, int] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: writing}
        result = subprocess.run(command, cwd=tmp_path, **streams, text=True, timeout=60)  # type: ignore[call-overload]
        os.close(writing)
    if stream == "stderr":
        assert result.returncode == 2
    elif fate == "full":
        assert result.returncode == 2 and "No space left" in result.stderr
    else:
        assert result.returncode == 0 and not result.stderr
