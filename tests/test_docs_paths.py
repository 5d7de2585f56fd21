"""Whatever the pages and the docstrings name exists: files, modules, names, links, and what snippets import."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
    *sorted(ROOT.glob("docs/*.md")),
]
PLACES = (ROOT, ROOT / "src" / "mien", ROOT / "benchmarks", ROOT / "tests")
"""Where a path on a page may begin."""

BELONGS_TO_OTHERS = "## Examples to follow"
"""The section of CONTRIBUTING.md that names files of other projects."""

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


WRITTEN = {"stock_pipeline.py"}
"""Files on pages that a command writes."""


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8").split(BELONGS_TO_OTHERS)[0]


def resolve(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
            continue
        for part in parts[length:]:
            if not hasattr(found, part):
                # fields of a dataclass or of a pydantic model without a default are annotations only
                return part in getattr(found, "__annotations__", {}) or part in getattr(found, "model_fields", {})
            found = getattr(found, part)
        return True
    return False


@pytest.mark.parametrize(
    ("name", "exists"),
    [
        ("mien.core.io", True),
        ("mien.core.io.atomic_path", True),
        ("mien.faces.Face.landmarks", True),
        ("mien.core.io.nothing", False),
        ("mien.nowhere.at_all", False),
    ],
)
def test_names_are_resolved(name: str, exists: bool) -> None:
    assert resolve(name) == exists


@pages
def test_files_and_folders_on_a_page_exist(page: Path) -> None:
    spans = re.findall(r"`([^`\n]+)`", text_of(page))
    files = [path for span in spans for path in re.findall(r"(?<![\w/.<-])(?:[\w-]+/)+[\w-]+\.py\b", span)]
    packages = {path.name for path in (ROOT / "src" / "mien").iterdir() if path.is_dir()} | {
        "src",
        "tests",
        "benchmarks",
    }
    folders = [span for span in spans if re.fullmatch(r"(?:[a-z_]+/)+", span) and span.split("/")[0] in packages]
    missing = [one for one in {*files, *folders} if not any((place / one).exists() for place in PLACES)]
    assert not missing


@pages
def test_files_named_without_a_folder_exist(page: Path) -> None:
    """A file that has moved is named by where it is: a bare name must be that of some file here."""
    spans = re.findall(r"`([^`\n]+)`", text_of(page))
    named = {name for span in spans for name in re.findall(r"(?<![\w/.<*-])[\w-]+\.py\b", span)}
    places = ("src", "tests", "benchmarks", "comfyui", "docs")
    there = {path.name for place in places for path in (ROOT / place).rglob("*.py")}
    assert not named - there - WRITTEN


@pages
def test_names_on_a_page_exist(page: Path) -> None:
    names = {name for span in re.findall(r"`([^`\n]+)`", text_of(page)) for name in dotted(span)}
    assert not [name for name in sorted(names) if not resolve(name)]


def dotted(text: str) -> Iterator[str]:
    """``mien.package.module.name`` in a text, but not a command or a file."""
    for name in re.findall(r"(?<![\w./-])mien(?:\.[A-Za-z_]\w*)+(?![\w/-])", text):
        if not name.endswith((".safetensors", ".json")):
            yield name


@pages
def test_what_snippets_import_exists(page: Path) -> None:
    for block in re.findall(r"^ *```python\n(.*?)^ *```", text_of(page), re.MULTILINE | re.DOTALL):
        lines = block.splitlines()
        indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
        for node in ast.walk(ast.parse("\n".join(line[indent:] for line in lines))):
            if isinstance(node, ast.Import):
                assert all(resolve(alias.name) for alias in node.names if alias.name.startswith("mien"))
            elif isinstance(node, ast.ImportFrom) and str(node.module).startswith("mien"):
                assert all(resolve(f"{node.module}.{alias.name}") for alias in node.names)


@pages
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), target


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_names_in_docstrings_and_comments_exist() -> None:
    """After a module has moved, no docstring sends its reader to where it was."""
    missing = []
    for file in sorted((ROOT / "src").rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        quoted = re.findall(r"`~?(mien(?:\.\w+)+)(?:\(\))?`", text)
        missing += [f"{file.relative_to(ROOT)}: {name}" for name in sorted(set(quoted)) if not resolve(name)]
    assert not missing
