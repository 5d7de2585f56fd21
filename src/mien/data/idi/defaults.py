"""What ``mien pairs build`` does unless told otherwise; apart from the request, so that ``--help`` reads it at once."""

from __future__ import annotations

from typing import Final

EXP: Final = 0.05
LMS: Final = 0.18
"""EmojiDiff's thresholds, on photographs."""
IDENTITY: Final = 0.5
SHARPNESS: Final = 0.0
QUALITY: Final = 3.0
"""Of LIQE's scale from 1 to 5, the middle; the paper says no number."""
DIRECTION: Final = "keep"
STRENGTH: Final = 0.6
ATTEMPTS: Final = 1
STEPS: Final = 25
BATCH: Final = 8
PER_SHARD: Final = 512
SEED: Final = 0
