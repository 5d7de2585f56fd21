"""What a run of the control benchmark is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from mien.diffusion.caching import Speed
from mien.errors import BadInput

if TYPE_CHECKING:
    from mien.pipelines.spec import ModelSpec

CONDITIONS = ("identity", "landmarks", "emotion", "expression", "prompt", "words")
"""What a picture can be asked for with.

``prompt`` says in words what the reader saw on the identity picture, ``words`` what the target's face does.
"""

DEFAULT_CONDITIONS = ("identity", "landmarks", "emotion", "expression")
FIRST_PERSON = 900_000
FIRST_TARGET = 950_000
FIRST_REFERENCE = 970_000
"""First of the people whose renders sets of pictures are compared with; all below a million are never trained on."""
DEVELOPMENT = 90_000
"""How much lower the seeds of development people and targets are: held out too, and none of a benchmark's."""
TARGET_PICTURE = 3
"""Number of the target's picture: the first that may show any expression and pose."""


@dataclass(frozen=True)
class ControlSettings:
    """Settings of a run.

    Attributes:
        people: number P of identities, persons 900000 and up (never trained on).
        targets: number T of targets, each a picture of another person, among 950000 and up.
        pairs_per_person: targets of each person, spread evenly over all; None is every one.
        conditions: which of `CONDITIONS` are used.
        steps: denoising steps.
        batch: pictures drawn at once; a fixed partition of the pairs, so part of what the bits depend on.
        seed: added to each pair's own seed.
        retarget: give the target's landmarks the identity's face shape (ours) instead of drawing them as read (the
            paper's way).
        scales: branch -> scale.
        guidance: condition -> guidance weight.
        identity_mode: ``prompt`` or ``branch``, see the pipeline.
        animate: move each drawn picture's face onto the target's landmarks, see `animation`.
        speed: ``exact``, ``fast``, or ``few`` with its own number of steps, see the pipeline.
        look_alikes: decoys a person, with the same skin, hair and glasses but another face shape; 0 leaves them out.
        draws: resamples of the bootstrap.
        cross_talk_people: people of the cross-talk matrix; 0 leaves it out.
        target_choice: ``balanced`` over emotions and intensities, see `targets`, or the ``first`` held-out people.
        development: other people and targets, to choose by: what was chosen on a benchmark's people is not held out.
    """

    people: int = 100
    targets: int = 20
    pairs_per_person: int | None = None
    conditions: tuple[str, ...] = DEFAULT_CONDITIONS
    steps: int = 25
    batch: int = 20
    seed: int = 0
    retarget: bool = False
    scales: Mapping[str, float] = field(default_factory=dict)
    guidance: Mapping[str, float] = field(default_factory=dict)
    identity_mode: str = "prompt"
    animate: bool = False
    speed: Speed = "exact"
    look_alikes: int = 4
    draws: int = 1000
    cross_talk_people: int = 24
    target_choice: Literal["balanced", "first"] = "balanced"
    development: bool = False

    def __post_init__(self) -> None:
        unknown = [name for name in self.conditions if name not in CONDITIONS]
        if unknown or not self.conditions:
            raise BadInput(
                f"Conditions must be some of {', '.join(CONDITIONS)}, not {', '.join(self.conditions) or 'none'}."
            )
        if self.people < 2 or self.targets < 2:
            raise BadInput("The benchmark needs at least 2 people and 2 targets: a single one cannot be shuffled.")
        if self.people > FIRST_TARGET - FIRST_PERSON:
            raise BadInput(f"There are {FIRST_TARGET - FIRST_PERSON} held-out people at most.")
        if self.pairs_per_person is not None and not 1 <= self.pairs_per_person <= self.targets:
            raise BadInput(f"Pairs per person must lie between 1 and the number of targets ({self.targets}).")
        if self.steps < 1 or self.batch < 1 or self.draws < 1 or self.look_alikes < 0:
            raise BadInput("Steps, batch and draws must be at least 1, look-alikes at least 0.")

    @property
    def first_person(self) -> int:
        """Seed of the first identity."""
        return FIRST_PERSON - DEVELOPMENT * self.development

    @property
    def first_target(self) -> int:
        """Seed of the first target's person."""
        return FIRST_TARGET - DEVELOPMENT * self.development

    def as_json(self) -> dict[str, Any]:
        """All settings."""
        return asdict(self) | {"conditions": list(self.conditions)}

    def for_model(self, spec: ModelSpec) -> ControlSettings:
        """These settings, as a model runs them."""
        changes: dict[str, Any] = {"scales": spec.scales, "guidance": spec.guidance, "retarget": spec.retarget}
        changes |= {"identity_mode": spec.mode, "animate": spec.animate, "speed": spec.speed}
        if spec.conditions is not None:
            changes["conditions"] = spec.conditions
        if spec.steps is not None:
            changes["steps"] = spec.steps
        return replace(self, **changes)

    def of_pictures(self) -> dict[str, Any]:
        """The settings that a drawn picture's pixels depend on; the number of people and targets is not among them."""
        parts = ("conditions", "steps", "batch", "seed", "retarget", "scales", "guidance", "pairs_per_person")
        found = {name: value for name, value in self.as_json().items() if name in parts}
        # named where they are not the usual, so that pictures of earlier runs keep their folder
        found |= {} if self.identity_mode == "prompt" else {"identity_mode": self.identity_mode}
        found |= {"animate": True} if self.animate else {}
        found |= {} if self.speed == "exact" else {"speed": self.speed}
        # batches are cut from the list of pairs, which these two lay out; all targets may be said in two ways
        return found | {"pairs_per_person": self.pairs_per_person or self.targets, "layout": [self.targets]}
