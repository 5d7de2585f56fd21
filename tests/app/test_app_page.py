"""A browser walks the page as a portrait artist would, and takes the pictures of docs/app.md on its way.

``MIEN_UPDATE_IMAGES=1`` writes the pictures to docs/images; ``MIEN_AXE=axe.min.js`` also runs axe-core on every view.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("selenium", reason="needs selenium, of the extra 'test'")

from mien.app.limits import Limits
from mien.app.service import PortraitService, Warm
from mien.demo.examples import Examples
from mien.provenance.png import read_record
from tests.app.browsing import chromium, served, until

AXE = "MIEN_AXE"
"""Environment variable with the place of axe-core's ``axe.min.js``, which is not among our packages."""
IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
NAMELESS = """
return [...document.querySelectorAll('button, a[href], input, select, textarea, [role=slider], img, canvas, dialog')]
  .filter((one) => !one.closest('[hidden]') && one.type !== 'file' && one.offsetParent !== null)
  .filter((one) => one.tagName === 'IMG' ? !one.hasAttribute('alt') :
    !(one.ariaLabel || one.getAttribute('aria-labelledby') || one.title || one.textContent.trim() ||
      (one.labels && one.labels.length) || one.closest('[aria-hidden=true], button') || one.tagName === 'CANVAS'))
  .map((one) => one.outerHTML.slice(0, 120));
"""
"""Controls and pictures that a screen reader has no words for."""
SCROLLED_SIDEWAYS = """
return [...document.querySelectorAll('main, .column, dialog[open]')]
  .filter((one) => getComputedStyle(one).overflowX !== 'visible' && one.scrollWidth > one.clientWidth)
  .map((one) => one.className || one.id);
"""
"""Parts of the page that something sticks out of, so that they can be scrolled sideways."""
DOUBLE_IDS = """
const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);
return ids.filter((id, i) => ids.indexOf(id) !== i);
"""
CONTRAST = """
const linear = (x) => (x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
const light = ([r, g, b]) => .2126 * linear(r / 255) + .7152 * linear(g / 255) + .0722 * linear(b / 255);
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const behind = (one) => {
  for (; one; one = one.parentElement) {
    const colour = parse(getComputedStyle(one).backgroundColor);
    if (colour.length < 4 || colour[3] > .9) return colour;
  }
  return [255, 255, 255];
};
const told = (one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
return [...document.querySelectorAll('body *')]
  .filter((one) => one.offsetParent && !one.disabled && one.ariaDisabled !== 'true')
  .filter((one) => !one.closest('.frame') && told(one))
  .map((one) => {
    const [a, b] = [light(parse(getComputedStyle(one).color)), light(behind(one))];
    return [(Math.max(a, b) + .05) / (Math.min(a, b) + .05), one.outerHTML.slice(0, 90)];
  }).filter(([ratio]) => ratio < 4.5);
"""
"""Words that stand out less than WCAG 2.2's 1.4.3 wants."""


