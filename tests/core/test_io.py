"""Files that say what a folder was asked for with."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.core.io import claim
from mien.errors import ConfigError


@pytest.mark.parametrize("text", ["[]", "null", '"a"', '{"request": 3}', '{"request": null}'])
def test_a_file_of_settings_that_is_no_object_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(ConfigError, match=r"settings\.json is damaged"):
        claim(tmp_path / "settings.json", {"seed": 1}, "another data set")


def test_a_folder_is_of_the_request_that_made_it(tmp_path: Path) -> None:
    claim(tmp_path / "settings.json", {"seed": 1}, "another data set", {"request": {"seed": 1}, "further": 2})
    claim(tmp_path / "settings.json", {"seed": 1}, "another data set")
    with pytest.raises(ConfigError, match=r"another data set .seed 1 instead of 2"):
        claim(tmp_path / "settings.json", {"seed": 2}, "another data set")
