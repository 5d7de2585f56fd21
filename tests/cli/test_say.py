"""What commands print goes through one place, where foreign names are made harmless."""

from __future__ import annotations

import ast
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

import mien.cli
from mien.cli.main import main
from mien.cli.say import say, say_json, say_text
from mien.data.shards import encode_png
from tests.data.test_hostile_shards import add
from tests.synthetic import write_corpus

HOSTILE = "x\x1b]0;t\x07\n  all is sound\u202e"


def test_lines_stay_one_line_and_json_stays_json(capsys: pytest.CaptureFixture[str]) -> None:
    say(HOSTILE)
    say(HOSTILE, error=True)
    told = capsys.readouterr()
    assert told.out == told.err == "x\\u001b]0;t\\u0007\\u000a  all is sound\\u202e\n"
    say_text("one\ntwo\x7f")
    assert capsys.readouterr().out == "one\ntwo\\u007f\n"
    for ensure_ascii in (True, False):
        say_json({HOSTILE: "\x7f é"}, ensure_ascii)
        told = capsys.readouterr().out
        assert json.loads(told) == {HOSTILE: "\x7f é"}
        assert told.count("\n") == 3 and not {"\x1b", "\x07", "\x7f", "\u202e"} & set(told)


def test_commands_print_in_no_other_way() -> None:
    """`typer.echo`, `print` and the streams themselves are used in the one module that escapes."""
    for path in sorted(Path(mien.cli.__file__).parent.glob("*.py")):
        if path.name == "say.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert not called.endswith(("echo", "stdout.write", "stderr.write")), f"{path.name}:{node.lineno}"
                assert called != "print", f"{path.name}:{node.lineno}"


def test_a_foreign_dataset_cannot_print_a_line_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_corpus(tmp_path, 1, 2, size=32)
    with tarfile.open(tmp_path / "shard-00001.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        add(archive, f"{HOSTILE}.png", encode_png(np.zeros((32, 32, 3), np.uint8)))
        add(archive, f"{HOSTILE}.json", b'{"person": "nobody"}')
    assert main(["data", "check", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "all is sound" in told  # the name is told of ...
    assert "\n  all is sound" not in told and not {"\x1b", "\x07", "\u202e"} & set(told)  # ... and does nothing
