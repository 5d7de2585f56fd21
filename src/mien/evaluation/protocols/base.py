"""What every evaluation protocol is: its own numbers, which pictures it accepts, and one ``run``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mien.core.progress import Bar, silent
from mien.errors import BadInput
from mien.evaluation.claims.training import ArmTraining
from mien.evaluation.context import EvaluationContext
from mien.evaluation.control.pictures import PartDrawn
from mien.evaluation.control.settings import ControlSettings
from mien.evaluation.pairing import picture_set, pictures_in
from mien.evaluation.report.cases import Cases

OwnPictures = Literal["none", "identities", "identities and targets"]
"""Which of a user's own pictures can take the place of studio renders."""


@dataclass(frozen=True, eq=False)
class EvaluationRun:
    """What a protocol is run on.

    Attributes:
        settings: the protocol's, see `Protocol.settings`.
        models: name -> its own settings and context; readers, judges and renderer are those of the first model, which
            is also the one the others are compared with. See `mien.evaluation.models.load_models`.
        folder: where pictures are kept and found again.
        bar: makes progress bars.
        identities: folder of a user's own pictures of people, in the place of renders.
        targets: folder of a user's own pictures of targets, with ``identities``.
        reference: folder of real pictures that those of a user's own people are compared with as a set.
        command: the command line that is noted in the claims.
        training: model -> the training runs it takes weights from, where they are known.
        parts: of models of which only a part of the pictures was drawn.

    Example:
        >>> from pathlib import Path
        >>> from mien.evaluation.protocols import EvaluationRun, protocol_named
        >>> run = EvaluationRun(protocol_named("control").settings(people=10), {}, Path("run"))
        >>> with run.part():
        ...     pass  # a model's turn: draw, read, score
        >>> run.check_whole()
    """

    settings: ControlSettings
    models: Mapping[str, tuple[ControlSettings, EvaluationContext]]
    folder: Path
    bar: Bar = silent
    identities: Path | None = None
    targets: Path | None = None
    reference: Path | None = None
    command: str = ""
    training: Mapping[str, Sequence[ArmTraining]] = field(default_factory=dict)
    parts: list[PartDrawn] = field(default_factory=list)

    @contextmanager
    def part(self) -> Iterator[None]:
        """Around one model's turn: where only a part of its pictures was drawn, that is noted and the turn ends."""
        try:
            yield
        except PartDrawn:
            self.parts.append(PartDrawn())

    def check_whole(self) -> None:
        """After all models' turns.

        Raises:
            PartDrawn: if only a part of any model's pictures was drawn.
        """
        if self.parts:
            raise self.parts[0]

    @property
    def first(self) -> EvaluationContext:
        """Context of the first model, whose readers, judges and renderer are used for all."""
        return next(iter(self.models.values()))[1]


class Report(NamedTuple):
    """What a protocol found.

    Attributes:
        data: the report as JSON; every protocol has the keys of `mien.evaluation.report.assemble.assembled`.
        cases: model -> the pictures to show.

    Example:
        >>> from mien.evaluation.protocols import Report
        >>> report = Report({"protocol": "control"}, {})
        >>> report.data["protocol"]
        'control'
    """

    data: dict[str, Any]
    cases: Mapping[str, Cases]


@dataclass(frozen=True)
class Protocol(ABC):
    """An evaluation protocol.

    Attributes:
        name: of the command line and the report.
        summary: what it is, for people.
        people: number of identities; in fairness the fewest in every group.
        targets: number of targets, or of pictures a person where only the identity is given.
        pairs_per_person: targets of each person; None is every one.
        conditions: what models are given whose spec leaves it open.
        own_pictures: which of a user's own pictures it accepts.

    Example:
        >>> from mien.evaluation.protocols import protocol_named
        >>> protocol = protocol_named("diversity")
        >>> protocol.settings(people=10).people, protocol.own_pictures
        (10, 'identities')
    """

    name: str
    summary: str
    people: int
    targets: int
    pairs_per_person: int | None
    conditions: tuple[str, ...]
    own_pictures: OwnPictures = "none"

    @abstractmethod
    def run(self, run: EvaluationRun) -> Report:
        """Draw, read and score the pictures of every model.

        Raises:
            PartDrawn: if only a part of the pictures was asked for, and is drawn.
        """

    def settings(
        self, people: int | None = None, targets: int | None = None, pairs_per_person: int | None = None, **how: Any
    ) -> ControlSettings:
        """The protocol's settings, with other numbers where they are given; ``how``: steps, batch, draws.

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

    def check(
        self, identities: Path | None, targets: Path | None, sweep: bool = False, reference: Path | None = None
    ) -> None:
        """Check a user's own folders, and whether a sweep fits, before anything is loaded.

        Args:
            identities: folder of pictures of people; None for studio people.
            targets: folder of pictures of targets.
            sweep: whether models are also run at other scales of a branch.
            reference: folder of pictures to compare with as a set.

        Raises:
            BadInput: if a folder is absent, or the protocol needs the other as well or has no use for it.
        """
        if reference is not None and (self.own_pictures != "identities" or identities is None):
            raise BadInput("--reference is what synth-500 and agedb-500 are compared with as a set: leave it out.")
        if self.own_pictures == "none" and (identities is not None or targets is not None or sweep):
            raise BadInput(f"{self.name} is measured on studio people: leave --identities, --targets and --sweep out.")
        if self.own_pictures == "identities" and (targets is not None or sweep):
            raise BadInput(f"{self.name} gives models nothing but the identity: leave --targets and --sweep out.")
        if self.own_pictures == "identities and targets" and (identities is None) != (targets is None):
            raise BadInput("Give both --identities and --targets, or neither for studio people.")
        if reference is not None:
            picture_set(reference)
        for folder in (identities, targets):
            if folder is not None:
                pictures_in(folder)
