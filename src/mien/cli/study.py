"""``mien study``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import Json
from mien.cli.say import say, say_json

app = typer.Typer(
    help="A user study: which method's pictures do people choose?", no_args_is_help=True, add_completion=False
)

Folder = Annotated[Path, typer.Argument(metavar="STUDY", help="Folder of the study.")]


@app.command()
def add(
    study: Folder,
    question: Annotated[str, typer.Option(help="What participants are asked.")],
    option: Annotated[list[str], typer.Option(metavar="NAME=FOLDER", help="A method and its pictures; repeat.")],
    shown: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Reference pictures, named alike.")] = None,
    sets: Annotated[int, typer.Option(min=1, help="Number of sets.")] = 30,
) -> None:
    """Add a question; pictures of the same name belong together, a folder of that name holds several."""
    from mien.cli.words import named
    from mien.evaluation.study.plan import add_question

    options = {name: Path(folder) for name, folder in named(option, "--option", "FOLDER").items()}
    count = add_question(study, question, options, shown, sets)
    say(f"{count} sets: {question}")


@app.command()
def serve(
    study: Folder,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for others to reach it.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
) -> None:
    """Serve the study until interrupted; the same command goes on with all votes."""
    from mien.evaluation.study.server import StudyServer

    with StudyServer(study, host, port) as server:
        say(server.address)
        server.serve_forever()


@app.command()
def results(study: Folder, as_json: Json = False) -> None:
    """Selection rates with 95 % intervals."""
    from mien.evaluation.study.plan import load_study
    from mien.evaluation.study.results import results as of
    from mien.evaluation.study.votes import Votes

    found = of(load_study(study), Votes(study).all())
    if as_json:
        say_json(found)
        return
    say(f"{found['participants']} participants, {found['finished']} finished")
    for question in found["questions"]:
        say()
        say(f"{question['text']}  ({question['votes']} votes; chance {question['chance']:.1%})")
        for method, one in question["methods"].items():
            span = "" if one["low"] is None else f"  ({one['low']:.1%} to {one['high']:.1%})"
            value = "-" if one["value"] is None else format(one["value"], ".1%")
            say(f"  {method:20} {value:>7}{span}")
