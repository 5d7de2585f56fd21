"""The attention processor: base attention, plus one scaled attention for each branch.

    out = Attn(Q, K_base, V_base) + sum_b s_b Attn(Q, K_b, V_b)      (FaceCrafter Eq. 1; EmojiDiff's parallel structure)

One class serves cross- and self-attention; each takes ``mien`` in its signature (diffusers hands a processor only
the keyword arguments that its signature names). A processor holds its block's key and the base's own processor,
nothing of a picture. Where no branch takes part it calls the base's processor: bit-equal to the model without mien.
"""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention, AttnProcessor, AttnProcessor2_0
from torch import Tensor, nn

from mien.adapters.plan import BranchPlan, BranchTerm, Tap, block_grids, scatter_rows
from mien.errors import BadInput, ConfigError

AttentionKind = Literal["auto", "explicit", "sdpa"]


def base_processor(kind: AttentionKind, own: Any) -> Any:
    """The processor that computes the base's attention while branches are injected.

    Args:
        kind: ``"auto"`` keeps the base's own; ``"explicit"`` is softmax(QK^T)V written out (on a CPU the backward
            pass of ``scaled_dot_product_attention`` is slow: 24 against 39 pictures a second in training);
            ``"sdpa"`` is ``scaled_dot_product_attention``.
        own: the base's own processor.

    Raises:
        ConfigError: if ``kind`` is none of these.
    """
    if kind == "auto":
        return own
    if kind == "explicit":
        return AttnProcessor()
    if kind == "sdpa":
        return AttnProcessor2_0()
    raise ConfigError(f"attention={kind!r} is unknown; choose auto, explicit or sdpa.")


def attend(attn: Attention, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, explicit: bool) -> Tensor:
    """Multi-head attention with the operations of diffusers' ``AttnProcessor`` (explicit) or ``AttnProcessor2_0``.

    Args:
        attn: the layer (heads, scale, upcasting, query and key norms).
        query: [B, S, hidden].
        key: [B, N, hidden].
        value: [B, N, hidden].
        mask: added to the scores, [B heads, 1, N] (as ``attn.prepare_attention_mask`` gives it) or [B heads, S, N].
        explicit: written-out softmax, else ``scaled_dot_product_attention``.

    Returns:
        [B, S, hidden], in the query's dtype.
    """
    if explicit:
        q, k, v = (attn.head_to_batch_dim(x) for x in (query, key, value))
        return attn.batch_to_head_dim(torch.bmm(attn.get_attention_scores(q, k, mask), v))
    batch, positions, hidden = query.shape
    shape = (batch, -1, attn.heads, hidden // attn.heads)
    q, k, v = (x.reshape(shape).transpose(1, 2) for x in (query, key, value))
    if attn.norm_q is not None:
        q = attn.norm_q(q)
    if attn.norm_k is not None:
        k = attn.norm_k(k)
    if mask is not None:
        mask = mask.view(batch, attn.heads, -1, mask.shape[-1])
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=0.0, is_causal=False)
    return out.transpose(1, 2).reshape(batch, positions, hidden).to(q.dtype)


def branch_output(attn: Attention, query: Tensor, term: BranchTerm, block: str, explicit: bool) -> Tensor:
    """s_b Attn(Q, K_b, V_b) for the rows of one branch.

    Args:
        attn: the layer.
        query: Q of all rows [B, S, hidden].
        term: the branch.
        block: the block's key.
        explicit: see :func:`attend`.

    Returns:
        [R, S, hidden].
    """
    if term.rows is not None:
        query = query.index_select(0, term.rows)
    bias = None
    if term.places is not None:
        bias = term.places.bias(block, query.shape[1]).to(query).repeat(len(query), 1, 1)
    out = attend(attn, query, term.keys[block].to(query.dtype), term.values[block].to(query.dtype), bias, explicit)
    weight = term.scale[:, None, None]
    if term.regions is not None:
        if query.shape[1] not in term.regions:
            raise BadInput(f"A region mask does not fit the block {block}: give the latent's height and width as grid.")
        weight = weight * term.regions[query.shape[1]]
    out = out * weight.to(out.dtype)
    # A dropped row must stay exactly unchanged even where its tokens are not finite.
    return out if term.active is None else torch.where(term.active[:, None, None], out, torch.zeros_like(out))