class Page:
    """The page in a browser."""

    def __init__(self, driver: Any, address: str, downloads: Path) -> None:
        self.driver, self.address, self.downloads = driver, address, downloads

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def value(self, expression: str) -> Any:
        return self.js(f"return {expression}")

    def click(self, selector: str) -> None:
        self.js("document.querySelector(arguments[0]).click()", selector)

    def set(self, selector: str, value: str) -> None:
        """As a hand does it: the value, and the events that go with it."""
        self.js(
            "const one = document.querySelector(arguments[0]); one.value = arguments[1];"
            "for (const kind of ['input', 'change']) one.dispatchEvent(new Event(kind, {bubbles: true}));",
            selector, value,
        )  # fmt: skip

    def until(self, expression: str) -> Any:
        return until(lambda: self.value(expression), expression)

    def gallery(self) -> int:
        return self.value("document.querySelectorAll('#gallery > li').length")

    def next_picture(self, act: Any) -> None:
        """Do something, and wait for the picture that comes to rest after it."""
        before = self.gallery()
        act()
        self.until(f"document.querySelectorAll('#gallery > li').length > {before}")

    def problem(self, field: str) -> str:
        return self.value(f'document.querySelector(\'[data-field~="{field}"], [data-field="{field}"]\').textContent')

    def size(self, width: int, height: int, *, mobile: bool = False) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 2 if mobile else 1, "mobile": mobile}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        time.sleep(0.2)

    def picture(self, name: str) -> None:
        """Take a picture for the documentation, and look whether everybody can use what it shows."""
        time.sleep(0.3)
        content = base64.b64decode(self.driver.get_screenshot_as_base64())
        if os.environ.get("MIEN_UPDATE_IMAGES"):
            from io import BytesIO

            from PIL import Image

            shown = Image.open(BytesIO(content)).convert("RGB").quantize(256, kmeans=3)  # or small things lose colour
            shown.save(IMAGES / f"app-{name}.png", optimize=True)
        assert self.js(SCROLLED_SIDEWAYS) == []
        assert self.js(NAMELESS) == []
        assert self.js(DOUBLE_IDS) == []
        assert self.js(CONTRAST) == []
        if os.environ.get(AXE):
            self.ask_axe()

    def ask_axe(self) -> None:
        """Let axe-core look at the page as it is: nothing serious."""
        self.js(Path(os.environ[AXE]).read_text(encoding="utf-8"))
        found = self.driver.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
        assert len(found["passes"]) > 15  # it did look; behind a dialog fewer rules apply
        serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
        assert serious == [], json.dumps([[one["id"], one["nodes"][0]["html"]] for one in serious])


@pytest.fixture(scope="module")
def page(warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    driver = chromium()
    if driver is None:
        pytest.skip("no chromedriver: Debian's packages chromium and chromium-driver are needed")
    downloads = tmp_path_factory.mktemp("downloads")
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)})
    service = PortraitService(Limits(rate=100_000), reader="studio", load=lambda: warm)
    with served(service) as address:
        try:
            yield Page(driver, address, downloads)
        finally:
            driver.quit()


@pytest.fixture
def opened(page: Page) -> Iterator[Page]:
    """The page with its first portrait, and no complaint of the browser afterwards."""
    page.size(1440, 1000)
    page.driver.get(page.address)
    page.js("localStorage.clear()")
    page.until("!document.getElementById('portrait').hidden && document.querySelector('#identity-photos .photo')")
    page.set("#speed", "few")
    yield page
    refused = "Failed to load resource"  # what the browser says of an answer 422
    logged = [one for one in page.driver.get_log("browser") if refused not in one["message"]]
    assert logged == []


@pytest.mark.skipif(
    not os.environ.get(AXE),
    reason=f"{AXE} names no axe.min.js (npm's package axe-core), so axe has looked at no view of the page",
)
def test_axe_finds_nothing_serious(opened: Page) -> None:
    opened.ask_axe()


def test_from_a_photo_to_a_download(opened: Page, tmp_path: Path) -> None:
    photo = Examples.load().people[3].path
    opened.driver.find_element("id", "identity-file").send_keys(str(photo))
    opened.until("document.querySelector('#identity-photos strong')?.textContent.endsWith('.png')")
    opened.next_picture(lambda: opened.click('#studio-templates [data-name="surprise"]'))
    assert not opened.value("document.getElementById('consent').hidden")
    opened.click("#consent-known")
    assert opened.value("document.getElementById('consent').hidden") and opened.value("localStorage.getItem('consent')")
    assert "as read" in opened.value(
        "document.querySelector('#dial-brows').closest('.slider').querySelector('output').textContent"
    )
    opened.next_picture(lambda: opened.set("#dial-turn", "18"))
    opened.click("#download")
    file = until(lambda: next(iter(opened.downloads.glob("portrait-*.png")), None))
    record = read_record(file)
    assert record.settings["yaw"] == 18 and record.settings["speed"] == "few"
    assert {"identity", "expression"} <= set(record.inputs)
    opened.set("#format", "image/jpeg")
    opened.click("#download")
    jpeg = until(lambda: next(iter(opened.downloads.glob("portrait-*.jpg")), None))
    assert read_record(jpeg) == record
    opened.click(".lines summary")
    assert "--yaw 18" in opened.value("document.getElementById('command').textContent")


