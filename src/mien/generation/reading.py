"""The pipeline's reader: pictures, poses and emotions to conditions, by the mechanism of `mien.generate`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mien.errors import BadInput
from mien.generation.conditioning import build_inputs, open_inputs, pipeline_arguments
from mien.generation.request import GenerateRequest
from mien.generation.tools import FaceTools
from mien.pipelines.load import branch_kinds, picture_size
from mien.pipelines.load_options import Loading

if TYPE_CHECKING:
    from mien.pipelines.portrait import PortraitPipeline
    from mien.pipelines.reading import EmotionLike, ExpressionLike, IdentityLike, PoseLike, Prompt


@dataclass(frozen=True)
class PictureReader:
    """Reads pictures and poses for a pipeline: a `mien.pipelines.reading.ConditionReader`.

    The networks that read faces are loaded when the first picture comes.

    Attributes:
        base: what the pipeline was loaded from.
        reader: who reads faces, see `mien.faces.names`.
        loading: how it was loaded, for the records of its pictures.
    """

    base: str
    reader: str = "auto"
    loading: Loading = field(default_factory=Loading)

    @cached_property
    def tools(self) -> FaceTools:
        """The networks."""
        return FaceTools.load(self.base, self.reader)

    def __call__(
        self,
        pipeline: PortraitPipeline,
        *,
        prompt: Prompt,
        identity: IdentityLike | None,
        expression: ExpressionLike | None,
        pose: PoseLike | None,
        emotion: EmotionLike | None,
    ) -> dict[str, Any]:
        """See `mien.pipelines.reading.ConditionReader`."""
        given = {"prompt": prompt, "identity": identity, "expression": expression, "pose": pose, "emotion": emotion}
        rows = batch_rows({name: value for name, value in given.items() if value is not None})
        inputs = []
        for row in rows:
            request = GenerateRequest.checked(**row)
            inputs.append(
                build_inputs(request, open_inputs(request), self.tools, picture_size(pipeline), branch_kinds(pipeline))
            )
        return pipeline_arguments(inputs)


def batch_rows(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One mapping for each row of a batch: lists give a value each, single values go to every row.

    Raises:
        BadInput: if two lists have different lengths, or one is empty.
    """
    lists = {name: value for name, value in given.items() if isinstance(value, list | tuple)}
    lengths = {name: len(value) for name, value in lists.items()}
    rows = max(lengths.values(), default=1)
    if any(length not in (1, rows) or length == 0 for length in lengths.values()):
        counted = ", ".join(f"{length} for {name}" for name, length in lengths.items())
        raise BadInput(f"The lists have different lengths ({counted}); give one value, or as many for each.")
    return [
        {name: value[row % len(value)] if name in lists else value for name, value in given.items()}
        for row in range(rows)
    ]
