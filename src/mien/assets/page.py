"""The table of assets in ``docs/assets.md``."""

from __future__ import annotations

from mien.assets.registry import Asset, AssetFile, assets


def table() -> str:
    """Markdown, a row for each asset in the order of the registry."""
    rows = [
        "| Name | What | Licence | Permissive | Files, and how they are checked | For |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join(rows + [_row(one) for one in assets().values()]) + "\n"


def _row(one: Asset) -> str:
    licence = one.licence + (f"<br>{one.commercial}" if one.commercial else "")
    what = f"{one.title}<br>[{one.citation.text}]({one.citation.url})"
    cells = (f"`{one.name}`", what, licence, "yes" if one.permissive else "no", _files(one), one.used_by)
    return f"| {' | '.join(cells)} |"


def _files(one: Asset) -> str:
    lines = [f"`{file.name}`, {_check(file)}" for file in one.files if file.urls or file.sha256]
    if one.hub is not None:
        count = sum(not file.urls for file in one.files)
        lines.append(f"in all {count} files of `{one.hub.repo}` at commit `{one.hub.revision[:8]}`")
    return "<br>".join(lines)


def _check(file: AssetFile) -> str:
    size = f"{file.bytes:,} bytes, " if file.bytes else ""
    return f"{size}sha256 `{file.sha256[:8]}`" if file.sha256 else f"{size}hash of the first download"
