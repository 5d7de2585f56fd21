"""``mien sign``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mien.cli.say import say_file

app = typer.Typer(add_completion=False)


class Algorithm(StrEnum):
    """Of the key."""

    ES256, ES384, ES512 = "es256", "es384", "es512"
    PS256, PS384, PS512 = "ps256", "ps384", "ps512"
    ED25519 = "ed25519"


@app.command()
def sign(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A PNG, JPEG or WebP picture of mien.")],
    certificates: Annotated[
        Path, typer.Option("--certificates", metavar="PEM", help="The signer's certificate, then its issuers'.")
    ],
    key: Annotated[Path, typer.Option("--key", metavar="PEM", help="Private key (PKCS #8) of the first of them.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The signed file; FILE itself if not given.")
    ] = None,
    algorithm: Annotated[Algorithm, typer.Option("--algorithm", help="Of the key.")] = Algorithm.ES256,
    timestamps: Annotated[
        str | None,
        typer.Option("--timestamps", metavar="URL", help="Time-stamping service; none is asked if not given."),
    ] = None,
) -> None:
    """Sign a picture and its record as C2PA content credentials, with a key of your own."""
    from mien.provenance.content_credentials import sign as write_signed

    target = output or file
    write_signed(file, target, certificates, key, algorithm.value, timestamps)
    say_file(target)
