"""Imports point downwards: docs/architecture.md's layers, as data, against every import in the source.

Lazy imports inside functions, imports for type checkers and the lazy export tables count as well; but what only a type
checker imports from the module's own room makes no circle, since nothing runs in one. A package and the package that
holds it are one room: between those two, arrows may run both ways.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"

LAYERS: tuple[tuple[str, ...], ...] = (
    ("core", "media", "conditions", "errors"),
    ("adapters", "diffusion"),
    ("faces", "captions", "assets", "provenance", "models", "metrics"),
    ("pipelines",),
    ("generation", "studio"),
    ("evaluation", "training", "data"),
    ("cli", "app", "bench", "demo", "toy", "api", "__init__", "__main__"),
)
"""From the ground up. A room may import rooms of lower layers; `__init__` is the module `mien` itself."""

INSIDE: Mapping[str, tuple[str, ...]] = {
    "conditions": ("errors",),
    "core": ("errors",),
    "media": ("core", "errors"),
    "faces": ("assets",),
    "captions": ("faces",),
    "metrics": ("faces",),
    "training": ("data",),
    "bench": ("demo",),
    "toy": ("demo",),
    "app": ("demo",),
    "cli": ("app", "bench", "demo", "toy"),
    "__init__": ("api",),
    "__main__": ("cli",),
}
"""Imports inside a layer: room -> rooms of its own layer that it may import."""

EVERYWHERE = "__version__"
"""The one name of the package itself that every layer may import: a constant."""


def modules(source: Path) -> dict[str, Path]:
    """Dotted name -> file, of all modules below the folder ``source``."""
    names = {".".join(path.relative_to(source).with_suffix("").parts): path for path in sorted(source.rglob("*.py"))}
    return {name.removesuffix(".__init__"): path for name, path in names.items()}


class _WithoutTypes(ast.NodeTransformer):
    """Takes away what only a type checker reads."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return node.orelse
        return self.generic_visit(node)


def imports(name: str, path: Path, known: Iterable[str], package: str, *, types: bool = True) -> set[str]:
    """The modules of ``known`` that one module imports, wherever in its text.

    Without ``types``, those that it imports when it runs.
    """
    found: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree if types else _WithoutTypes().visit(tree)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = (name if path.name == "__init__.py" else name.rpartition(".")[0]).split(".")
            above = parts[: len(parts) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                if not (origin == package and alias.name == EVERYWHERE):
                    found.add(inner if inner in known else origin)
        elif isinstance(node, ast.Dict):  # "mien.pipelines" in a table of lazy exports or of commands
            inside = [one for value in node.values for one in getattr(value, "elts", [value])]
            texts = {one.value for one in inside if isinstance(one, ast.Constant) and isinstance(one.value, str)}
            found |= {text for text in texts if text.startswith(f"{package}.")}
    return {one for one in found if one in known and one != name}


def graph(source: Path, package: str = "mien", *, types: bool = True) -> dict[str, set[str]]:
    """Module -> the modules of the same package that it imports."""
    known = modules(source)
    return {name: imports(name, path, known.keys(), package, types=types) for name, path in known.items()}


def room(name: str) -> str:
    """The first-level package or module that a module belongs to."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def circles(edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Groups of nodes that reach each other (strongly connected components of more than one), sorted."""

    def reach(start: str) -> set[str]:
        seen, todo = set(), [start]
        while todo:
            for following in edges.get(todo.pop(), ()):
                if following not in seen:
                    seen.add(following)
                    todo.append(following)
        return seen

    reached = {node: reach(node) for node in edges}
    groups = {tuple(sorted(other for other in edges if other in reached[node] and node in reached[other]))
              for node in edges if node in reached[node]}  # fmt: skip
    return [list(group) for group in sorted(groups)]


def package_graph(edges: Mapping[str, Iterable[str]], packages: Iterable[str]) -> dict[str, set[str]]:
    """Package -> the packages its own modules import, without those that hold it or that it holds."""
    packages = set(packages)
    found: dict[str, set[str]] = {one: set() for one in packages}
    for name, targets in edges.items():
        if name in packages:
            continue  # an __init__ only lists what is inside
        own = name.rpartition(".")[0]
        for target in targets:
            other = target if target in packages else target.rpartition(".")[0]
            nested = other == own or own.startswith(other + ".") or other.startswith(own + ".")
            if own in packages and other in packages and not nested:
                found[own].add(other)
    return found


def complaints(
    source: Path, layers: Sequence[Sequence[str]] = LAYERS, inside: Mapping[str, Sequence[str]] = INSIDE
) -> list[str]:
    """What is wrong with the imports below a source folder, one sentence each."""
    ranks = {name: rank for rank, layer in enumerate(layers) for name in layer}
    edges = graph(source)
    found = []
    for name in sorted({room(name) for name in edges} - ranks.keys()):
        found.append(f"{name} has no layer: give it one in tests/test_layers.py and docs/architecture.md")
    for name, targets in sorted(edges.items()):
        for target in sorted(targets):
            own, other = room(name), room(target)
            if own == other or own not in ranks or other not in ranks or ranks[other] < ranks[own]:
                continue
            if ranks[other] > ranks[own]:
                found.append(f"{name} imports {target}, which is in a higher layer")
            elif other not in inside.get(own, ()):
                found.append(f"{name} imports {target}, which is in the same layer and not among those it may import")
    running = graph(source, types=False)
    found += [f"circle of modules: {', '.join(group)}" for group in circles(running)]
    packages = [name for name, path in modules(source).items() if path.name == "__init__.py"]
    found += [f"circle of packages: {', '.join(group)}" for group in circles(package_graph(edges, packages))]
    return found


def test_imports_point_downwards_and_never_in_a_circle() -> None:
    assert complaints(ROOT / "src") == []


def test_the_edges_inside_a_layer_are_no_circle_and_stay_in_it() -> None:
    assert circles(INSIDE) == []
    rank = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    assert len(rank) == sum(map(len, LAYERS))
    assert all(rank[own] == rank[other] for own, others in INSIDE.items() for other in others)


GOOD = {
    "mien/__init__.py": '__version__ = "1"\n_EXPORTS = {"run": "mien.generation.run"}\n',
    "mien/core/__init__.py": "",
    "mien/core/io.py": "from mien import __version__\n",
    "mien/pipelines/__init__.py": "",
    "mien/pipelines/load.py": "from mien.core.io import write\n",
    "mien/generation/__init__.py": "",
    "mien/generation/run.py": "import mien.pipelines.load\n",
    "mien/generation/parts/__init__.py": "",
    "mien/generation/parts/one.py": "",
    "mien/generation/parts/two.py": "",
    "mien/generation/tools/__init__.py": "",
    "mien/generation/tools/one.py": "",
    "mien/studio/__init__.py": "",
}


HIGH = ["higher layer", "circle of modules", "circle of packages"]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"mien/core/io.py": "import mien.generation.run\n"}, HIGH),
        ({"mien/core/io.py": "def f():\n    from mien.generation import run\n"}, HIGH),
        (
            {"mien/core/io.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mien.studio import x\n"},
            ["higher layer"],
        ),
        ({"mien/core/io.py": "from ..studio import x\n"}, ["higher layer"]),
        ({"mien/core/io.py": "from mien import run\n"}, ["higher layer", "circle of modules"]),
        ({"mien/core/io.py": 'TABLE = {"x": "mien.studio"}\n'}, ["higher layer"]),
        ({"mien/generation/run.py": "from mien.studio import x\n"}, ["same layer"]),
        (
            {
                "mien/generation/parts/one.py": "from . import two\n",
                "mien/generation/parts/two.py": (
                    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .one import g\n"
                ),
            },
            [],
        ),
        ({"mien/cellar/__init__.py": ""}, ["cellar has no layer"]),
        (
            {
                "mien/generation/parts/one.py": "from . import two\n",
                "mien/generation/parts/two.py": "def f():\n    from .one import g\n",
            },
            ["circle of modules: mien.generation.parts.one, mien.generation.parts.two"],
        ),
        (
            {
                "mien/generation/parts/one.py": "import mien.generation.tools.one\n",
                "mien/generation/tools/one.py": "import mien.generation.parts.two\n",
            },
            ["circle of packages: mien.generation.parts, mien.generation.tools"],
        ),
    ],
)  # fmt: skip
def test_a_wrong_import_is_refused(tmp_path: Path, changed: dict[str, str], expected: list[str]) -> None:
    for name, text in (GOOD | changed).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = complaints(tmp_path)
    assert len(found) == len(expected), found
    assert all(word in sentence for word, sentence in zip(expected, found, strict=True))


