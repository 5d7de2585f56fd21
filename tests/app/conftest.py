"""One warm service for all tests of the app, on the embedded weights and the studio's own reader."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra 'app'")

from fastapi.testclient import TestClient
from PIL import Image

from mien.app.limits import Limits
from mien.app.server import create_app
from mien.app.service import PortraitService, Warm

FEW = {"speed": "few"}


@pytest.fixture(scope="session")
def warm() -> Warm:
    return PortraitService(reader="studio")._load_base()


@pytest.fixture(scope="session")
def client(warm: Warm) -> Iterator[TestClient]:
    service = PortraitService(Limits(rate=100_000), reader="studio", load=lambda: warm)
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield client


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> str:
    """A picture as the API takes it."""
    stream = BytesIO()
    image.save(stream, kind, **options)
    return base64.b64encode(stream.getvalue()).decode()


def decoded(text: str) -> Image.Image:
    """A picture as the API gives it."""
    return Image.open(BytesIO(base64.b64decode(text)))
