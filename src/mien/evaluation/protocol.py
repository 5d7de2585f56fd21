"""What the protocols are, and from specs to what they run: models, and variants of them over a branch's scales."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from mien.errors import BadInput
from mien.evaluation.control.settings import DEFAULT_CONDITIONS, ControlSettings
from mien.evaluation.control.tools import EvaluationContext, load_tools, with_model
from mien.pipelines.spec import ModelSpec


class Preset(NamedTuple):
    """A protocol's own settings.

    Attributes:
        text: what it is, for people.
        people: identities; in fairness the fewest in every group.
        targets: targets, or pictures a person where only the identity is given.
        pairs_per_person: targets of each person; None is every one.
        conditions: what models are told whose spec leaves it open.
        needs_renders: a user's own pictures cannot take the place of studio people.
    """

    text: str
    people: int
    targets: int
    pairs_per_person: int | None
    conditions: tuple[str, ...]
    needs_renders: bool = False

    @property
    def identity_only(self) -> bool:
        """Whether pictures are compared among themselves instead of with targets."""
        return self.conditions == ("identity",) and not self.needs_renders

    def settings(
        self, people: int | None = None, targets: int | None = None, pairs_per_person: int | None = None, **how: Any
    ) -> ControlSettings:
        """Of a run with other numbers where they are given; ``how``: steps, batch, draws.

        Raises:
            BadInput: if a number is out of range.
        """
        people = self.people if people is None else people
        count = self.targets if targets is None else targets
        each = self.pairs_per_person if pairs_per_person is None else pairs_per_person
        return ControlSettings(
            people=people, targets=count, pairs_per_person=None if each is None else min(each, count),
            conditions=self.conditions, look_alikes=0, cross_talk_people=0, **how,
        )  # fmt: skip


_DIVERSITY = Preset("", 100, 8, None, ("identity",))
PRESETS: Mapping[str, Preset] = {
    "control": Preset("people x other people's expressions and poses (FaceCrafter Table 1)", 100, 100, 20,
                      DEFAULT_CONDITIONS),
    "diversity": _DIVERSITY._replace(text="several pictures of each person, told the identity alone (Table 2)"),
    "ablation": _DIVERSITY._replace(text="the same, of models trained with and without a loss (Table 3)"),
    "expression": Preset("every person x every expression template (EmojiDiff)", 40, 20, None,
                         ("identity", "expression")),
    "fairness": Preset("people chosen by skin, age and gender, each group against its own exact renders", 60, 100, 10,
                       DEFAULT_CONDITIONS, needs_renders=True),
    "text": Preset("pictures from captions alone, read by the attribute judge", 100, 5, None, ("prompt",),
                   needs_renders=True),
    "distribution": Preset("the pictures as a set, against renders of other people", 600, 100, 4, DEFAULT_CONDITIONS,
                           needs_renders=True),
    "autoencoder": Preset("renders encoded and decoded", 200, 3, None, ("identity",), needs_renders=True),
}  # fmt: skip


def preset_of(name: str) -> Preset:
    """A protocol by name.

    Raises:
        BadInput: if there is none of that name.
    """
    if name not in PRESETS:
        raise BadInput(f"There is no protocol {name!r}; choose one of: {', '.join(PRESETS)}.")
    return PRESETS[name]


class Sweep(NamedTuple):
    """Scales of one branch."""

    branch: str
    scales: tuple[float, ...]


def sweep_of(text: str) -> Sweep:
    """``landmarks=0.5,1,1.5`` as a sweep.

    Raises:
        BadInput: for anything else.
    """
    branch, _, numbers = text.partition("=")
    try:
        scales = tuple(float(number) for number in numbers.split(","))
    except ValueError as error:
        raise BadInput(f"Write --sweep BRANCH=NUMBER,NUMBER, not {text!r}.") from error
    return Sweep(branch, scales)


def variant(name: str, branch: str, scale: float) -> str:
    """Name of a model at another scale."""
    return f"{name}@{branch}={scale:g}"


def load_models(
    specs: Mapping[str, ModelSpec],
    settings: ControlSettings,
    kit: Path | None,
    sweep: Sweep | None = None,
    rendered: bool = True,
    networks: Iterable[str] = (),
) -> dict[str, tuple[ControlSettings, EvaluationContext]]:
    """Settings and tools of every model and of its variants; readers, judges and renderer are loaded once.

    Args:
        specs: name -> spec.
        settings: the protocol's.
        kit: the face kit's file; None takes ``MIEN_FACEKIT``.
        sweep: scales at which each model is run as well.
        rendered: people and targets are renders, for which the kit is needed.
        networks: names of networks of other groups, see `mien.evaluation.networks`.

    Raises:
        MienError: if weights, judges, the kit or every reader is missing.
    """
    for spec in specs.values():
        spec.check()
    shared = load_tools("studio", kit, rendered, networks)
    found: dict[str, tuple[ControlSettings, EvaluationContext]] = {}
    for name, spec in specs.items():
        tools, own = with_model(shared, spec.load(), spec), settings.for_model(spec)
        found[name] = own, tools
        if sweep is not None:
            for scale in sweep.scales:
                scaled = replace(own, scales={**own.scales, sweep.branch: scale})
                found[variant(name, sweep.branch, scale)] = scaled, tools
    return found


def add_sweeps(report: dict[str, Any], specs: Mapping[str, ModelSpec], sweep: Sweep) -> None:
    """Gather the variants of each model into ``report["sweeps"]``: identity against transfer."""
    reader = report["readers"][0]
    report["sweeps"] = {}
    for name in specs:
        points = []
        for scale in sweep.scales:
            metrics = report["models"][variant(name, sweep.branch, scale)]["metrics"]
            points.append(
                {"scale": scale, "transfer": metrics[f"transfer.{reader}.exp"], "identity": metrics["identity.cosine"]}
            )
        report["sweeps"][name] = {"branch": sweep.branch, "points": points}