@pytest.mark.slow
def test_a_slider_moves_the_sketch_before_the_picture(opened: Page) -> None:
    sketch = "document.getElementById('sketch').toDataURL()"
    shown = "document.getElementById('portrait').src"
    opened.until("document.getElementById('command').textContent")
    before, picture = opened.value(sketch), opened.value(shown)
    opened.js(
        "const one = document.getElementById('dial-jaw'); one.value = 0.9; one.dispatchEvent(new Event('input'));"
    )
    opened.until(f"{sketch} !== arguments[0]".replace("arguments[0]", json.dumps(before)))
    assert opened.value(shown) == picture
    opened.until(f"{shown} !== {json.dumps(picture)}")


@pytest.mark.slow
def test_dragging_the_head_and_the_feeling(opened: Page) -> None:
    from selenium.webdriver import ActionChains

    sketch = opened.driver.find_element("id", "sketch")
    ActionChains(opened.driver).drag_and_drop_by_offset(sketch, 60, 0).perform()
    assert float(opened.value("document.getElementById('dial-turn').value")) == pytest.approx(20, abs=2)
    pad = opened.driver.find_element("css selector", "#circle .pad")
    ActionChains(opened.driver).move_to_element_with_offset(pad, 60, 30).click().perform()
    words = opened.value("document.getElementById('feeling-words').textContent")
    assert words.startswith("valence 0.6") or words.startswith("valence 0.7"), words
    opened.click("#undo")
    assert "No feeling" in opened.value("document.getElementById('feeling-words').textContent")
    opened.click("#undo")
    assert opened.value("document.getElementById('dial-turn').value") == "0"  # as given
    opened.click("#redo")
    assert opened.value("document.getElementById('dial-turn').value") != "0"


@pytest.mark.slow
def test_gallery_variations_compare_and_use(opened: Page) -> None:
    opened.next_picture(lambda: opened.click("#keep"))
    opened.click("#variations")
    opened.until("document.querySelectorAll('#gallery > li').length >= 5")
    opened.click("#gallery li:nth-child(2) .open")
    words = opened.value("document.querySelector('#gallery li:nth-child(2) .words').textContent")
    assert opened.value("document.getElementById('command').textContent").split()[-4:] == [
        "--seed", words.rpartition(" ")[2], "--speed", "few"
    ]  # fmt: skip
    opened.click("#compare")
    opened.click("#gallery li:first-child .open")
    opened.until("!document.getElementById('portrait-b').hidden")
    opened.picture("compare")
    opened.next_picture(lambda: opened.click("#as-expression"))
    assert opened.value("document.querySelector('#expression-photos strong').textContent").startswith("portrait ")
    assert opened.value("document.getElementById('portrait-b').hidden")


@pytest.mark.slow
def test_a_row_of_pictures(opened: Page) -> None:
    opened.click("#sweep-open")
    opened.set("#sweep-control", "Smile")
    assert opened.value("document.getElementById('sweep-from').value") == "-1"
    opened.picture("sweep")
    opened.set("#sweep-count", "99")
    opened.click("#sweep-go")
    assert "2 to 12" in opened.problem("rows")
    opened.set("#sweep-count", "4")
    opened.click("#sweep-go")
    opened.until("document.querySelectorAll('#gallery .strip img').length === 4")
    assert len(set(opened.value("[...document.querySelectorAll('#gallery .strip img')].map((one) => one.src)"))) == 4
    opened.click("#gallery .strip .pictures > :first-child .open")
    assert "mouthFrownLeft=1 " in opened.value("document.getElementById('command').textContent")
    opened.click("#as-settings")
    assert opened.value("document.getElementById('dial-smile').value") == "-1"


