"""``mien app``."""

from __future__ import annotations

from typing import Annotated

import typer

from mien.cli.options import Base, Reader
from mien.cli.say import say, say_error

app = typer.Typer(add_completion=False)


@app.command(name="app")
def serve_app(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for others to reach it.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 7860,
    token: Annotated[
        str | None,
        typer.Option(metavar="WORDS", help="What a caller has to know; one is made up where others can reach it."),
    ] = None,
    no_token: Annotated[bool, typer.Option("--no-token", help="Let everybody in who can reach the address.")] = False,
    known_as: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST", help="A name by which it is reached through a proxy, as portraits.example.org; repeat."
        ),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    limit: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=NUMBER", help="Change a limit, e.g. rate=60 (docs/app.md); repeat."),
    ] = None,
    base: Base = "studio",
    reader: Reader = "auto",
) -> None:
    """Serve the web page, and the HTTP API behind it, until interrupted.

    Example: mien app --open
    """
    from mien.cli.words import numbers
    from mien.core.optional import require
    from mien.errors import BadInput
    from mien.faces.names import reader_names
    from mien.pipelines.base_names import check_base

    if token is not None and no_token:
        raise BadInput("Give --token or --no-token, not both.")
    if token == "":
        raise BadInput("An empty token is none: give --no-token to let everybody in.")
    check_base(base)
    reader_names(reader)
    for package in ("fastapi", "uvicorn"):
        require(package, extra="app")

    from mien.app.limits import Limits
    from mien.app.server import host_names, is_loopback, new_token, serve
    from mien.app.service import PortraitService
    from mien.provenance.consent import remind_once

    limits = Limits.parsed(numbers(limit, "--limit"), "--limit", BadInput)
    proxied = host_names(known_as or [])
    if token is None and not no_token and (proxied or not is_loopback(host)):
        token = new_token()

    def started(address: str) -> None:
        say(address)
        if open_page:
            typer.launch(address)

    remind_once(say_error)
    service = PortraitService(limits, base=base, reader=reader)
    serve(service, host, port, token=token, started=started, proxied=proxied)
