"""``mien assets``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli.options import Json
from mien.cli.say import say, say_json

if TYPE_CHECKING:
    from mien.assets.get import Got
    from mien.assets.registry import Asset

app = typer.Typer(add_completion=False, no_args_is_help=True)


class Licence(StrEnum):
    """What ``--licence`` takes."""

    permissive = "permissive"


Names = Annotated[list[str], typer.Argument(metavar="NAME", help="Names from mien assets list.")]
SomeNames = Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Names; all without any.")]
LicenceOption = Annotated[Licence | None, typer.Option(help="Only assets under a permissive licence.")]


@app.callback()
def assets() -> None:
    """Models of others, which are not in the package: what there is, under which licence, and fetching it."""


@app.command("list")
def list_assets(licence: LicenceOption = None, as_json: Json = False) -> None:
    """What can be fetched, and what is here."""
    from mien.assets import registry

    chosen = [one for one in registry.assets().values() if one.permissive or licence is None]
    if as_json:
        say_json([describe(one) for one in chosen])
        return
    say(f"{'name':<35}{'for':<23}{'size':>8}  {'here':<6}{'permissive':<12}licence")
    for one in chosen:
        found = describe(one)
        size, here = "" if one.bytes is None else _size(one.bytes), "yes" if found["path"] else ""
        permissive = "yes" if one.permissive else ""
        say(f"{one.name:<35}{one.kind:<23}{size:>8}  {here:<6}{permissive:<12}{one.licence}")


@app.command()
def get(
    names: Names,
    to: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder for use as MIEN_ASSETS; else the cache.")
    ] = None,
    licence: LicenceOption = None,
) -> None:
    """Fetch assets and check them. The same command goes on where it was interrupted."""
    import logging

    from mien.assets.get import check_licences
    from mien.assets.get import get as fetch
    from mien.assets.registry import asset
    from mien.cli.progress import byte_bar

    wanted = [asset(name) for name in names]  # a mistyped name should answer before the first gigabyte
    if licence is not None:
        check_licences(names)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    for one in wanted:
        if not one.permissive:
            _note(f"{one.name} is under: {one.licence}. {one.commercial or ''}")
        _tell(fetch(one.name, to=to, watch=byte_bar))


@app.command()
def verify(names: SomeNames = None) -> None:
    """Compute the hashes of what is here anew. Exit code 2 if a file has changed."""
    from mien.assets.checks import verify as check
    from mien.assets.problems import ChangedFile
    from mien.assets.registry import asset
    from mien.assets.registry import assets as all_assets

    changed = []
    for one in [asset(name) for name in names or all_assets()]:
        verdicts = check(one)
        if all(verdict.state == "not there" for verdict in verdicts):
            say(f"{'not there':<16}{one.name}")
            continue
        for verdict in verdicts:
            why = f": {verdict.why}" if verdict.why else ""
            say(f"{verdict.state:<16}{one.name}  {verdict.path or verdict.file}{why}")
        if any(verdict.state == "changed" for verdict in verdicts):
            changed.append(one.name)
    if changed:
        raise ChangedFile(f"Files have changed; to fetch them again:  mien assets get {' '.join(changed)}")


@app.command()
def where(names: SomeNames = None) -> None:
    """Print where assets are."""
    from mien.assets import find_asset
    from mien.assets.registry import assets as all_assets

    for name in names or all_assets():
        say(f"{name:<35}{find_asset(name) or 'not here'}")


def describe(one: Asset) -> dict[str, Any]:
    """An asset as JSON values, with the place where it is, or null."""
    from mien.assets import find_asset

    path = find_asset(one.name)
    entry = one.model_dump(mode="json")
    return {**entry, "bytes": one.bytes, "path": None if path is None else str(path)}


def _tell(got: Got) -> None:
    from mien.assets.checks import lock_file

    if got.trusted:
        files = got.trusted[0] if len(got.trusted) == 1 else f"{len(got.trusted)} files"
        _note(
            f"no hash of {files} of {got.asset.name} is known beforehand: what is here now is trusted, its hash is "
            f"written to {lock_file(got.asset.name)}, and every later file is held against it."
        )
    say(f"{got.asset.name}: {got.path}" + ("" if got.fetched else "  (was here)"))


def _note(text: str) -> None:
    say(f"mien: note: {text.strip()}", error=True)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