def walks() -> dict[str, list[str]]:
    """Heading of a walk on the page -> its files below src/mien, in the page's order."""
    sections = re.split(r"^### ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {text.partition("\n")[0]: re.findall(r"^\d+\. `([\w/]+\.py)`", text, re.MULTILINE) for text in sections}


def test_the_page_has_four_walks() -> None:
    assert list(walks()) == [
        "A photo to a PNG", "A shard to a loss", "A person to pixels", "A pair of pictures to a number",
    ]  # fmt: skip


NAMED_IN_DATA = {"mien.training.objectives.branch": ("mien.training.presets", '"branch:BranchObjective"')}
"""Modules that no import leads to: module -> (the module that names it, how)."""


@pytest.mark.parametrize("walk", walks() if PAGE.is_file() else [])
def test_every_file_of_a_walk_is_entered_from_an_earlier_one_and_never_from_below(walk: str) -> None:
    known = modules(ROOT / "src")
    edges = graph(ROOT / "src")
    for name, (other, text) in NAMED_IN_DATA.items():
        assert text in known[other].read_text(encoding="utf-8")
        edges[other].add(name)
    rank = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    names = ["mien." + file.removesuffix(".py").replace("/", ".") for file in walks()[walk]]
    assert len(names) > 3 and not set(names) - edges.keys()
    for position, name in enumerate(names[1:], start=1):
        doors = {one for one in names[:position] if name in edges[one] | through_packages(known, edges, edges[one])}
        assert doors or name in names[:position], f"no earlier file of the walk imports {name}"
        assert all(rank[room(one)] >= rank[room(name)] for one in doors)


def through_packages(known: Mapping[str, Path], edges: Mapping[str, set[str]], targets: Iterable[str]) -> set[str]:
    """What is reached through the export tables of packages."""
    return {inner for target in targets if known[target].name == "__init__.py" for inner in edges[target]}


def test_the_photo_passes_at_most_eight_rooms() -> None:
    assert len({file.partition("/")[0] for file in walks()["A photo to a PNG"]}) <= 8


def test_the_page_names_the_layers() -> None:
    drawing = PAGE.read_text(encoding="utf-8").split("```text")[1].split("```")[0]
    rows = [re.findall(r"\w+", line.split("|")[1]) for line in drawing.splitlines() if line.count("|") == 2]
    assert rows == [[name for name in layer if (ROOT / "src" / "mien" / name).exists()
                     or (not name.startswith("__") and (ROOT / "src" / "mien" / f"{name}.py").exists())]
                    for layer in reversed(LAYERS)]  # fmt: skip
