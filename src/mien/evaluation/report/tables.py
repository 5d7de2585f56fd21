"""The report as Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def number(estimate: Mapping[str, Any] | None, digits: int = 3) -> str:
    """Such as ``0.412 (0.380 to 0.441)``; a dash where there is none."""
    if estimate is None or estimate["value"] is None:
        return "-"
    bounds = (estimate["low"], estimate["high"])
    text = f"{estimate['value']:.{digits}f}"
    return text if None in bounds else f"{text} ({bounds[0]:.{digits}f} to {bounds[1]:.{digits}f})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def markdown(report: Mapping[str, Any]) -> str:
    """The whole report, for the docs."""
    settings = report["settings"]
    parts = [
        f"{settings['people']} held-out studio people x {settings['targets']} targets, {report['pairs']} pictures, "
        f"{settings['steps']} steps, conditions: {', '.join(report['conditions'])}. "
        "In parentheses: 95 % interval, two-way cluster bootstrap over people and targets.",
        _faces(report["faces"]),
        _control(report["control"]),
        _identity(report["identity"]),
    ]
    if "cross_talk" in report:
        parts.append(cross_talk_table(report["cross_talk"]))
    return "\n\n".join(parts) + "\n"


def _faces(faces: Mapping[str, Any]) -> str:
    rows = [
        [name, number(one["model"]), number(one["oracle"]), str(one["n"]), str(one["n_failed"])]
        for name, one in faces.items()
    ]
    return table(["Face found by", "model", "exact render", "N", "no face"], rows)


def _control(measured: Mapping[str, Any]) -> str:
    levels = ("model", "oracle", "shuffled", "transfer")
    rows = [
        [name, *(number(one[level]) for level in levels), str(one["n"]), str(one["n_failed"])]
        for name, one in measured.items()
    ]
    note = copy_note({name: (one["shuffled"]["value"], one["oracle"]["value"]) for name, one in measured.items()})
    head = ["Measure", "model", "exact render", "shuffled", "transfer", "N", "failed"]
    return "\n\n".join([table(head, rows), *([note] if note else [])])


def copy_note(levels: Mapping[str, tuple[float | None, float | None]]) -> str:
    """What a copy of the template would score wherever a transfer compares with the template's own reading.

    A copy is at distance 0 of it, so its transfer is shuffled / (shuffled - exact render).

    Args:
        levels: measure -> (shuffled, exact render); those that are compared with anything else are left out.

    Returns:
        A sentence; nothing without such a measure.
    """
    copies = [
        f"{shuffled / (shuffled - exact):.2f} on {name}"
        for name, (shuffled, exact) in levels.items()
        if name.endswith((".exp", ".lms")) and shuffled is not None and exact is not None and shuffled > exact
    ]
    if not copies:
        return ""
    return (
        "Transfer is no verdict: Exp and LMS compare with the template person's own reading, so a copy of the template "
        f"would have a transfer of {' and '.join(copies)}, where the exact render of the wanted person has 1."
    )


def _identity(measured: Mapping[str, Any]) -> str:
    rows = []
    for name, title in (("look", "the shown picture"), ("face", "another picture")):
        similar, first = measured[name]["cosine"], measured[name]["top1"]
        levels = [number(similar[level]) for level in ("model", "oracle", "shuffled", "transfer")]
        rows.append([f"cosine to {title}", *levels, str(similar["n"]), str(similar["n_failed"])])
        shares = [number(first["model"]), number(first["oracle"]), f"{first['chance']:.3f}", number(first["of_oracle"])]
        rows.append([f"right person first, {title}", *shares, str(first["n"]), str(first["n_failed"])])
    if "look_alikes" in measured:
        one = measured["look_alikes"]
        shares = [number(one["model"]), number(one["oracle"]), f"{one['chance']:.3f}", number(one.get("of_oracle"))]
        rows.append([f"before {one['decoys']} look-alikes", *shares, str(one["n"]), "-"])
    donor = measured["donor"]
    levels = [number(donor[level]) for level in ("model", "oracle", "shuffled", "leak")]
    rows.append(["cosine to the donor (last: leak)", *levels, str(donor["n"]), str(donor["n_failed"])])
    return table(["Identity", "model", "exact render", "floor", "transfer or share of exact", "N", "no face"], rows)


def cross_talk_table(matrix: Mapping[str, Any]) -> str:
    """Cross-talk: the effect of each control on the other attributes, with its title."""
    names = list(matrix["spread"])
    rows = [[dial, *(number(changes.get(name), 2) for name in names)] for dial, changes in matrix["dials"].items()]
    title = f"Cross-talk, {matrix['people']} people; 1.00 is the difference between two random pictures of two people."
    return title + "\n\n" + table(["Dial turned", *names], rows)


def comparison(report: Mapping[str, Any]) -> str:
    """The report of several models for the docs: one row a metric, one column a model; and its groups."""
    names = list(report["models"])
    metrics = list(report["models"][names[0]]["metrics"])
    rows = []
    for metric in metrics:
        scores = [report["models"][name]["metrics"][metric] for name in names]
        ends = [number({"value": scores[0][end], "low": None, "high": None}) for end in ("floor", "ceiling")]
        changes = [number(report["differences"][name][metric]) for name in names[1:]]
        failed = ", ".join(str(score["n_failed"]) for score in scores)
        rows.append([metric, scores[0]["better"], *map(number, scores), *ends, failed, *changes])
    heads = [f"{name} minus {names[0]}" for name in names[1:]]
    for metric, reason in report.get("unmeasured", {}).items():
        rows.append([metric, "lower", *[reason] * len(names), *["-"] * (3 + len(heads))])
    parts = [report["title"], table(["Metric", "Better", *names, "floor", "ceiling", "failed", *heads], rows)]
    return "\n\n".join([*parts, *headline_tables(report), *baseline_tables(report), *fairness_tables(report)]) + "\n"


def headline_tables(report: Mapping[str, Any]) -> list[str]:
    """The headline measures of models and baselines, a row each, and what they are; none for other reports."""
    if "headline" not in report:
        return []
    found = report["headline"]
    known = {key for one in found["models"].values() for key, score in one.items() if score["value"] is not None}
    measures = [key for key in found["measures"] if key in known]
    rows = [[name, *(number(one.get(key)) for key in measures)] for name, one in found["models"].items()]
    kinds = "; ".join(f"{name}: {what}" for name, what in found["dummies"].items())
    parts = [
        "Headline measures. Nearness is (shuffled - model) / (shuffled - ceiling) of distances to the exact render of "
        f"the wanted person; ceiling: {found['ceiling']}. Dummy models: {kinds}.",
        table(["Model", *measures], rows),
        " ".join(f"{key}: {found['meanings'][key]}" for key in measures),
    ]
    if found["refused"]:
        papers = [key for key in found["refused"] if key in found["meanings"]]
        rows = [[name, *(number(one.get(key)) for key in papers)] for name, one in found["models"].items()]
        parts += [
            "Not in the headline, because a dummy model is better than the exact render: "
            f"{_refusals(found['refused'])}.",
            table(["Model", *papers], rows),
        ]
    missing = [key for key in found["measures"] if key not in known]
    if missing:
        parts.append(f"Not measured: {', '.join(missing)}.")
    return parts


def baseline_tables(report: Mapping[str, Any]) -> list[str]:
    """Every metric of the exact render, the autoencoder and the dummies; none for other reports."""
    if not report.get("baselines"):
        return []
    names, refused = list(report["baselines"]), report["refused"]
    metrics = list(report["baselines"][names[0]]["metrics"])
    rows = [
        [metric, *(number(report["baselines"][name]["metrics"].get(metric)) for name in names),
         ", ".join(refused.get(metric, ())) or "-"]
        for metric in metrics
    ]  # fmt: skip
    worse = f" A dummy model is better than the exact render on: {_refusals(refused)}." if refused else ""
    return [
        f"The exact render, the autoencoder and the dummy models on every metric.{worse}{_transfer_note(report)}",
        table(["Metric", *names, "better than the exact render"], rows),
    ]


def _refusals(refused: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{metric} ({', '.join(dummies)})" for metric, dummies in refused.items())


def _transfer_note(report: Mapping[str, Any]) -> str:
    """What a copy of the template scores on the transfer of expression, beside the exact render."""
    copy, exact = (report["baselines"].get(name, {}).get("metrics", {}) for name in ("copy-template", "exact"))
    key = f"transfer.{report['readers'][0]}.exp"
    if copy.get(key, {}).get("value") is None or exact.get(key, {}).get("value") is None:
        return ""
    return (
        f" Transfer compares with the template person's own reading: a copy of the template scores "
        f"{copy[key]['value']:.2f} on {key}, the exact render {exact[key]['value']:.2f}."
    )


def fairness_tables(report: Mapping[str, Any]) -> list[str]:
    """Of every model two tables, each after its title: the worst groups, and all of them; none for other reports."""
    parts: list[str] = []
    for name, model in report["models"].items():
        fair = model.get("fairness")
        if fair is not None:
            head = ["Measure", "Groups by", "worst", "behind the mean of the groups", "by chance", "at most"]
            worst = [
                [measure, by, one["worst"] or "-", number(one["shortfall"]), _by_chance(one["by_chance"]),
                 f"{report['bound']:g}: {'holds' if one['holds'] else 'does not hold'}"]
                for measure, groupings in fair.items() for by, one in groupings.items()
            ]  # fmt: skip
            parts += [f"{name}: the worst group of each kind.", table(head, worst)]
            groups = [
                (by, group, people) for by, counts in report["groups"].items() for group, people in counts.items()
            ]
            rows = [
                [
                    f"{by}: {group}",
                    str(people),
                    *(number(kinds[by]["groups"][group]["relative"]) for kinds in fair.values()),
                ]
                for by, group, people in groups
            ]
            parts += [
                f"{name}: every group, relative to its own exact renders.",
                table(["Group", "people", *fair], rows),
            ]
    return parts


def _by_chance(null: Mapping[str, float | None] | None) -> str:
    """Such as ``0.031, up to 0.060``."""
    if null is None or null["value"] is None:
        return "-"
    return f"{null['value']:.3f}, up to {null['high']:.3f}"
