"""Put branches into a UNet, and take them out again without a trace."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, cast

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mien.adapters.attention import AttentionKind, BranchedAttnProcessor, ResidualTap, base_processor
from mien.adapters.blocks import BlockSpec, attention_modules, describe_unet, select_blocks
from mien.adapters.branch import Branch
from mien.adapters.low_rank import attention_specs, put_low_rank
from mien.adapters.plan import BranchPlan, BranchTerm, DistanceBias, resize_masks
from mien.errors import BadInput, ConfigError

Scale = float | Tensor | Sequence[float]


class Injection:
    """Branches in a UNet, reversibly.

    Not an ``nn.Module``, and neither registers the UNet nor is registered in it: the UNet's state_dict, flags and
    modes never change, not even while injected. Eject puts back the very processors that were there.

    Args:
        unet: the base model (``UNet2DConditionModel``).
        branches: the branches, as a dict by name or a list (named by their ``label``).
        attention: how attention is computed while injected: ``"auto"`` as the base does it, ``"explicit"`` or
            ``"sdpa"`` (see :func:`base_processor`).
        static_shapes: keep rows of scale 0 in the computation and mask them, so that shapes do not depend on the
            scales (for ``torch.compile``); else only the rows that take part are computed.

    Raises:
        ConfigError: if a branch was made for other widths, or branches of the serial and parallel sites meet.

    Example:
        >>> injection = Injection(unet, {"landmarks": branch})  # doctest: +SKIP
        >>> with injection:  # doctest: +SKIP
        ...     kwargs = injection.condition({"landmarks": branch.encode(picture)}, {"landmarks": 1.0})
        ...     out = unet(sample, t, text, cross_attention_kwargs=kwargs).sample
    """

    def __init__(
        self,
        unet: nn.Module,
        branches: Mapping[str, Branch] | Iterable[Branch],
        *,
        attention: AttentionKind = "auto",
        static_shapes: bool = False,
    ) -> None:
        self._unet = [unet]  # in a list, so that an nn.Module holding this object does not register the UNet
        if not isinstance(branches, Mapping):
            listed = list(branches)
            branches = {branch.label: branch for branch in listed}
            if len(branches) != len(listed):
                raise ConfigError("Two branches have the same name; give them as a dict with different names.")
        self.branches: dict[str, Branch] = dict(cast(Mapping[str, Branch], branches))
        self.attention: AttentionKind = attention
        self.static_shapes = static_shapes
        self._kept: list[tuple[Attention, Any]] = []
        self._residuals: list[ResidualTap] = []
        self._updates: list[RemovableHandle] = []
        self._check()
        base_processor(attention, None)  # an unknown kind is refused here

    def _check(self) -> None:
        for name, branch in self.branches.items():
            there = describe_unet(self.unet, branch.site)
            wanted = branch.blocks
            if branch.low_rank is not None:
                there = attention_specs(self.unet)
                wanted = wanted | {key: BlockSpec(*spec) for key, spec in branch.config["lora"]["blocks"].items()}
            for key, spec in wanted.items():
                if key not in there or there[key][:2] != spec[:2]:
                    found = f"{there[key].hidden} wide, {there[key].heads} heads" if key in there else "absent"
                    raise ConfigError(
                        f"The branch {name!r} was made for another base: its block {key} is {spec.hidden} wide with "
                        f"{spec.heads} heads, here it is {found}."
                    )

    @property
    def unet(self) -> nn.Module:
        """The base model."""
        return self._unet[0]

    @property
    def injected(self) -> bool:
        """Whether the branches are in."""
        return bool(self._kept)

    def inject(self) -> Injection:
        """Put the branches in.

        Raises:
            ConfigError: if this or another injection is in already.
        """
        modules = list(attention_modules(self.unet))
        if any(isinstance(module.processor, BranchedAttnProcessor) for _, module in modules):
            raise ConfigError("Branches are in this UNet already: eject them first, or give all branches at once.")
        owners = dict(self.unet.named_modules())
        late = {name: branch for name, branch in self.branches.items() if branch.site == "serial"}
        for key, module in modules:
            own = module.processor
            residual, serial = None, frozenset(name for name, branch in late.items() if key in branch.blocks)
            if serial:
                residual = ResidualTap(owners[key.replace("/", ".").rpartition(".")[0]].norm2)  # type: ignore[arg-type]
                self._residuals.append(residual)
            self._kept.append((module, own))
            # Beside, not instead of: a processor that is a module stays registered, so no key of the UNet changes.
            processor = BranchedAttnProcessor(key, base_processor(self.attention, own), residual, serial)
            module.__dict__["processor"] = processor
        self._updates = put_low_rank(
            self.unet, [one.low_rank for one in self.branches.values() if one.low_rank is not None]
        )
        return self

    def eject(self) -> None:
        """Take the branches out; the UNet is as before, bit for bit. Nothing happens when they are not in."""
        for module, own in self._kept:
            module.__dict__.pop("processor", None)
            module._modules.pop("processor", None)
            if isinstance(own, nn.Module):
                module._modules["processor"] = own
            else:
                module.__dict__["processor"] = own
        for one in (*self._residuals, *self._updates):
            one.remove()
        self._kept, self._residuals, self._updates = [], [], []

    def __enter__(self) -> Injection:
        return self.inject()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.eject()

    def condition(
        self,
        tokens: Mapping[str, Tensor],
        scales: Mapping[str, Scale] | None = None,
        *,
        masks: Mapping[str, Tensor] | None = None,
        present: Mapping[str, Tensor] | None = None,
        evaluations: Sequence[Collection[str]] | None = None,
        blocks: Mapping[str, str | Sequence[str]] | None = None,
        steps: Mapping[str, tuple[float, float]] | None = None,
        grid: tuple[int, int] | None = None,
        taps: bool = False,
    ) -> dict[str, Any]:
        """Prepare the branches for UNet calls: keys and values are computed here, once, for all steps and blocks.

        When gradients are on, they are part of the graph: then prepare anew for each training step.

        Args:
            tokens: branch name -> c_b [B, N, D] from ``branch.encode``; branches left out take no part.
            scales: branch name -> s_b, one number or one a row [B]; 1 by default. A branch at 0 in every row is
                skipped; a row at 0 is exactly as without the branch.
            masks: branch name -> region [B, H, W] in [0, 1] of the picture in which it acts.
            present: branch name -> bool [B]; a row without its condition gets the branch's null: nothing (``cut``) or
                the tokens of zeros (``zeros``). Condition dropout in training.
            evaluations: for guidance: the rows of the UNet call are these sets, each for all B, in this order (row
                e B + i is picture i under set e); a branch is present where the set holds its name. One set of
                everything when None.
            blocks: branch name -> shell patterns of the blocks it enters, fewer than it has projections for.
            steps: branch name -> (start, end) fractions of the sampling; applied by ``BranchPlan.at``.
            grid: (h, w) of the latent, for masks, taps and local branches; the UNet's ``sample_size`` when None.
            taps: record attention outputs by block in ``plan.taps``.

        Returns:
            ``{"mien": plan}``, to be handed to the UNet as ``cross_attention_kwargs``.

        Raises:
            BadInput: for names that are no branch, or sizes that do not fit.
            ConfigError: for a block pattern that matches nothing.
        """
        options = {
            "tokens": tokens,
            "scales": scales,
            "masks": masks,
            "present": present,
            "blocks": blocks,
            "steps": steps,
        }
        for option, given in options.items():
            unknown = set(given or ()) - set(self.branches)
            if unknown:
                raise BadInput(
                    f"{option} names {', '.join(sorted(unknown))}, but the branches are {', '.join(self.branches)}."
                )
        sizes = {len(value) for value in tokens.values()}
        if len(sizes) > 1:
            raise BadInput(
                f"Tokens of different batch sizes {sorted(sizes)} were given; give one row for each picture."
            )
        pictures = sizes.pop() if sizes else 0
        sets = [set(tokens)] if evaluations is None else [set(names) for names in evaluations]
        grid = grid or self._latent_grid()
        terms = []
        for name, branch in self.branches.items():
            if name not in tokens:
                continue
            wanted = [pictures * [name in names] for names in sets]
            here = torch.tensor(wanted, dtype=torch.bool).flatten()
            given = None if present is None or name not in present else present[name]
            term = self._term(
                branch,
                name,
                tokens[name],
                1.0 if scales is None else scales.get(name, 1.0),
                here if given is None else here & given.cpu().bool().repeat(len(sets)),
                None if masks is None or name not in masks else resize_masks(masks[name], grid),
                (blocks or {}).get(name, "*"),
                grid,
            )
            if term is not None:
                terms.append(term._replace(steps=(steps or {}).get(name, (0.0, 1.0))))
        return {"mien": BranchPlan(tuple(terms), pictures * len(sets), grid, {} if taps else None)}

    def _latent_grid(self) -> tuple[int, int]:
        size = self.unet.config.sample_size  # type: ignore[union-attr]
        return (size, size) if isinstance(size, int) else tuple(size)  # type: ignore[return-value]

    def _term(
        self,
        branch: Branch,
        name: str,
        tokens: Tensor,
        scale: Scale,
        here: Tensor,
        regions: dict[int, Tensor] | None,
        patterns: str | Sequence[str],
        grid: tuple[int, int],
    ) -> BranchTerm | None:
        """One branch's term, or None when it acts in no row. ``here`` [rows] says which rows have the condition."""
        pictures = len(tokens)
        repeats = len(here) // pictures
        weights = torch.as_tensor(scale, dtype=torch.float32).cpu()
        if weights.ndim > 1 or weights.numel() not in (1, pictures):
            raise BadInput(f"The scale of {name} has the shape {tuple(weights.shape)}; give one number, or {pictures}.")
        weights = weights.expand(pictures).repeat(repeats)
        source = torch.arange(pictures).repeat(repeats)  # row -> row of the keys and values
        if branch.null == "zeros" and not bool(here.all()):
            tokens = torch.cat([tokens, branch.null_tokens(1).to(tokens).expand(1, tokens.shape[1], -1)])
            source = torch.where(here, source, pictures)
        else:
            weights = weights * here
        active = weights != 0
        if not bool(active.any()):
            return None
        kept = select_blocks(branch.blocks, patterns)
        keys, values = branch.keys_values(tokens)
        everyone = self.static_shapes or bool(active.all())
        rows = torch.arange(len(here)) if everyone else active.nonzero()[:, 0]
        device = tokens.device
        direct = len(rows) == len(tokens) and torch.equal(source[rows], torch.arange(len(tokens)))
        pick = source[rows].to(device)
        picture = (rows % pictures).to(device)
        sharpness = branch.sharpness()
        return BranchTerm(
            name=name,
            keys={key: keys[key] if direct else keys[key].index_select(0, pick) for key in kept},
            values={key: values[key] if direct else values[key].index_select(0, pick) for key in kept},
            scale=weights[rows].to(device),
            rows=None if everyone else rows.to(device),
            active=active.to(device) if self.static_shapes else None,
            regions=None if regions is None else {n: m.to(device).index_select(0, picture) for n, m in regions.items()},
            places=None if sharpness is None else DistanceBias(sharpness, cast(int, branch.encoder.grid), grid),
        )