@pytest.mark.slow
def test_cancel(opened: Page) -> None:
    opened.set("#speed", "exact")
    opened.until("document.getElementById('status').textContent === 'Drawing'")
    opened.click("#cancel")
    opened.until("document.getElementById('status').textContent === 'Cancelled'")
    assert opened.value("document.getElementById('cancel').disabled")


def test_what_cannot_be_used_is_said_beside_its_field(opened: Page, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (300, 300), "grey").save(tmp_path / "grey.png")
    (tmp_path / "words.png").write_text("no picture")
    opened.driver.find_element("id", "identity-file").send_keys(str(tmp_path / "grey.png"))
    until(lambda: opened.problem("identity").startswith("No face found"))
    opened.picture("problem")
    opened.driver.find_element("id", "expression-file").send_keys(str(tmp_path / "words.png"))
    until(lambda: "not a picture" in opened.problem("expression"))
    opened.set("#seed", "-3")
    assert "whole number" in opened.problem("seed")
    opened.click("#video-open")
    opened.click("#video-go")
    until(lambda: opened.problem("video") == "Choose a video first.")
    opened.js("document.getElementById('video').close()")
    opened.set("#prompt", "a woman")
    opened.set("#describe", "grey hair")
    until(lambda: "not both" in opened.problem("describe"))


@pytest.mark.slow
def test_photographs_that_are_too_large_and_videos_that_cannot_be_played(opened: Page, tmp_path: Path) -> None:
    (tmp_path / "huge.png").write_bytes(b"")
    os.truncate(tmp_path / "huge.png", 41_000_000)
    opened.driver.find_element("id", "identity-file").send_keys(str(tmp_path / "huge.png"))
    until(lambda: "huge.png is larger than 40 MB" in opened.problem("identity"))
    os.truncate(tmp_path / "huge.png", 25_000_000)  # the browser cannot read it, so that the server is asked
    opened.driver.find_element("id", "expression-file").send_keys(str(tmp_path / "huge.png"))
    until(lambda: "The request is larger than 24 MB" in opened.problem("expression"))
    (tmp_path / "film.mp4").write_text("no video")
    opened.click("#video-open")
    opened.driver.find_element("id", "video-file").send_keys(str(tmp_path / "film.mp4"))
    opened.set("#video-rate", "99")
    opened.click("#video-go")
    until(lambda: "1 to 12 frames" in opened.problem("video"))
    opened.set("#video-rate", "4")
    opened.click("#video-go")
    until(lambda: "cannot play this video" in opened.problem("video"))
    opened.picture("video-problem")
    opened.js("document.getElementById('video').close()")


@pytest.mark.slow
def test_a_camera_and_a_clipboard_that_are_refused(warm: Warm, page: Page) -> None:
    driver = chromium(camera=False)

    def permit(name: str, setting: str) -> None:
        driver.execute_cdp_cmd("Browser.setPermission", {"permission": {"name": name}, "setting": setting})

    try:
        opened = Page(driver, page.address, page.downloads)
        driver.get(page.address)
        opened.until("document.querySelector('#identity-photos .photo')")
        permit("camera", "denied")
        permit("clipboard-read", "denied")
        opened.click("#identity-picker button:nth-of-type(3)")
        refused = "document.getElementById('camera-problem').textContent"
        opened.until(f"{refused}.startsWith('There is no camera, or it may not be used')")
        assert opened.value("document.getElementById('camera-take').disabled")
        opened.picture("camera-problem")
        opened.js("document.getElementById('camera').close()")
        opened.click("#expression-picker button:nth-of-type(2)")
        until(lambda: "press Ctrl V instead" in opened.problem("expression"))
        permit("clipboard-read", "granted")
        permit("clipboard-write", "granted")
        driver.execute_async_script(
            "navigator.clipboard.writeText('words').then(() => arguments[0](), (why) => arguments[0](String(why)))"
        )
        opened.click("#expression-picker button:nth-of-type(2)")
        until(lambda: opened.problem("expression") == "There is no picture in the clipboard.")
    finally:
        driver.quit()


class Broken(PortraitService):
    """Fails at each picture, as no service should."""

    def _draw(self, rows: Any, warm: Warm) -> None:
        raise RuntimeError("a secret of the server")


