"""``mien toy``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mien.cli.say import say, say_file

app = typer.Typer(add_completion=False)


@app.command()
def toy(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where everything goes.")] = Path(
        "toy"
    ),
    rounds: Annotated[
        int, typer.Option(metavar="NUMBER", min=1, help="Rounds of training, with a look after each.")
    ] = 6,
    pictures: Annotated[int, typer.Option(metavar="NUMBER", min=1, help="Pictures that are seen in a round.")] = 600,
    people: Annotated[int, typer.Option(metavar="NUMBER", min=2, help="People who are drawn to learn from.")] = 32,
    per_person: Annotated[int, typer.Option(metavar="NUMBER", min=2, help="Pictures of each.")] = 8,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> None:
    """Watch a landmark branch learn from nothing: about three minutes on two cores, without a network.

    Writes toy.png and toy.json, anew after each round. The same command continues where it stopped.
    """
    from mien.bench.stamp import command_line, stamp
    from mien.cli.progress import bar
    from mien.core.progress import silent
    from mien.toy.run import Size, run

    def show_look(name: str, numbers: dict[str, Any]) -> None:
        error = numbers["pose_error"]
        seen = "no face found" if error is None else f"pose error {error:5.1f} degrees"
        say(f"{names.get(name, f'round {name}'):<18}{numbers['pictures']:>6} pictures   {seen}")

    names = {"shipped": "shipped branch", "0": "without a branch"}
    size = Size(people=people, per_person=per_person, rounds=rounds, pictures=pictures)
    shown, made_by = silent if quiet else bar, stamp(command_line())
    say_file(run(output, size, on_look=show_look, bar=shown, made_by=made_by))