@cache
def _parameters(processor: type) -> frozenset[str]:
    """Names of the arguments that a kind of processor takes."""
    return frozenset(inspect.signature(processor.__call__).parameters)


class BranchedAttnProcessor:
    """Attention processor of one block while branches are injected.

    Args:
        block: the block's key.
        base: the processor that computes the base's attention.
        residual: where a branch of the serial site enters, what sees the residual stream; else None.
        serial: names of those branches.

    Example:
        >>> import torch
        >>> from diffusers.models.attention_processor import Attention, AttnProcessor
        >>> from mien.adapters import BranchedAttnProcessor
        >>> attention = Attention(query_dim=8, cross_attention_dim=6, heads=2, dim_head=4)
        >>> hidden, text = torch.zeros(1, 4, 8), torch.zeros(1, 3, 6)
        >>> attention.set_processor(BranchedAttnProcessor("attn2", AttnProcessor()))
        >>> attention(hidden, encoder_hidden_states=text).shape
        torch.Size([1, 4, 8])
    """

    def __init__(
        self, block: str, base: Any, residual: ResidualTap | None = None, serial: frozenset[str] = frozenset()
    ) -> None:
        self.block = block
        self.base = base
        self.residual = residual
        self.serial = serial
        self._accepted = _parameters(type(base))
        # Exact classes only: a subclass may compute something else.
        self._explicit = type(base) is AttnProcessor
        self._native = self._explicit or type(base) is AttnProcessor2_0

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        mien: BranchPlan | None = None,
        ip_adapter_masks: Any = None,
    ) -> Tensor:
        """Attention with all branches of ``mien`` that enter this block; see the module's equation."""
        terms = [term for term in mien.terms if self.block in term.keys] if mien is not None else []
        taps = mien.taps if mien is not None and encoder_hidden_states is not None else None
        if not terms and taps is None and not self._keeps_text(mien, encoder_hidden_states, attention_mask):
            if self.residual is not None:
                self.residual.forget()
            return self._call_base(attn, hidden_states, encoder_hidden_states, attention_mask, temb, ip_adapter_masks)
        assert mien is not None
        if mien.batch != hidden_states.shape[0] and (terms or mien.text is not None):
            raise BadInput(
                f"The UNet was called with {hidden_states.shape[0]} rows, but its branches hold {mien.batch}."
            )
        if not self._native or self.residual is not None:
            if taps is not None:
                raise ConfigError("Taps need plain attention at the parallel site; inject with attention='explicit'.")
            early = [term for term in terms if term.name not in self.serial]
            late = [term for term in terms if term.name in self.serial]
            if early and self._native:
                plan = mien._replace(taps=None)
                base = self._sum_before_out(attn, hidden_states, encoder_hidden_states, attention_mask, early, plan)
            else:
                base = self._call_base(
                    attn, hidden_states, encoder_hidden_states, attention_mask, temb, ip_adapter_masks
                )
                base = self._add_after_base(attn, hidden_states, base, early) if early else base
            if self.residual is None:
                return base
            if not late:
                self.residual.forget()
                return base
            # x += base and its branches, then x += to_out(Attn(to_q(norm2 x), K_e, V_e))
            return self._add_after_base(attn, self.residual.renormalise(base), base, late)
        plan = mien if taps is not None else mien._replace(taps=None)
        return self._sum_before_out(attn, hidden_states, encoder_hidden_states, attention_mask, terms, plan)

    def _keeps_text(self, plan: BranchPlan | None, text: Tensor | None, mask: Tensor | None) -> bool:
        """Whether this block's keys and values of the base's text are in the plan, and usable here."""
        usable = self._native and self.residual is None and text is not None and mask is None
        return usable and plan is not None and plan.text is not None and self.block in plan.text.keys

    def _call_base(self, attn: Attention, hidden: Tensor, text: Any, mask: Any, temb: Any, masks: Any) -> Tensor:
        extra = {} if masks is None or "ip_adapter_masks" not in self._accepted else {"ip_adapter_masks": masks}
        if temb is not None:
            extra["temb"] = temb
        return self.base(attn, hidden, encoder_hidden_states=text, attention_mask=mask, **extra)

    def _sum_before_out(
        self,
        attn: Any,
        hidden: Tensor,
        text: Tensor | None,
        mask: Tensor | None,
        terms: list[BranchTerm],
        plan: BranchPlan,
    ) -> Tensor:
        batch = len(hidden)
        if plan.text is not None and self._keeps_text(plan, text, mask):
            key, value = plan.text.of(self.block)
        else:
            source = hidden if text is None else attn.norm_encoder_hidden_states(text) if attn.norm_cross else text
            if mask is not None:
                mask = attn.prepare_attention_mask(mask, source.shape[1], batch)
            key, value = attn.to_k(source), attn.to_v(source)
        query = attn.to_q(hidden)
        total = base = attend(attn, query, key, value, mask, self._explicit)
        parts: dict[str, Tensor] = {}
        for term in terms:
            part = branch_output(attn, query, term, self.block, self._explicit)
            if plan.taps is None and term.rows is not None:
                total = total.index_add(0, term.rows, part)
                continue
            parts[term.name] = scatter_rows(part, term.rows, batch)
            total = total + parts[term.name]
        if plan.taps is not None:
            size = block_grids(plan.grid).get(hidden.shape[1])
            if size is None:
                raise BadInput(f"The grid {plan.grid} of the plan does not fit the block {self.block}.")
            plan.taps[self.block] = Tap(base, parts, total, size)
        out = attn.to_out[1](attn.to_out[0](total))
        return out / attn.rescale_output_factor

    def _add_after_base(self, attn: Any, hidden: Tensor, base: Tensor, terms: list[BranchTerm]) -> Tensor:
        """Add branches behind a finished attention: at the serial site, or to a base processor of another kind.

        ``to_out`` is affine, so for the parallel sum to_out(base + sum) = to_out(base) + to_out(sum) - bias. The serial
        term drops the bias too (*inferred*): a row of scale 0 must not move.
        """
        query = attn.to_q(hidden)
        total = torch.zeros_like(query)
        for term in terms:
            part = branch_output(attn, query, term, self.block, self._explicit or not self._native)
            total = total + scatter_rows(part, term.rows, len(hidden))
        out = attn.to_out[0](total)
        if attn.to_out[0].bias is not None:
            out = out - attn.to_out[0].bias
        return base + attn.to_out[1](out) / attn.rescale_output_factor


# diffusers asks for it whenever attention is computed, and making it takes as long as a small attention does
BranchedAttnProcessor.__call__.__signature__ = inspect.signature(BranchedAttnProcessor.__call__)


class ResidualTap:
    """Sees the residual stream of one transformer block just before its cross-attention (serial site).

    diffusers hands the attention layer only norm2(x); a hook on norm2 keeps x until the layer asks for it.
    """

    def __init__(self, norm: nn.Module) -> None:
        self._norm = [norm]  # in a list: never registered anywhere
        self._x: Tensor | None = None
        self._handle = norm.register_forward_pre_hook(self._see)

    def _see(self, _: nn.Module, arguments: tuple[Any, ...]) -> None:
        self._x = arguments[0]

    def renormalise(self, update: Tensor) -> Tensor:
        """norm2(x + update) for the x seen last; [B, S, channels]."""
        assert self._x is not None
        x, self._x = self._x, None
        return self._norm[0].forward(x + update)

    def forget(self) -> None:
        """Let go of x; nothing of a picture stays behind."""
        self._x = None

    def remove(self) -> None:
        """Take the hook off."""
        self._handle.remove()
        self.forget()
