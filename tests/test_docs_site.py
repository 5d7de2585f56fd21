"""The documentation site builds without a warning, and its pages need nothing from elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install 'mien[docs]'")
pytest.importorskip("mkdocstrings", reason="mkdocstrings is not installed: pip install 'mien[docs]'")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_every_page_is_there(site: Path) -> None:
    for page in sorted((ROOT / "docs").glob("*.md")):
        assert (site / f"{page.stem}.html").is_file()
    reference = (site / "reference" / "mien.html").read_text(encoding="utf-8")
    for name in ("generate", "load", "read", "score", "save", "Emotion"):
        assert f'id="mien.{name}"' in reference


def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    fetched = re.compile(r'<(?:script|img|iframe|source|link)\b[^>]*?(?:src|href)="(?:https?:)?//[^"]+"')
    for page in site.rglob("*.html"):
        found = [one for one in fetched.findall(page.read_text(encoding="utf-8")) if "canonical" not in one]
        assert not found, page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?https?:", sheet.read_text(encoding="utf-8")), sheet


def test_formulas_are_formulas_and_none_is_left_as_it_was_written(site: Path) -> None:
    for name in ("explained-facecrafter", "explained-emojidiff"):
        text = (site / f"{name}.html").read_text(encoding="utf-8")
        assert text.count('<span class="formula">') >= 4
        assert (
            "$$" not in text
            and "@formula-" not in text
            and "\\mathrm" not in re.sub(r"<annotation.*?</annotation>", "", text)
        )


def test_result_files_come_with_the_pages(site: Path) -> None:
    text = (site / "facecrafter.html").read_text(encoding="utf-8")
    for target in re.findall(r'href="(files/[^"#]+)', text):
        assert (site / target).is_file()
    assert 'href="files/benchmarks/results/table1.json"' in text


@pytest.mark.slow
def test_pages_fit_a_phone_in_light_and_dark(site: Path) -> None:
    if shutil.which("chromedriver") is None:
        pytest.skip("no chromedriver: Debian's packages chromium and chromium-driver are needed")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(word)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as browser:
        phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        for page in sorted(site.rglob("*.html")):
            browser.get(page.as_uri())
            wide = browser.execute_script("return document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, page.name
