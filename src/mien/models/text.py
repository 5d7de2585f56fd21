"""Text encoder, tokenizer and identity prompts.

Arc2Face puts a face into the prompt "photo of a id person": the token embedding of ``id`` is replaced by the face
embedding, zero-padded to the text encoder's width. Here this works for any width: the padded embedding is cut into
as many consecutive tokens as it needs (one at 768, as upstream; two at 256: *inferred*). The replacement is a hook on
the token embedding, so it is batch-safe and does not depend on how a transformers release spells CLIP's forward.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from mien.errors import BadInput

if TYPE_CHECKING:
    from transformers import CLIPTextModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast


CLIP_LENGTH = 77
"""Tokens that CLIP's text models read at once, its two marks among them: longer prompts are read in chunks of 75."""
ID_PROMPT = "photo of a id person"
ID_TOKEN = "id"


class TextOutput(Protocol):
    """What CLIP's text models return.

    Attributes:
        last_hidden_state: [B, L, D].
        hidden_states: [B, L, D] before and after each layer, where they are asked for.
        text_embeds: [B, F], of models with a projection.
    """

    last_hidden_state: Tensor
    hidden_states: tuple[Tensor, ...]
    text_embeds: Tensor

    def items(self) -> Iterable[tuple[str, Any]]: ...  # noqa: D102

    def __setitem__(self, name: str, value: Any, /) -> None: ...