def at_server(page: Page, service: PortraitService, walk: Any) -> None:
    """Walk the page of another server."""
    with served(service) as address:
        page.size(1440, 1000)
        page.driver.get(address)
        walk(address)
    page.driver.get("about:blank")
    page.driver.get_log("browser")


@pytest.mark.slow
def test_a_fault_of_the_server_is_one_sentence(warm: Warm, page: Page) -> None:
    def walk(_: str) -> None:
        until(lambda: "through a fault of the server" in page.problem(""))
        assert "secret" not in page.value("document.body.textContent")
        assert page.value("document.getElementById('status').dataset.state") == "failed"
        page.picture("fault")

    at_server(page, Broken(Limits(), reader="studio", load=lambda: warm), walk)


@pytest.mark.slow
def test_too_many_requests_are_one_sentence_and_it_goes_on_afterwards(warm: Warm, page: Page) -> None:
    def walk(_: str) -> None:
        page.until("!document.getElementById('portrait').hidden")
        for _again in range(12):
            page.click("#dice")
            page.click("#again")
            time.sleep(0.3)
            if page.problem(""):
                break
        assert page.problem("").startswith("More than 6 requests a minute came from here")

    at_server(page, PortraitService(Limits(rate=6), reader="studio", load=lambda: warm), walk)


@pytest.mark.slow
def test_a_server_that_is_gone_is_one_sentence(warm: Warm, page: Page) -> None:
    with served(PortraitService(Limits(), reader="studio", load=lambda: warm)) as address:
        page.driver.get(address)
        page.until("document.getElementById('status').textContent === 'Ready' && document.querySelector('.photo')")
        page.set("#speed", "few")
        page.until("document.getElementById('status').textContent === 'Ready'")
    page.click("#again")
    until(lambda: page.problem("") == "The server does not answer: is it still running?")
    page.driver.get("about:blank")
    page.driver.get_log("browser")


@pytest.mark.slow
def test_a_video_drives_the_person(opened: Page, tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="needs the extra 'video'")
    from PIL import Image

    with av.open(tmp_path / "friend.webm", "w") as container:
        stream = container.add_stream("libvpx", rate=4)
        stream.width = stream.height = 256
        stream.pix_fmt = "yuv420p"
        for template in Examples.load().templates[:4]:
            frame = av.VideoFrame.from_image(Image.open(template.path).convert("RGB"))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    opened.click("#video-open")
    opened.driver.find_element("id", "video-file").send_keys(str(tmp_path / "friend.webm"))
    opened.set("#video-rate", "4")
    opened.click("#video-go")
    opened.until("document.getElementById('video-words').textContent.endsWith('showed a face.')")
    opened.until("!document.getElementById('video-canvas').hidden")
    assert opened.value("document.getElementById('status').textContent") == "Ready"
    frames = opened.value("[...document.querySelectorAll('#gallery .strip img')].map((one) => one.src)")
    assert len(frames) >= 3 and len(set(frames)) == len(frames)
    opened.picture("video")
    opened.click("#video-save")
    film = opened.downloads / "portrait.webp"
    until(film.exists)
    with Image.open(film) as animation:
        assert getattr(animation, "n_frames", 1) == len(frames)
    assert {"identity", "expression"} <= set(read_record(film).inputs)


@pytest.mark.slow
def test_the_camera(opened: Page) -> None:
    opened.click("#identity-picker button:nth-of-type(3)")
    opened.until("document.getElementById('camera-video').videoWidth")
    opened.click("#camera-take")
    until(lambda: opened.problem("identity").startswith("No face"))  # the browser's own test picture


