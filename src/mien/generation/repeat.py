"""A recorded picture drawn again, bit for bit."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mien import __version__
from mien.core.io import sha256_of
from mien.errors import BadInput
from mien.generation.generate import generate, picture_files
from mien.generation.records import hashes
from mien.generation.request import (
    LOCAL,
    ROLES,
    GenerateRequest,
    InputPicture,
    input_fields,
    names_a_file,
)
from mien.generation.tools import FaceTools
from mien.media.pictures import as_picture, pixel_hash
from mien.pipelines.load import load_pipeline
from mien.pipelines.load_options import Loading
from mien.provenance.png import FORMATS, picture_format, read_record
from mien.provenance.record import Record

_OTHER_COMMANDS = {"animation": "animate", "demo": "demo", "evaluation": "evaluate"}
"""Setting that only the records of another command hold -> that command."""
MOST_THREADS = 256
"""Of a recorded picture that is drawn again."""
_GIVEN_WITH = {"adapter": "adapter", "few_step": "adapter", "lora": "lora", "image_encoder": "image-encoder"}
"""Kind of a model that is added to a base -> the option that it is given with."""


def repeat(
    file: Path,
    inputs: Mapping[str, Path | None],
    output: Path,
    *,
    form: str | None = None,
    base: str | None = None,
    loading: Loading | None = None,
    **options: Any,
) -> list[Path]:
    """Draw the picture in ``file`` again from the same inputs.

    Args:
        file: a picture with a record.
        inputs: role -> file, for the roles that the picture was made with.
        output: folder or name of the new file.
        form: its format, where the name does not say; that of ``file`` when None.
        base: where the models are, if they came from a folder or a file.
        loading: the adapters and LoRA files that were used, and where to run; the rest is as recorded.
        options: as for `generate`.

    Returns:
        The one file written.

    Raises:
        BadInput: if ``file`` has no record or would be written over, an input is missing, superfluous or not the
            recorded one, or the models differ.
    """
    record = read_record(file)
    for setting, command in _OTHER_COMMANDS.items():
        if setting in record.settings:
            raise BadInput(f"{file} was not made by  mien generate: give  mien {command}  the same again.")
    as_recorded = check_inputs(record, inputs, file)
    if record.settings.get("base") == LOCAL and base is None:
        raise BadInput(f"{file} was made with models from a folder or a file: give it with --base.")
    chosen: dict[str, Any] = {} if base is None else {"base": base}
    if form is None and not names_a_file(output) and file.suffix.lower() in FORMATS:
        form = picture_format(file).lower()
    chosen |= {"loading": (loading or Loading()).repeated(record.settings.get("loading", {})), "output": output}
    chosen["format"] = form
    wanted = GenerateRequest.checked(**{**record.settings, **input_fields(as_recorded), **chosen})
    picture_files(wanted, [record.index], [file, *(path for path in inputs.values() if path is not None)])
    before = sha256_of(file)
    if record.mien != __version__:
        warnings.warn(f"{file} was made by mien {record.mien}, this is {__version__}: bits may differ", stacklevel=2)
    with _threads(record.environment.get("threads", ""), file):
        pipeline = options.pop("pipeline", None) or load_pipeline(wanted.base, wanted.loading)
        tools = options.pop("tools", None) or FaceTools.load(wanted.base, wanted.reader)
        present = hashes(pipeline, tools)
        check_models(record, present, file)
        files = generate(wanted, pipeline=pipeline, tools=tools, only=record.index, **options)
    if FORMATS.get(file.suffix.lower()) == picture_format(files[0]) and sha256_of(files[0]) != before:
        as_now = record.models.keys() == present.keys()
        why = "the libraries or the machine differ" if as_now else "its record is of an older kind, and so is its mark"
        warnings.warn(f"{files[0]} is not bit-equal to {file}: {why}", stacklevel=2)
    return files


@contextmanager
def _threads(recorded: str, file: Path) -> Iterator[None]:
    """Use as many threads as were recorded, since sums of floats depend on how they are split; as before afterwards."""
    import torch

    if not re.fullmatch(f"[1-9][0-9]{{0,{len(str(MOST_THREADS)) - 1}}}", recorded) or int(recorded) > MOST_THREADS:
        if recorded:  # a number from elsewhere could ask the machine for more than it has
            warnings.warn(f"{file} records {recorded!r} threads, which is ignored: bits may differ", stacklevel=4)
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(int(recorded))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_inputs(record: Record, inputs: Mapping[str, Path | None], file: Path) -> dict[str, InputPicture | None]:
    """Refuse inputs that are not the recorded ones, naming the one that differs.

    Returns:
        The inputs as they were given then: files, or in memory where the record holds the hash of the pixels.
    """
    found: dict[str, InputPicture | None] = dict(inputs)
    for role in sorted({*ROLES, *inputs, *record.inputs}):
        option = f"--{role}" if role in ROLES else f"another --{role.partition('-')[0]}"
        given, expected = inputs.get(role), record.inputs.get(role)
        if given is None and expected is not None:
            raise BadInput(f"{file} was made with {option}: give the same picture again.")
        if given is not None and expected is None:
            raise BadInput(f"{file} was made without {option}: leave it out.")
        if given is None or expected is None:
            continue
        if not given.is_file():
            raise BadInput(f"There is no picture file at {given}; check the path.")
        if sha256_of(given) == expected:
            continue
        found[role] = picture = as_picture(given)
        if pixel_hash(picture) != expected:
            raise BadInput(
                f"{given} is not the {role} picture of {file}: its sha256 is not {expected[:12]}... as recorded."
            )
    return found


def check_models(record: Record, present: Mapping[str, str], file: Path) -> None:
    """Refuse models that are not the recorded ones, naming the first that differs and how to give it again."""
    from mien.provenance.fingerprint import JUDGES, is_configuration

    drawing = {name: digest for name, digest in record.models.items() if not name.startswith(f"{JUDGES}/")}  # of 0.1.0
    if not any(map(is_configuration, record.models)):  # recorded before configurations were
        present = {name: digest for name, digest in present.items() if not is_configuration(name)}
    recorded = under_present_names(drawing, present)
    for name in sorted(recorded.keys() | present.keys()):
        if recorded.get(name) != present.get(name):
            how = "is not there now" if name not in present else "was not there" if name not in recorded else "differs"
            raise BadInput(f"{file} was made with other models ({name} {how}): {_advice(name, record)}.")


def under_present_names(recorded: Mapping[str, str], present: Mapping[str, str]) -> dict[str, str]:
    """Recorded models, those whose name is gone under the name that the same bytes have now.

    Records of earlier releases name added files by their own names, which a user may change.
    """
    free = {name: digest for name, digest in present.items() if name not in recorded}
    found = {}
    for name, digest in recorded.items():
        now = name if name in present else next((one for one, there in free.items() if there == digest), name)
        free.pop(now, None)
        found[now] = digest
    return found


def _advice(model: str, record: Record) -> str:
    """What to do about a model that differs."""
    option = _GIVEN_WITH.get(model.replace("/", ":").partition(":")[0])
    if option is not None:
        return f"give the same files again with --{option}, in their order"
    if record.settings.get("base") == LOCAL:
        return "give the same --base again, or install the version that made it"
    return "install the version that made it"
