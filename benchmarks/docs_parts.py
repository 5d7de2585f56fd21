"""What the pages of results share."""

from __future__ import annotations

from typing import Any

from mien.evaluation.control.report import table


def only(report: dict[str, Any], metrics: tuple[str, ...]) -> dict[str, Any]:
    """A report with these metrics alone, as far as it has them."""
    models = {
        name: one | {"metrics": {metric: one["metrics"][metric] for metric in metrics if metric in one["metrics"]}}
        for name, one in report["models"].items()
    }
    return report | {"models": models}


def claims_table(claims: list[dict[str, Any]]) -> str:
    """Claims, held or not, a row each."""
    rows = [
        [
            f"`{one['id']}`",
            one["statement"],
            " / ".join(f"{value:g}" for value in one["paper"] or ()) or "-",
            " / ".join(short(value) for name, value in one["studio"].items() if name not in ("metric", "seeds")),
            f"{short(one['effect'])} ({short(one['low'])} to {short(one['high'])})",
            "holds" if one["holds"] else "does not hold",
        ]
        for one in claims
    ]
    return table(["Claim ([JSON](../benchmarks/results/claims.json))", "what it says", "paper", "studio", "effect", ""],
                 rows)  # fmt: skip


def short(value: float | None) -> str:
    """Three figures."""
    return "-" if value is None else f"{value:.3g}"
