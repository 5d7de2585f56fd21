"""Who is drawn with whose expression: identities, targets, pairs, exact renders."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from mien.evaluation.control.settings import TARGET_PICTURE, ControlSettings
from mien.evaluation.control.targets import balanced_people
from mien.studio.person import Person, sample_person
from mien.studio.plans import plan_scene
from mien.studio.scene import Scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mien.studio.kit import FaceKit
    from mien.studio.renderer import Render


_SEEDS_A_PERSON = 1000


class Draws(Protocol):
    """What is needed of `mien.studio.renderer.Renderer`."""

    kit: FaceKit
    size: int

    def render(self, person: Person, picture: Scene, /) -> Render: ...  # noqa: D102


@dataclass(frozen=True)
class Pair:
    """One picture to draw: whose face (row of the people) with which target's expression and pose (row of those).

    Attributes:
        person, target: the rows.
        shown: digest of the pictures that the model is shown for it; empty where it is shown none.
    """

    person: int
    target: int
    shown: str = ""

    @property
    def seed(self) -> int:
        """Seed of its noise; the same however many people and targets there are."""
        return self.person * _SEEDS_A_PERSON + self.target

    @property
    def name(self) -> str:
        """For people to read."""
        return f"{self.person:04d}-{self.target:03d}"

    @property
    def file(self) -> str:
        """Name of its file where pictures are kept: another one once it is shown other pictures."""
        return f"{self.name}-{self.shown}.png" if self.shown else f"{self.name}.png"

    def showing(self, *pictures: NDArray[np.uint8]) -> Pair:
        """The same, where the model is shown these pictures, uint8 [S, S, 3] each."""
        return replace(self, shown=pixels_digest(pictures)[:16])


@dataclass(frozen=True)
class Subject:
    """A planned picture of a person."""

    person: Person
    picture: Scene


def pixels_digest(pictures: Sequence[NDArray[np.uint8]]) -> str:
    """sha256 of some pictures uint8 [S, S, 3]."""
    return hashlib.sha256(b"".join(picture.tobytes() for picture in pictures)).hexdigest()


def lay_out(settings: ControlSettings, in_blocks: bool = False) -> list[Pair]:
    """All pairs, one person's after the other; with fewer than all targets each target is used equally often.

    Args:
        settings: numbers of people, targets and targets a person.
        in_blocks: people who follow each other share their targets, so that groups that every stretch of the people
            holds equally often are shown the same targets; else neighbours have different ones.
    """
    count = settings.pairs_per_person or settings.targets
    blocks = settings.targets // math.gcd(settings.targets, count)
    starts = [person * blocks // settings.people if in_blocks else person for person in range(settings.people)]
    return [
        Pair(person, target)
        for person, start in enumerate(starts)
        for target in sorted((start * count + k) % settings.targets for k in range(count))
    ]


def identity_subjects(
    settings: ControlSettings, number: int = 0, chosen: Sequence[Person] | None = None
) -> list[Subject]:
    """A picture of each identity that looks like a photograph; number 0 is the one the model is shown.

    Args:
        settings: how many.
        number: of the picture.
        chosen: the people; None is the first held-out ones.
    """
    people = chosen or [sample_person(settings.first_person + row) for row in range(settings.people)]
    return [Subject(person, plan_scene(person, number)) for person in people]


def target_subjects(settings: ControlSettings, number: int = TARGET_PICTURE) -> list[Subject]:
    """A picture of each target's person; ``TARGET_PICTURE`` is the target itself, any expression and pose."""
    people = (
        balanced_people(settings.first_target, settings.targets)
        if settings.target_choice == "balanced"
        else [sample_person(settings.first_target + row) for row in range(settings.targets)]
    )
    return [Subject(person, plan_scene(person, number)) for person in people]


def varied_subjects(first: int, people: int, each: int, skipped: int = 0) -> list[Subject]:
    """``each`` pictures of everybody from a seed on, with any expression and pose; one person's after the other.

    Args:
        first: seed of the first.
        people: how many.
        each: pictures of each.
        skipped: pictures of each that are not among them, since they serve elsewhere.
    """
    chosen, start = [sample_person(first + row) for row in range(people)], TARGET_PICTURE + skipped
    return [Subject(one, plan_scene(one, start + number)) for one in chosen for number in range(each)]


def oracle(identity: Subject, target: Subject) -> Subject:
    """The exact answer: the identity's own picture with the target's expression and pose."""
    return Subject(identity.person, identity.picture.showing(target.picture))


def look_alikes(identity: Subject, count: int) -> list[Subject]:
    """Pictures of people with the same skin, hair, brows and glasses, but another face shape.

    Everything but the face's shape stays, so only the shape tells them apart.
    """
    first = identity.person.seed * 7 + 1_000_003  # beyond all seeds that are trained on
    shapes = [sample_person(first + k).shape for k in range(count)]
    return [Subject(replace(identity.person, shape=shape), identity.picture) for shape in shapes]
