"""What a set of pairs is made of, and the file that says so (``pairs.json``)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mien.core.strict import StrictModel
from mien.data.idi import defaults

SETTINGS_FILE = "pairs.json"


class Thresholds(StrictModel):
    """What a template must pass. S is the template, E the target picture.

    Attributes:
        exp: largest Exp(S, E), mean over the 52 blendshapes.
        lms: largest LMS(S, E).
        identity: largest cosine of the identity embeddings of S and E.
        sharpness: least sharpness of S against that of E (variance of the Laplacian of the face); 0 keeps all.
        quality: least quality of S as LIQE sees it, 1 to 5; None where LIQE is not asked.
        direction: ``keep`` keeps what is within exp and lms; ``exclude`` is the paper's sentence as it stands
            ("excluding the data with Exp <= 0.05 and LMS <= 0.18"), which keeps the rest (DESIGN section 2: reversed).
    """

    exp: float = Field(default=defaults.EXP, gt=0)
    lms: float = Field(default=defaults.LMS, gt=0)
    identity: float = Field(default=defaults.IDENTITY, ge=-1, le=1)
    sharpness: float = Field(default=defaults.SHARPNESS, ge=0)
    quality: float | None = Field(default=None, ge=1, le=5)
    direction: Literal["keep", "exclude"] = defaults.DIRECTION


class PairsRequest(StrictModel):
    """Everything the bytes of a set of pairs depend on.

    Attributes:
        data: sha256 of the data set's shards.
        models: what draws and reads -> sha256 of its file.
        maker: how templates are made: ``redraw``, ``onnx`` or ``oracle``.
        kit: sha256 of the face kit that the oracle renders; None for other makers.
        identity_mode: ``prompt`` or ``branch``, see the pipeline.
        conditions: what the restruct picture takes from E: the expression, and E's landmarks if named.
        strength: share of the denoising steps that the redraw runs.
        thresholds: of the filters.
        attempts: templates tried for a target before it is given up.
        targets: number of targets, the first of the data set.
        steps: denoising steps.
        scales: branch -> scale.
        guidance: condition -> weight.
        batch: attempts drawn at once.
        per_shard: pairs in a shard.
        seed: of people and noise.
    """

    data: str
    models: dict[str, str]
    maker: Literal["redraw", "onnx", "oracle"] = "redraw"
    kit: str | None = None
    identity_mode: Literal["prompt", "branch"] = "prompt"
    conditions: tuple[Literal["expression", "landmarks"], ...] = ("expression",)
    strength: float = Field(default=defaults.STRENGTH, gt=0, le=1)
    thresholds: Thresholds = Thresholds()
    attempts: int = Field(default=defaults.ATTEMPTS, ge=1, le=100)
    targets: int = Field(ge=1)
    steps: int = Field(default=defaults.STEPS, ge=1)
    scales: dict[str, float] = Field(default_factory=dict)
    guidance: dict[str, float] = Field(default_factory=dict)
    batch: int = Field(default=defaults.BATCH, ge=1)
    per_shard: int = Field(default=defaults.PER_SHARD, ge=1)
    seed: int = Field(default=defaults.SEED, ge=0)

    def stated(self) -> dict[str, Any]:
        """What ``pairs.json`` holds: JSON values, of a quality that is not asked for nothing, as before it could be."""
        found = self.model_dump(mode="json")
        if self.thresholds.quality is None:
            del found["thresholds"]["quality"]
        return found

    @property
    def batches(self) -> int:
        """Number of batches of targets."""
        return -(-self.targets // self.batch)

    def rows(self, batch: int) -> range:
        """Targets of a batch: a matter of the request alone."""
        return range(batch * self.batch, min((batch + 1) * self.batch, self.targets))
