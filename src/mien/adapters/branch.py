"""One condition of a UNet: its encoder, and a key and a value projection for each block it enters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from mien.adapters.blocks import SITES, BlockSpec, Site, attention_modules, describe_unet
from mien.adapters.encoders import build_encoder, encode
from mien.adapters.low_rank import attention_specs, build_low_rank
from mien.errors import BadInput, ConfigError

Null = Literal["cut", "zeros"]
Init = Literal["zero", "copy"]


class Projections(nn.Module):
    """A branch's key and value projections in one block, without bias.

    Args:
        token_dim: D, width of a token.
        hidden: width of the block's keys and values.
        local_heads: number of heads with a learned sharpness of place; 0 for none (see :class:`Branch`).
    """

    def __init__(self, token_dim: int, hidden: int, local_heads: int = 0) -> None:
        super().__init__()
        self.to_k = nn.Linear(token_dim, hidden, bias=False)
        self.to_v = nn.Linear(token_dim, hidden, bias=False)
        self.sharpness = nn.Parameter(torch.linspace(2.0, 12.0, local_heads)) if local_heads else None


class Branch(ModelMixin, ConfigMixin):
    """A condition as a branch: tokens c_b [B, N, D], and K_b = c_b W_k, V_b = c_b W_v in each block.

    Its parameters live here, never in the UNet. Build one with :meth:`for_unet`.

    Args:
        kind: what it reads: ``identity``, ``expression``, ``landmarks`` or ``emotion``.
        blocks: block key -> [hidden, heads, cross_dim] (:class:`BlockSpec`).
        token_dim: D, width of a token.
        name: its name where several branches meet; the kind when None.
        null: what a missing condition means: ``"cut"`` (FaceCrafter sec. 3.3: no attention term at all) or
            ``"zeros"`` (stock IP-Adapter: the tokens of a zero embedding).
        site: where it enters (EmojiDiff suppl. A.2): ``parallel``, ``serial``, ``self``, or ``controlnet``: then it
            only makes tokens, which a ControlNet beside the UNet attends to in the place of the text.
        encoder_config: settings of the encoder.
        local: tokens that lie on a grid of the picture are attended by distance too: each head adds
            -(g d)^2 / 2 to its scores, d the distance of query and token in sides of the picture, g a learned
            sharpness (*ours*, off for the papers' sizes). The studio's small UNet has no sense of place to match the
            tokens' positions with; this gives it one, and a landmark branch takes hold in minutes.
        lora: ``{"rank": r, "blocks": {key: [hidden, heads, cross_dim]}}`` of low-rank updates of the base's own
            attention that belong to the branch, as in IP-Adapter-FaceID's files. While the branch is in, they act on
            every row, whatever its scale.

    Example:
        >>> import torch
        >>> from diffusers import UNet2DConditionModel
        >>> from mien.adapters import Branch, unet_config
        >>> with torch.device("meta"):
        ...     unet = UNet2DConditionModel.from_config(unet_config("studio"))
        >>> branch = Branch.for_unet(unet, "emotion", 16, encoder={"hidden": 8, "tokens": 2})
        >>> branch.encode(torch.zeros(1, 10)).shape
        torch.Size([1, 2, 16])
    """

    @register_to_config
    def __init__(
        self,
        kind: str,
        blocks: Mapping[str, Sequence[int]],
        token_dim: int,
        name: str | None = None,
        null: Null = "cut",
        site: Site = "parallel",
        encoder_config: dict[str, Any] | None = None,
        local: bool = False,
        lora: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if null not in ("cut", "zeros"):
            raise ConfigError(f"null={null!r} is unknown; choose cut or zeros.")
        if site not in SITES:
            raise ConfigError(f"site={site!r} is unknown; choose among {', '.join(SITES)}.")
        self.kind = kind
        self.label = name or kind
        self.null: Null = null
        self.site: Site = site
        self.blocks = {key: BlockSpec(*spec) for key, spec in blocks.items()}
        self.encoder = build_encoder(kind, token_dim, dict(encoder_config or {}))
        if local and self.encoder.grid is None:
            raise ConfigError(f"local=True needs tokens on a grid, which the {kind} encoder does not make; leave it.")
        self.kv = nn.ModuleDict(
            {key: Projections(token_dim, spec.hidden, spec.heads if local else 0) for key, spec in self.blocks.items()}
        )
        self.low_rank = build_low_rank(**lora) if lora else None

    @classmethod
    def for_unet(
        cls,
        unet: nn.Module,
        kind: str,
        token_dim: int,
        *,
        name: str | None = None,
        null: Null = "cut",
        site: Site = "parallel",
        init: Init = "zero",
        blocks: Mapping[str, BlockSpec] | None = None,
        encoder: dict[str, Any] | None = None,
        local: bool = False,
        lora_rank: int = 0,
    ) -> Branch:
        """Make a fresh branch for a base model.

        Args:
            unet: the base; only its widths are read (and its K/V with ``init="copy"``).
            kind: see the class.
            token_dim: D; with ``init="copy"`` it must be the base's text width.
            name: see the class.
            null: see the class.
            site: see the class.
            init: ``"zero"``: every ``to_v`` starts at zero, so the branch adds exactly nothing at first; ``to_v`` gets
                gradients at once, keys and encoder from the second step on. ``"copy"``: the base's own ``to_k`` and
                ``to_v``, as IP-Adapter starts.
            blocks: the blocks to enter (see :func:`select_blocks`); all when None.
            encoder: settings of the encoder.
            local: see the class.
            lora_rank: rank of low-rank updates of all attention layers; 0 for none.

        Raises:
            ConfigError: if ``init="copy"`` meets another width.
        """
        chosen = describe_unet(unet, site) if blocks is None else dict(blocks)
        lists = {key: list(spec) for key, spec in chosen.items()}
        every = {key: list(spec) for key, spec in attention_specs(unet).items()} if lora_rank else {}
        branch = cls(
            kind, lists, token_dim, name=name, null=null, site=site, encoder_config=encoder or {}, local=local,
            lora={"rank": lora_rank, "blocks": every} if lora_rank else None,
        )  # fmt: skip
        if init == "zero":
            for pair in branch.projections().values():
                nn.init.zeros_(pair.to_v.weight)
        elif init == "copy":
            branch._copy_base(unet, token_dim)
        else:
            raise ConfigError(f"init={init!r} is unknown; choose zero or copy.")
        return branch

    def _copy_base(self, unet: nn.Module, token_dim: int) -> None:
        own = self.projections()
        for key, module in attention_modules(unet):
            if key not in own:
                continue
            to_k, to_v = cast(nn.Linear, module.to_k), cast(nn.Linear, module.to_v)
            if to_k.in_features != token_dim:
                raise ConfigError(f"init='copy' needs the base's text width {to_k.in_features}, not {token_dim}.")
            with torch.no_grad():
                own[key].to_k.weight.copy_(to_k.weight)
                own[key].to_v.weight.copy_(to_v.weight)

    def projections(self) -> dict[str, Projections]:
        """Block key -> its key and value projections."""
        return {key: cast(Projections, pair) for key, pair in self.kv.items()}

    def encode(self, condition: Tensor) -> Tensor:
        """Condition -> tokens [B, N, D].

        Args:
            condition: landmarks: picture [B, 3, H, W] in [-1, 1], or uint8 [B, H, W, 3]; emotion: [B, 10]; identity:
                [B, 512]; expression: image-encoder features [B, F] or [B, N, F].

        Raises:
            BadInput: if the number of axes or the width is wrong.
        """
        expected = len(self.encoder.condition_shape) + 1
        if condition.ndim != expected:
            raise BadInput(f"The {self.label} branch takes {expected} axes, batch first, not {tuple(condition.shape)}.")
        width = self.encoder.condition_shape[-1]
        if expected < 4 and condition.shape[-1] != width:  # a picture is brought to its size
            raise BadInput(f"The {self.label} branch reads vectors of {width} numbers, not of {condition.shape[-1]}.")
        return encode(self.encoder, condition)

    def null_tokens(self, batch: int) -> Tensor:
        """Tokens [B, N, D] of the condition that stands for none (used where ``null`` is ``"zeros"``)."""
        return self.encode(self.encoder.null(batch))

    def forward(self, condition: Tensor) -> Tensor:
        """Same as :meth:`encode`."""
        return self.encode(condition)

    def keys_values(self, tokens: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """K_b and V_b of every block.

        Args:
            tokens: [B, N, D].

        Returns:
            block key -> [B, N, hidden], once for keys and once for values; inside the graph when training.
        """
        weight = next(self.kv.parameters())
        tokens = tokens.to(device=weight.device, dtype=weight.dtype)
        pairs = self.projections()
        keys = {key: pair.to_k(tokens) for key, pair in pairs.items()}
        return keys, {key: pair.to_v(tokens) for key, pair in pairs.items()}

    def sharpness(self) -> dict[str, Tensor] | None:
        """Block key -> sharpness [heads] of a local branch, None for any other."""
        pairs = self.projections()
        return {key: cast(Tensor, pair.sharpness) for key, pair in pairs.items()} if self.config["local"] else None

    def parts(self) -> dict[str, int]:
        """Number of parameters of the encoder, of the key and value projections, and of a LoRA where there is one."""
        parts = {"encoder": self.encoder, "kv": self.kv} | (
            {"lora": self.low_rank} if self.low_rank is not None else {}
        )
        return {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