def identity_tokens(hidden_size: int, identity_size: int = 512) -> int:
    """How many token embeddings of ``hidden_size`` a face embedding of ``identity_size`` needs.

    Example:
        >>> from mien.models import identity_tokens
        >>> identity_tokens(256), identity_tokens(768)
        (2, 1)
    """
    return -(-identity_size // hidden_size)


def encode_prompt(
    tokenizer: PreTrainedTokenizerBase,
    text_encoder: nn.Module,
    prompts: list[str],
    identity: Tensor | None = None,
    chunks: int = 1,
) -> Tensor:
    """Encode prompts, with the ``id`` token of each replaced by a face embedding.

    Args:
        tokenizer: transformers tokenizer in which ``id`` is one token.
        text_encoder: CLIP text model.
        prompts: B strings; a prompt without the word ``id`` ignores its identity row.
        identity: [B, 512] face embeddings, L2 norm 1, or None.
        chunks: n, see :func:`prompt_output`.

    Returns:
        Last hidden states [B, n L, D], L the tokenizer's ``model_max_length``.

    Raises:
        BadInput: if the numbers of prompts and identities differ.

    Example:
        >>> from mien.models import build_text_encoder, encode_prompt, train_tokenizer
        >>> tokenizer = train_tokenizer(["a person with red hair", "round glasses"], vocabulary=100, length=16)
        >>> text_encoder = build_text_encoder(tokenizer, hidden=64, layers=1, intermediate=16)
        >>> encode_prompt(tokenizer, text_encoder, ["red hair", "glasses"]).shape
        torch.Size([2, 16, 64])
    """
    return prompt_output(tokenizer, text_encoder, prompts, identity, chunks).last_hidden_state


def prompt_output(
    tokenizer: PreTrainedTokenizerBase,
    text_encoder: nn.Module,
    prompts: list[str],
    identity: Tensor | None = None,
    chunks: int = 1,
    **options: Any,
) -> TextOutput:
    """The text encoder's whole output; see :func:`encode_prompt`.

    Args:
        tokenizer: as there.
        text_encoder: as there.
        prompts: as there.
        identity: as there.
        chunks: n, in how many pieces the prompts are read; see :func:`tokenize_chunks`. Their states stand one behind
            the other, [B, n L, D]; pooled vectors are those of the first piece, as in ComfyUI and WebUI.
        options: further arguments of its forward.
    """
    weight = text_encoder.get_input_embeddings().weight  # type: ignore[operator]
    count = identity_tokens(weight.shape[1]) if identity is not None else 1
    if chunks == 1:
        ids = tokenize(tokenizer, prompts, count)[:, None]
    else:
        ids = tokenize_chunks(tokenizer, prompts, count, chunks)
    output = ids_output(
        text_encoder, ids.flatten(0, 1).to(weight.device), identity, id_token_of(tokenizer), chunks, **options
    )
    return output if chunks == 1 else _joined(output, len(prompts))


def _joined(output: TextOutput, rows: int) -> TextOutput:
    """The output for B n pieces as that for B prompts."""
    for name, value in list(output.items()):
        if name == "hidden_states":
            output[name] = tuple(one.reshape(rows, -1, one.shape[-1]) for one in value)
        elif isinstance(value, Tensor):
            whole = value.reshape(rows, -1, value.shape[-1])
            output[name] = whole[:, 0] if value.ndim == 2 else whole
    return output


def tokenize(tokenizer: PreTrainedTokenizerBase, prompts: Iterable[str], id_count: int) -> Tensor:
    """As :func:`token_ids`, with a warning that says what is cut."""
    texts = list(prompts)
    ids = token_ids(tokenizer, texts, id_count)
    say_what_is_cut(tokenizer, texts, id_count)
    return ids


def token_ids(tokenizer: PreTrainedTokenizerBase, prompts: Iterable[str], id_count: int) -> Tensor:
    """Token ids [B, L], padded and cut to ``model_max_length``; the first ``id`` becomes ``id_count`` tokens.

    Raises:
        BadInput: if the tokenizer has no token to pad with.
    """
    if tokenizer.pad_token is None:
        raise BadInput(
            "The base's tokenizer has no padding token, as text encoders need: get another copy of the base."
        )
    return tokenizer(
        _with_pieces(prompts, id_count), padding="max_length", truncation=True,
        max_length=tokenizer.model_max_length, return_tensors="pt",
    ).input_ids  # fmt: skip


def tokenizer_key(tokenizer: PreTrainedTokenizerBase) -> str:
    """Short hash of what token ids depend on: the tokenizer itself, what it pads with and how long prompts may be."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    about: dict[str, Any] = tokenizer.get_vocab() if backend is None else json.loads(backend.to_str())
    for state in ("padding", "truncation"):  # of its last call
        about = {name: value for name, value in about.items() if backend is None or name != state}
    said = json.dumps([about, tokenizer.model_max_length, tokenizer.pad_token_id], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def chunks_of(tokenizer: PreTrainedTokenizerBase, prompts: Iterable[str], id_count: int) -> int:
    """In how many pieces the longest of the prompts is read; one where the text encoder is not CLIP's.

    Others were trained on whole prompts alone, and do not know a second piece.
    """
    if tokenizer.model_max_length != CLIP_LENGTH:
        return 1
    longest = max((len(ids) for ids in _plain_ids(tokenizer, _with_pieces(prompts, id_count))), default=0)
    return max(1, -(-longest // (CLIP_LENGTH - 2)))


def readable(tokenizer: PreTrainedTokenizerBase, prompt: str, id_count: int, before: str = "") -> str:
    """The words of a prompt, from its first, that are read; all of them where it is read in chunks.

    Args:
        tokenizer: of the text encoder.
        prompt: what was asked for.
        id_count: tokens of a face.
        before: what is put in front of it.
    """
    if tokenizer.model_max_length == CLIP_LENGTH:
        return prompt
    ends = [match.end() for match in re.finditer(r"\S+", prompt)]
    for end in reversed(ends):
        (ids,) = _plain_ids(tokenizer, _with_pieces([before + prompt[:end]], id_count))
        if len(ids) <= tokenizer.model_max_length - 2:
            return prompt if end == ends[-1] else prompt[:end]
    return "" if ends else prompt


def tokenize_chunks(tokenizer: PreTrainedTokenizerBase, prompts: Iterable[str], id_count: int, chunks: int) -> Tensor:
    """Token ids [B, n, L] of prompts in pieces of L - 2 tokens, each between marks of its own and padded.

    As in WebUI (AUTOMATIC1111) and ComfyUI, where prompts of any length act; a prompt of fewer pieces than the others
    is filled up with empty ones.
    """
    room = tokenizer.model_max_length - 2
    rows = []
    for ids in _plain_ids(tokenizer, _with_pieces(prompts, id_count)):
        pieces = [ids[start : start + room] for start in range(0, chunks * room, room)]
        rows.append([
            [tokenizer.bos_token_id, *piece, tokenizer.eos_token_id, *[tokenizer.pad_token_id] * (room - len(piece))]
            for piece in pieces
        ])  # fmt: skip
    return torch.tensor(rows)


def _with_pieces(prompts: Iterable[str], id_count: int) -> list[str]:
    """Prompts with as many ``id`` for the first one as a face takes tokens."""
    repeated = " ".join([ID_TOKEN] * id_count)
    return [re.sub(rf"\b{ID_TOKEN}\b", repeated, prompt, count=1) for prompt in prompts]


def _plain_ids(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """Token ids of each text, whole and without marks."""
    return tokenizer(texts, add_special_tokens=False, verbose=False).input_ids if texts else []


def say_what_is_cut(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], id_count: int) -> None:
    """Warn of prompts that are longer than what the base reads at once, and say what is left out of the first."""
    room = tokenizer.model_max_length - 2
    rests = [ids[room:] for ids in _plain_ids(tokenizer, _with_pieces(prompts, id_count)) if len(ids) > room]
    if rests:
        what = "a prompt is" if len(prompts) == 1 else f"{len(rests)} of {len(prompts)} prompts are"
        rest = tokenizer.decode(rests[0])
        warnings.warn(f"{what} longer than the {room} tokens that this base reads; left out: {rest!r}", stacklevel=3)


def encode_ids(text_encoder: nn.Module, ids: Tensor, identity: Tensor | None, id_token: int) -> Tensor:
    """Last hidden states [B, L, D] for token ids [B, L]; see :func:`encode_prompt`."""
    return ids_output(text_encoder, ids, identity, id_token).last_hidden_state


def ids_output(
    text_encoder: nn.Module, ids: Tensor, identity: Tensor | None, id_token: int, chunks: int = 1, **options: Any
) -> TextOutput:
    """The text encoder's whole output for token ids [B n, L] of B prompts; see :func:`prompt_output`."""
    if identity is None:
        return text_encoder(ids, **options)
    if len(ids) != chunks * len(identity):
        raise BadInput(
            f"{len(ids) // chunks} prompts but {len(identity)} identities; give one identity for each prompt."
        )

    def put_identity(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        return _replace(output, ids, identity, id_token)

    handle = text_encoder.get_input_embeddings().register_forward_hook(put_identity)  # type: ignore[operator]
    try:
        return text_encoder(ids, **options)
    finally:
        handle.remove()


def _replace(embeddings: Tensor, ids: Tensor, identity: Tensor, id_token: int) -> Tensor:
    """Rows of ``embeddings`` [B n, L, D] at the first ``id`` tokens become pieces of ``identity`` [B, 512]."""
    width, shape = embeddings.shape[-1], embeddings.shape
    embeddings, ids = embeddings.reshape(len(identity), -1, width), ids.reshape(len(identity), -1)
    count = identity_tokens(width, identity.shape[-1])
    padded = nn.functional.pad(identity, (0, count * width - identity.shape[-1])).to(embeddings)
    pieces = padded.reshape(-1, count, width)
    found = (ids == id_token).to(embeddings.device)
    order = found.cumsum(1) - 1  # 0, 1, ... along the id tokens of each row
    chosen = found & (order < count)
    index = order.clamp(0, count - 1).unsqueeze(-1).expand(-1, -1, width)
    return torch.where(chosen.unsqueeze(-1), pieces.gather(1, index), embeddings).reshape(shape)


def _id_token(tokenizer: PreTrainedTokenizerBase) -> str:
    """CLIP's vocabulary writes a whole word with an end-of-word mark; the studio's does not."""
    marked = f"{ID_TOKEN}</w>"
    return marked if tokenizer.convert_tokens_to_ids(marked) not in (None, tokenizer.unk_token_id) else ID_TOKEN


def id_token_of(tokenizer: PreTrainedTokenizerBase) -> int:
    """The number of the token that a face embedding replaces."""
    found = tokenizer.convert_tokens_to_ids(_id_token(tokenizer))
    assert isinstance(found, int)  # a list for several tokens
    return found


def train_tokenizer(captions: Iterable[str], vocabulary: int = 1024, length: int = 48) -> PreTrainedTokenizerFast:
    """Train a lower-case byte-pair tokenizer on captions; ``id`` is always one token.

    Returns:
        ``transformers.PreTrainedTokenizerFast`` with bos, eos, pad and unk tokens.

    Example:
        >>> from mien.models import train_tokenizer
        >>> tokenizer = train_tokenizer(["a person with red hair", "round glasses"], vocabulary=300, length=16)
        >>> tokenizer.tokenize("a person id")
        ['a', 'person', 'id']
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<bos>", "<eos>", "<unk>"]
    core = Tokenizer(models.BPE(unk_token="<unk>"))
    core.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])  # type: ignore[assignment]
    core.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    alphabet = [chr(code) for code in range(33, 127)]
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=special, initial_alphabet=alphabet)
    core.train_from_iterator([*captions, *[ID_PROMPT] * 100], trainer)
    core.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single="<bos> $A <eos>", special_tokens=[("<bos>", 1), ("<eos>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, model_max_length=length, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>",
        unk_token="<unk>", clean_up_tokenization_spaces=False,
    )  # fmt: skip


def load_or_train_tokenizer(folder: Path, captions: Iterable[str]) -> PreTrainedTokenizerFast:
    """The tokenizer kept in ``folder``, trained on the captions the first time.

    Example:
        >>> from pathlib import Path
        >>> from mien.models import load_or_train_tokenizer
        >>> tokenizer = load_or_train_tokenizer(Path("tokenizer"), ["a person with red hair", "round glasses"])
        >>> len(load_or_train_tokenizer(Path("tokenizer"), [])) == len(tokenizer)  # the second time it is only read
        True
    """
    from transformers import PreTrainedTokenizerFast

    if not (folder / "tokenizer.json").exists():
        train_tokenizer(captions).save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def build_text_encoder(
    tokenizer: PreTrainedTokenizerBase, hidden: int = 256, layers: int = 3, intermediate: int = 512
) -> CLIPTextModel:
    """A small CLIP text model (about 1.9 M parameters) for the studio.

    Example:
        >>> from mien.models import build_text_encoder, train_tokenizer
        >>> tokenizer = train_tokenizer(["a person with red hair", "round glasses"], vocabulary=100, length=16)
        >>> build_text_encoder(tokenizer, hidden=64, layers=1, intermediate=16).config.hidden_size
        64
    """
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=hidden, intermediate_size=intermediate, num_hidden_layers=layers,
        num_attention_heads=hidden // 32, max_position_embeddings=tokenizer.model_max_length,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, projection_dim=hidden,
    )  # fmt: skip
    return CLIPTextModel(config)
