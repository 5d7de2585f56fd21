"""What the documentation site adds to the pages: files from outside docs/, formulas, and the reference.

Formulas are written between dollar signs, as code hosts show them, and become MathML here: no script, nothing fetched.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = re.compile(r"\]\(\.\./(?P<path>[\w./-]+)(?P<anchor>#[\w-]+)?\)")
"""A link of a page to a file of the repository that is not in docs/."""
PAGES = {"CONTRIBUTING.md": "contributing.md", "README.md": "index.md", "benchmarks/README.md": "benchmarks.md"}
"""Pages outside docs/ -> what they are in the site."""
REFERENCE = ("mien", "mien.conditions", "mien.adapters", "mien.diffusion", "mien.pipelines", "mien.faces",
             "mien.metrics", "mien.provenance", "mien.errors")  # fmt: skip
CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)
BLOCK = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
MARK = re.compile(r"@formula-(\d+)@")
PICTURE = re.compile(r'<img [^>]*src="(?P<place>[^"]+)"[^>]*>')
INLINE = re.compile(r"(?<![\\$\w])\$([^$\n]+?)\$(?![\w$])")


def on_files(files: Files, config: Any) -> Files:
    """Add the files that pages link to, and a page for each module of the reference."""
    for page, name in PAGES.items():
        if name != "index.md":
            files.append(File.generated(config, name, content=_moved((ROOT / page).read_text("utf-8"), page)))
    for module in REFERENCE:
        files.append(File.generated(config, f"reference/{module}.md", content=f"# {module}\n\n::: {module}\n"))
    linked = set()
    for page in (ROOT / "docs").glob("*.md"):
        linked |= {found["path"] for found in OUTSIDE.finditer(page.read_text("utf-8"))}
    for path in sorted(linked - set(PAGES)):
        if (ROOT / path).is_file():
            files.append(File.generated(config, f"files/{path}", abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links out of docs/ lead to the copies; formulas become marks, which Markdown leaves alone."""
    up = "../" * page.file.src_uri.count("/")
    markdown = OUTSIDE.sub(lambda found: _link(found, up), markdown)
    formulas: list[str] = []
    page.meta["formulas"] = formulas
    parts = CODE.split(markdown)
    return "".join(part if number % 2 else _marked(part, formulas) for number, part in enumerate(parts))


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Formulas in the place of their marks, and pictures that open at their own size when they are touched."""
    html = MARK.sub(lambda found: page.meta["formulas"][int(found[1])], html)
    return PICTURE.sub(lambda found: f'<a class="whole" href="{found["place"]}">{found[0]}</a>', html)


def _link(found: re.Match[str], up: str) -> str:
    path, anchor = found["path"], found["anchor"] or ""
    return f"]({up}{PAGES.get(path, f'files/{path}')}{anchor})"


def _moved(text: str, page: str) -> str:
    """Links of a page that stood elsewhere, as seen from docs/."""
    folder = Path(page).parent.as_posix()
    return re.sub(r"\]\((?!\w+:|#)([^)]+)\)", lambda found: f"]({_seen_from_docs(folder, found[1])})", text)


def _seen_from_docs(folder: str, target: str) -> str:
    parts: list[str] = [] if folder == "." else folder.split("/")
    for part in target.split("/"):
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    path = "/".join(parts)
    return path.removeprefix("docs/") if path.startswith("docs/") else f"../{path}"


def _marked(text: str, formulas: list[str]) -> str:
    def block(found: re.Match[str]) -> str:
        formulas.append(f'<span class="formula">{convert(found[1].strip(), display="block")}</span>')
        return f"@formula-{len(formulas) - 1}@"

    def inline(found: re.Match[str]) -> str:
        formulas.append(convert(found[1]))
        return f"@formula-{len(formulas) - 1}@"

    return INLINE.sub(inline, BLOCK.sub(block, text))
