"""Run ``mien WORDS`` in this process and print what it did as JSON, in numbers that no machine's speed changes."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

CALLED = {
    "UNet2DConditionModel": "unet",
    "CLIPTextModel": "text_encoder",
    "Detector": "reader_detector",
    "StudioFaceNet": "reader_face",
    "IdentityEmbedder": "embedder",
    "ExpressionEncoder": "expression_encoder",
    "Conv2d": "convolutions",
    "Linear": "products",
}
"""Class of a network or layer -> what its calls are counted as."""
READ = {".png": "pictures", ".safetensors": "weights"}
"""End of a file's name -> what it is counted as. safetensors maps its files where Python does not see it, so of weights
it is the reading for the hashes of the record that is counted."""


def main() -> None:
    """Run, count and print."""
    opened: Counter[str] = Counter()
    calls: Counter[str] = Counter()

    def on_event(event: str, given: tuple[Any, ...]) -> None:
        path = Path(given[0]) if event == "open" and isinstance(given[0], str) else Path()
        if path.suffix in READ and not path.name.startswith((".portrait-", "portrait-")):  # those are written
            opened[READ[path.suffix]] += 1

    def on_call(module: Any, given: tuple[Any, ...], _found: Any) -> None:
        name = CALLED.get(type(module).__name__)
        if name is not None:
            calls[name] += 1
        if name == "unet":
            calls["unet_rows"] += len(given[0])

    from mien.cli.main import main as mien

    sys.addaudithook(on_event)
    from torch.nn.modules.module import register_module_forward_hook

    register_module_forward_hook(on_call)
    assert mien() == 0
    from mien.faces.linear.fit import _fitted

    modules = [name for name, module in sys.modules.items() if module is not None]
    counts = {
        "calls": {**dict(sorted(calls.items())), "face_fits": _fitted.cache_info().misses},
        "opened": dict(sorted(opened.items())),
        "modules": {"mien": sum(name.startswith("mien.") for name in modules), "all": len(modules)},
    }
    sys.stdout.write(f"COUNTS {json.dumps(counts)}\n")


if __name__ == "__main__":
    main()
