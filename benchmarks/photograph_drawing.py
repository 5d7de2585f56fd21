"""Every person of a group of photographs under its four expressions: drawn, measured, and laid out as a sheet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from photograph_set import Photograph, photographs
from PIL import Image, ImageDraw, ImageOps

from mien.core.progress import Bar
from mien.faces.landmarker import LandmarkerReader, blendshape_network
from mien.faces.linear.arkit import BLENDSHAPE_NAMES
from mien.faces.studio import StudioReader
from mien.generation.conditioning import open_inputs
from mien.generation.generate import draw, prepare
from mien.generation.request import GenerateRequest
from mien.generation.tools import FaceTools
from mien.media.pictures import open_picture
from mien.metrics.expression import exp_distance
from mien.pipelines.load import load_pipeline

PEOPLE = {
    "development": ("skimage-01", "ip-adapter-05", "ip-adapter-02", "sadtalker-07", "sadtalker-14", "arc2face-05",
                    "arc2face-08"),
    "held-out": ("facer-02", "instantid-09", "instantid-10", "deepface-13", "deca-09", "deepface-40", "deepface-17"),
}  # fmt: skip
TEMPLATES = {
    "development": ("arc2face-01", "arc2face-02", "arc2face-03", "arc2face-04"),
    "held-out": ("deca-17", "liveportrait-05", "deca-19", "smirk-02"),
}
"""Squeezed eyes, a one-sided smile, a pucker and a shout; held out: a shout, a pout, a pucker aside and a wink."""
SHOUT = {"development": 3, "held-out": 0}
DRAWN = ("held-out", "difference")
"""The group and the way of which the docs show the sheet."""
COLOURS: Mapping[str, tuple[str, ...]] = {
    "black": ("black", "dark brown"), "brown": ("dark brown", "brown", "dark blonde", "auburn"),
    "blond": ("blonde", "dark blonde"), "red": ("auburn", "ginger"), "grey": ("grey", "white"),
}  # fmt: skip
"""A person's word for a colour of hair -> the studio's that are the same."""
TILE, GAP, MARGIN = 128, 6, 44
PAPER, INK = (250, 248, 244), (33, 30, 27)
_JAW = BLENDSHAPE_NAMES.index("jawOpen")


def agree(seen: Mapping[str, Any], read: Mapping[str, Any]) -> dict[str, bool | None]:
    """Hair colour, baldness, glasses and beard as read, against what a person sees; None where nothing is said."""
    found: dict[str, bool | None] = {}
    style, beard, glasses = read.get("hair_style"), read.get("beard"), read.get("glasses")
    hair = seen.get("hair")
    if hair is not None:
        found["bald"] = None if style is None else (style in ("bald", "buzz cut")) == (hair == "bald")
        if hair != "bald":
            said = read.get("hair_color")
            found["hair_color"] = None if said is None else said in COLOURS[str(hair).split()[-1]]
    if "glasses" in seen:
        found["glasses"] = None if glasses is None else (glasses != "none") == seen["glasses"]
    if "beard" in seen and seen["beard"] != "stubble":
        found["beard"] = None if beard is None else (beard not in ("none", "stubble")) == (seen["beard"] != "none")
    return found


def draw_group(
    folder: Path, group: str, way: str, seed: int, show: Bar
) -> tuple[dict[str, Any], Image.Image, Image.Image]:
    """Draw people x templates one way.

    Returns:
        Numbers; a sheet of what was drawn; the same with the photographs in its margins.
    """
    by_name = {one.name: one for one in photographs()}
    people, templates = ([by_name[name] for name in names[group]] for names in (PEOPLE, TEMPLATES))
    reader, studio, tools = LandmarkerReader(), StudioReader.from_pretrained(), FaceTools.load("studio", "auto")
    tools = replace(tools, read=_once(tools.read))
    pipeline, network = load_pipeline("studio"), blendshape_network()
    assert network is not None
    faces = [reader.read(open_picture(one.file(folder))).face() for one in templates]
    wanted = [one.blendshapes for one in faces if one.blendshapes is not None]
    images, cells = [], []
    with show(len(people) * len(templates), f"drawing, {group}, {way}") as advance:
        for person in people:
            for template in templates:
                request = GenerateRequest.checked(
                    identity=person.file(folder),
                    expression=template.file(folder),
                    retarget=way,
                    speed="fast",
                    seed=seed,
                )
                prepared = prepare(request, open_inputs(request), pipeline, tools)
                images.append(draw(pipeline, request, prepared.inputs, seed))
                read, points = reader.read(images[-1]).faces, prepared.inputs.landmarks
                assert points is not None
                cells.append({
                    "person": person.name, "template": template.name,
                    "landmarks": _nearness(network(points[None])[0], wanted),
                    "drawn": _nearness(read[0].blendshapes if read else None, wanted),
                    "attributes": agree(person.seen, _attributes(studio, images[-1])),
                })  # fmt: skip
                advance(1)
    report = summary(cells, group, [float(one[_JAW]) for one in wanted], len(templates))
    drawn = sheet(images, people, templates)
    return report, drawn, sheet(images, people, templates, folder)


def _once(read: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """Reads each file once."""
    known: dict[str, Any] = {}

    def reading(picture: Any, source: str) -> Any:
        if source not in known:
            known[source] = read(picture, source)
        return known[source]

    return reading


def _nearness(read: NDArray[np.float32] | None, wanted: Sequence[Any]) -> dict[str, Any]:
    if read is None:
        return {"exp": None, "nearest": None, "jaw": 0.0}
    distances = [round(float(exp_distance(one, read)), 4) for one in wanted]
    return {"exp": distances, "nearest": int(np.argmin(distances)), "jaw": round(float(read[_JAW]), 3)}


def _attributes(studio: StudioReader, image: Image.Image) -> dict[str, Any]:
    faces = studio.read(image).faces
    return {} if not faces else faces[0].attributes or {}


def summary(cells: list[dict[str, Any]], group: str, jaws: list[float], columns: int) -> dict[str, Any]:
    """The numbers of all cells, a row of the list a picture."""
    shouts = cells[SHOUT[group] :: columns]
    told: dict[str, list[bool]] = {}
    for cell in cells:
        for name, answer in cell["attributes"].items():
            if answer is not None:
                told.setdefault(name, []).append(answer)
    found: dict[str, Any] = {"count": len(cells)}
    for kind in ("landmarks", "drawn"):
        own = [cell[kind]["nearest"] == index % columns for index, cell in enumerate(cells)]
        exp = [cell[kind]["exp"][index % columns] for index, cell in enumerate(cells) if cell[kind]["exp"]]
        found[kind] = {
            "own_is_nearest": sum(own), "by_template": [sum(own[column::columns]) for column in range(columns)],
            "exp": round(float(np.mean(exp)), 4), "faces_found": len(exp),
        }  # fmt: skip
    share = {kind: round(float(np.mean([one[kind]["jaw"] for one in shouts])) / jaws[SHOUT[group]], 3)
             for kind in ("landmarks", "drawn")}  # fmt: skip
    seen = {name: {"right": sum(answers), "said": len(answers)} for name, answers in sorted(told.items())}
    return {**found, "shout": share, "as_a_person_sees": seen, "cells": cells}


def sheet(
    images: Sequence[Image.Image], people: Sequence[Photograph], templates: Sequence[Photograph],
    photographs_in: Path | None = None,
) -> Image.Image:  # fmt: skip
    """A row a person, a column a template; with names, and with the photographs where their folder is given."""
    rows, columns = len(people), len(templates)
    left = MARGIN + 60 if photographs_in is None else TILE + GAP
    top = MARGIN if photographs_in is None else TILE + GAP
    page = Image.new("RGB", (left + columns * (TILE + GAP), top + rows * (TILE + GAP)), PAPER)
    pen = ImageDraw.Draw(page)
    for column, one in enumerate(templates):
        x = left + column * (TILE + GAP)
        if photographs_in is None:
            pen.text((x, MARGIN - 32), f"{one.name}\n{', '.join(one.seen.get('expression', []))[:24]}", INK)
        else:
            page.paste(ImageOps.pad(open_picture(one.file(photographs_in)), (TILE, TILE), color=PAPER), (x, 0))
    for row, one in enumerate(people):
        y = top + row * (TILE + GAP)
        if photographs_in is None:
            pen.text((4, y + TILE // 2 - 12), f"{one.name}\n{one.seen.get('hair', '')}", INK)
        else:
            page.paste(ImageOps.pad(open_picture(one.file(photographs_in)), (TILE, TILE), color=PAPER), (0, y))
        for column in range(columns):
            tile = images[row * columns + column].resize((TILE, TILE))
            page.paste(tile, (left + column * (TILE + GAP), y))
    return page