@pytest.mark.slow
def test_the_views(opened: Page) -> None:
    opened.next_picture(lambda: opened.click('#studio-templates [data-name="laugh"]'))
    opened.next_picture(lambda: opened.click('#studio-people [data-name="Cleo"]'))
    opened.next_picture(lambda: opened.set("#dial-turn", "14"))
    opened.next_picture(
        lambda: opened.js(
            "[...document.querySelectorAll('#circle button')].find((one) => one.textContent === 'happy').click()"
        )
    )
    opened.set("#speed", "auto")
    opened.until("document.getElementById('caption').textContent.endsWith('exact')")
    opened.until("document.getElementById('status').textContent === 'Ready'")
    opened.picture("light")
    opened.js("document.querySelector('.dials').scrollTop = 640")
    opened.picture("dials")
    opened.click(".photo .view")
    opened.picture("read")
    opened.js("document.getElementById('look').close(); document.querySelector('.dials').scrollTop = 0")
    sketch = "document.getElementById('sketch').toDataURL()"
    before = opened.value(sketch)
    opened.set("#theme", "dark")
    assert opened.value(sketch) != before  # at once: dark lines would not be seen
    opened.picture("dark")
    opened.size(390, 844, mobile=True)
    assert opened.value("document.documentElement.scrollWidth") <= 390
    opened.picture("phone")
    opened.js("document.getElementById('dial-nose').scrollIntoView({block: 'center'})")
    top = "document.getElementById('portrait').getBoundingClientRect().top"
    until(lambda: 0 <= opened.value(top) < 40, "the portrait, above the dial")
    opened.picture("phone-dials")
    opened.js("window.scrollTo(0, 0)")
    opened.set("#theme", "light")
    opened.size(900, 1000)
    assert opened.value("document.documentElement.scrollWidth") <= 900
    opened.picture("tablet")


@pytest.mark.slow
def test_the_keyboard_alone(opened: Page) -> None:
    from selenium.webdriver import ActionChains, Keys

    keys = lambda *typed: ActionChains(opened.driver).send_keys(*typed).perform()  # noqa: E731

    def focus_on(expression: str) -> None:
        for _ in range(90):
            if opened.value(f"(() => {{ const one = document.activeElement; return {expression}; }})()"):
                return
            keys(Keys.TAB)
        raise AssertionError(f"Tab never reaches {expression}")

    opened.js("document.activeElement.blur()")
    focus_on("one.dataset.name === 'Bo'")
    keys(Keys.ENTER)
    opened.until("document.querySelector('#identity-photos strong').textContent === 'Bo'")
    focus_on("one.id === 'sketch'")
    keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert int(opened.value("document.getElementById('dial-turn').value")) >= 6
    focus_on("one.id === 'dial-smile'")
    keys(Keys.ARROW_RIGHT * 5)
    assert float(opened.value("document.getElementById('dial-smile').value")) > 0
    focus_on("one.classList.contains('pad')")
    keys(Keys.ARROW_UP, Keys.ARROW_UP)
    assert "arousal 0.20" in opened.value("document.getElementById('feeling-words').textContent")
    focus_on("one.id === 'download'")
    keys(Keys.SPACE)
    until(lambda: [*opened.downloads.glob("portrait-*.png")], "the download")
    # drawn again with nothing changed it is the same picture: what tells is that it was asked for
    asked = "performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/api/generate')).length"
    before = int(opened.value(asked))
    ActionChains(opened.driver).key_down(Keys.CONTROL).send_keys(Keys.ENTER).key_up(Keys.CONTROL).perform()
    opened.until(f"{asked} > {before}")
    ActionChains(opened.driver).key_down(Keys.CONTROL).send_keys("z").key_up(Keys.CONTROL).perform()
    assert "No feeling" in opened.value("document.getElementById('feeling-words').textContent")


@pytest.mark.slow
def test_a_page_without_the_token_says_so(warm: Warm, page: Page) -> None:
    service = PortraitService(Limits(), reader="studio", load=lambda: warm)
    with served(service, token="sesame") as address:
        page.driver.get(address)
        page.until("document.querySelector('[data-field=\"\"]').textContent.includes('token')")
        page.driver.get("about:blank")
        page.driver.get(address + "#token=sesame")
        page.until("!document.getElementById('portrait').hidden")
        assert "sesame" not in page.driver.current_url
    page.driver.get_log("browser")
