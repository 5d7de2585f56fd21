"""The user study: what is asked, what is kept, what comes out."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from PIL import Image

from mien.errors import BadInput, ConfigError, MienError
from mien.evaluation.study.plan import Study, add_question, load_study, tasks_of
from mien.evaluation.study.results import results
from mien.evaluation.study.server import StudyServer
from mien.evaluation.study.votes import Vote, Votes

METHODS = {"ours": (200, 40, 40), "base": (40, 40, 200)}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two questions of 30 sets, two methods, one of them with several pictures a set."""
    for method, colour in METHODS.items():
        for number in range(30):
            (tmp_path / method).mkdir(exist_ok=True)
            Image.new("RGB", (64, 64), colour).save(tmp_path / method / f"{number:02}.png")
            (tmp_path / f"{method}-many" / f"{number:02}").mkdir(parents=True)
            for sample in range(3):
                Image.new("RGB", (64, 64), colour).save(tmp_path / f"{method}-many" / f"{number:02}" / f"{sample}.png")
    folder = tmp_path / "study"
    add_question(folder, "Which shows the pose?", {m: tmp_path / m for m in METHODS}, tmp_path / "ours")
    add_question(folder, "Which varies more?", {m: tmp_path / f"{m}-many" for m in METHODS})
    return folder


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    with StudyServer(folder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Participant:
    """A browser without a screen."""

    def __init__(self, address: str, cookie: str | None = None) -> None:
        self.address, self.cookie = address, cookie
        if cookie is None:
            with urlopen(f"{address}/") as answer:
                self.cookie = answer.headers["Set-Cookie"].split(";")[0]

    def get(self, path: str) -> bytes:
        with urlopen(Request(self.address + path, headers={"Cookie": self.cookie or ""})) as answer:
            return answer.read()

    def next(self) -> dict[str, Any]:
        return json.loads(self.get("/next"))

    def vote(self, task: object, choice: object) -> dict[str, Any]:
        body = json.dumps({"task": task, "choice": choice}).encode()
        with urlopen(Request(f"{self.address}/vote", body, headers={"Cookie": self.cookie or ""})) as answer:
            return json.loads(answer.read())

    def colour(self, task: dict[str, Any], position: int) -> tuple[int, ...]:
        from io import BytesIO

        return Image.open(BytesIO(self.get(task["options"][position][0]))).convert("RGB").getpixel((5, 5))  # type: ignore

    def finish(self, favourite: tuple[int, ...]) -> int:
        """Always choose the picture of one colour."""
        task, count = self.next(), 0
        while not task.get("finished"):
            position = [self.colour(task, i) for i in range(len(task["options"]))].index(favourite)
            task, count = self.vote(task["task"], position), count + 1
        return count


def test_five_of_thirty_are_drawn_in_random_order(study: Path) -> None:
    plan = load_study(study)
    assert [len(question.sets) for question in plan.questions] == [30, 30]
    tasks = tasks_of(plan, "a" * 32)
    assert Counter(task.question for task in tasks) == {0: 5, 1: 5}
    assert len({(task.question, task.set) for task in tasks}) == 10
    assert tasks == tasks_of(plan, "a" * 32) != tasks_of(plan, "b" * 32)
    orders = Counter(task.order[0] for i in range(200) for task in tasks_of(plan, f"{i:032}"))
    assert abs(orders["ours"] - 1000) < 120  # neither method is on the left more often
    sets = Counter(task.set for i in range(200) for task in tasks_of(plan, f"{i:032}"))
    assert len(sets) == 30


def test_fifty_participants_at_once_and_nothing_lost(study: Path) -> None:
    colours = [METHODS["ours"] if i < 35 else METHODS["base"] for i in range(50)]
    with serving(study) as address, ThreadPoolExecutor(50) as pool:
        counts = list(pool.map(lambda colour: Participant(address).finish(colour), colours))
    assert counts == [10] * 50
    found = results(load_study(study), Votes(study).all(), draws=200)
    assert (found["participants"], found["finished"]) == (50, 50)
    for question in found["questions"]:
        assert question["votes"] == 250 and question["chance"] == 0.5
        ours = question["methods"]["ours"]
        assert ours["value"] == pytest.approx(0.7) and 0.5 < ours["low"] < 0.7 < ours["high"] < 0.9


def test_a_restart_and_a_closed_browser_go_on(study: Path) -> None:
    with serving(study) as address:
        person = Participant(address)
        cookie = person.cookie
        for _ in range(3):
            task = person.next()
            person.vote(task["task"], 0)
    with (study / "votes.jsonl").open("ab") as stream:
        stream.write(b'{"participant": "abc", "ques')  # a machine that stopped in the middle of a line
    with serving(study) as address:
        again = Participant(address, cookie)
        task = again.next()
        assert (task["done"], task["total"], task["task"]) == (3, 10, 3)
        again.vote(task["task"], 1)
    assert len(Votes(study).all()) == 4


def test_a_vote_counts_once_and_only_for_what_was_asked(study: Path) -> None:
    with serving(study) as address:
        person = Participant(address)
        task = person.next()
        person.vote(task["task"], 0)
        for number, choice, code in ((task["task"], 1, 409), (99, 0, 400), (1, 9, 400), (-1, 0, 400), ("x", None, 400)):
            with pytest.raises(HTTPError) as refused:
                person.vote(number, choice)
            assert refused.value.code == code
        with pytest.raises(HTTPError, match="403"):
            Participant(address, "mien_study=nobody").next()
    assert len(Votes(study).all()) == 1


def test_nothing_that_reaches_the_browser_names_a_method(study: Path) -> None:
    with serving(study) as address:
        person = Participant(address)
        told = person.get("/next").decode() + person.get("/").decode()
        for number in range(10):
            with pytest.raises(HTTPError):
                person.get(f"/picture/{number}/7/0")
        for path in ("/study.json", "/votes.jsonl", "/picture/0/0/../../study.json", "/picture/99/0/0"):
            with pytest.raises(HTTPError):
                person.get(path)
    assert "ours" not in told and "base" not in told


def test_the_copies_are_pixels_and_nothing_else(tmp_path: Path) -> None:
    from PIL.ImageCms import ImageCmsProfile, createProfile
    from PIL.PngImagePlugin import PngInfo

    record, exif = PngInfo(), Image.Exif()
    record.add_itxt("mien", json.dumps({"speed": "few-of-ours"}))
    exif[0x0112], exif[0x0131] = 6, "few-of-ours"  # lies on its side; made by
    profile = ImageCmsProfile(createProfile("sRGB")).tobytes()
    picture = Image.linear_gradient("L").resize((64, 32)).convert("RGB")
    for method in METHODS:
        (tmp_path / method).mkdir()
        picture.save(tmp_path / method / "a.png", pnginfo=record, icc_profile=profile)
        picture.save(tmp_path / method / "b.tif", exif=exif)
        picture.save(tmp_path / method / "c.webp", exif=exif, lossless=True)
    add_question(tmp_path / "study", "Which?", {m: tmp_path / m for m in METHODS}, tmp_path / "ours")
    copies = sorted((tmp_path / "study" / "pictures" / "0").iterdir())
    assert len(copies) == 9
    for number, copy in enumerate(copies):
        content = copy.read_bytes()
        assert content.startswith(b"\x89PNG") and b"few-of-ours" not in content
        expected = picture if number < 3 else picture.transpose(Image.Transpose.ROTATE_270)
        with Image.open(copy) as found:
            assert found.tobytes() == expected.tobytes() and found.info == {}


def answer_to(address: str, cookie: str | None, *head: str, body: bytes = b"") -> int:
    """The status of a request that is written as it stands."""
    with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=5) as one:
        lines = [head[0] + " HTTP/1.1", "Host: x", f"Cookie: {cookie}", *head[1:], "", ""]
        one.sendall("\r\n".join(lines).encode() + body)
        answer = http.client.HTTPResponse(one)
        answer.begin()
        return answer.status


def test_requests_that_make_no_sense_are_answered(study: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with serving(study) as address:
        cookie = Participant(address).cookie

        def status(*head: str, body: bytes = b"") -> int:
            return answer_to(address, cookie, *head, body=body)

        assert status("GET /?x=1") == answer_to(address, "", "GET /?x=1") == 200
        assert status("GET /next?x=1") == 200
        assert status(f"GET /picture/{'9' * 5000}/0/0") == status(f"GET /picture/0/{'9' * 5000}/0") == 404
        for length in ("abc", "-1", "1000000"):
            assert status("POST /vote", f"Content-Length: {length}", body=b"{}") == 400
        for body in (b'{"task":1e400,"choice":0}', b'{"task":Infinity,"choice":0}', b"[" * 9000, b"\xff", b""):
            assert status("POST /vote", f"Content-Length: {len(body)}", body=body) == 400
        # a cookie of another program on the same host, which Python's own reader refuses
        assert answer_to(address, f"a,b=1; {cookie}; c=2", "GET /next") == 200
    assert capfd.readouterr().err == ""


def test_an_address_that_cannot_be_had_is_said(study: Path) -> None:
    with StudyServer(study) as server:
        for host, port in (("127.0.0.1", server.server_port), ("999.1.1.1", 0), ("a..b", 0)):
            with pytest.raises(MienError, match=rf"Cannot listen on {host}:{port} .*--port or --host"):
                StudyServer(study, host, port)


def test_an_address_of_the_new_kind(study: Path) -> None:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("this machine has no IPv6")
    with StudyServer(study, "::1") as server:
        assert server.address == f"http://[::1]:{server.server_port}/"


def test_results_of_nobody_are_no_numbers(study: Path) -> None:
    found = results(load_study(study), [])
    assert found["participants"] == 0 and found["questions"][0]["methods"]["ours"]["value"] is None


def vote(person: int, number: int) -> Vote:
    """Of one person, on one set; every second one chooses ours."""
    return Vote(participant=f"{person:032}", question=0, set=number, choice="ours" if person % 2 else "base")


def test_intervals_know_that_one_person_decides_several_sets(study: Path) -> None:
    plan = load_study(study)
    many = [vote(p, s) for p in range(20) for s in range(5)]
    alone = [vote(p, p // 4) for p in range(100)]
    width = {}
    for name, votes in (("many", many), ("alone", alone)):
        ours = results(plan, votes)["questions"][0]["methods"]["ours"]
        width[name] = ours["high"] - ours["low"]
    assert width["many"] > 1.2 * width["alone"]


def test_a_study_that_cannot_be_is_said(study: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="two methods"):
        add_question(tmp_path / "new", "?", {"ours": tmp_path / "ours"})
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="no set in common"):
        add_question(tmp_path / "new", "?", {"ours": tmp_path / "ours", "empty": tmp_path / "empty"})
    with pytest.raises(BadInput, match="no study"):
        load_study(tmp_path / "empty")
    Votes(study).add(vote(1, 0))
    with pytest.raises(BadInput, match="votes already"):
        add_question(study, "?", {m: tmp_path / m for m in METHODS})
    (study / "study.json").write_text(json.dumps(Study().model_dump() | {"sead": 1}))
    with pytest.raises(ConfigError, match="sead"):
        load_study(study)
    (study / "votes.jsonl").write_text("what\n")
    with pytest.raises(BadInput, match="line 1"):
        Votes(study)


def test_in_a_real_browser(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    if shutil.which("chromedriver") is None:
        pytest.skip("no chromedriver: Debian's packages chromium and chromium-driver are needed")
    from selenium import webdriver
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    monkeypatch.setenv("SE_OFFLINE", "true")
    options = webdriver.ChromeOptions()
    for word in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
                 "--disable-component-update", "--disable-sync", "--disable-quic"):  # fmt: skip
        options.add_argument(word)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with serving(study) as address, webdriver.Chrome(options=options, service=service) as browser:

        def wait(text: str) -> None:
            WebDriverWait(browser, 20).until(lambda b: text in b.find_element(By.TAG_NAME, "main").text)

        browser.get(address)
        wait("1 of 10")
        browser.find_elements(By.CSS_SELECTOR, "#options button")[0].click()
        wait("2 of 10")
        browser.get("about:blank")  # the page is closed and opened again
        browser.get(address)
        wait("2 of 10")
        for number in range(2, 11):
            wait(f"{number} of 10")
            assert browser.execute_script("return [...document.images].every(i => i.alt)")
            browser.find_element(By.TAG_NAME, "body").send_keys("2")
        wait("Thank you.")
    assert len(Votes(study).all()) == 10


def test_a_browser_that_leaves_is_no_error(study: Path, capfd: pytest.CaptureFixture[str]) -> None:
    server = StudyServer(study)
    for error in (ConnectionResetError(), BrokenPipeError(), ZeroDivisionError()):
        try:
            raise error
        except type(error):
            server.handle_error(None, ("127.0.0.1", 1))
    server.server_close()
    told = capfd.readouterr().err
    assert "ZeroDivisionError" in told and "Connection" not in told and "Pipe" not in told


class FullDisk:
    """A disk that takes so many bytes of the next line."""

    def __init__(self, room: int) -> None:
        from mien.core import log

        def write(stream: Any, content: bytes) -> None:
            stream.write(content[:room])
            raise OSError(28, "No space left on device")

        self._undo = pytest.MonkeyPatch()
        self._undo.setattr(log, "_write_all", write)

    def free(self) -> None:
        self._undo.undo()


@pytest.mark.parametrize("room", [0, 1, 20, 79])
def test_a_full_disk_in_the_middle_of_a_vote_loses_nothing(study: Path, room: int) -> None:
    with serving(study) as address:
        person = Participant(address)
        person.vote(person.next()["task"], 0)
        before = (study / "votes.jsonl").read_bytes()
        disk = FullDisk(room)
        with pytest.raises(HTTPError) as refused:
            person.vote(person.next()["task"], 1)
        assert refused.value.code == 507
        assert (study / "votes.jsonl").read_bytes() == before
        disk.free()
        assert person.next()["done"] == 1  # the one that was not kept is asked again
        person.vote(person.next()["task"], 1)
    assert len(Votes(study).all()) == 2
    with serving(study) as address:
        assert Participant(address, person.cookie).next()["done"] == 2


def test_a_study_has_one_server(study: Path) -> None:
    with serving(study):
        with pytest.raises(MienError, match="Another process works on the study"):
            StudyServer(study)
        with pytest.raises(MienError, match="Another process"):
            add_question(study, "?", {"a": study, "b": study})
    StudyServer(study).server_close()


def test_a_server_that_is_killed_leaves_no_lock(study: Path) -> None:
    import subprocess
    import sys

    code = "import sys; from pathlib import Path; from mien.evaluation.study.server import StudyServer\n"
    code += "server = StudyServer(Path(sys.argv[1])); print('up', flush=True); server.serve_forever()"
    with subprocess.Popen([sys.executable, "-c", code, str(study)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        with pytest.raises(MienError, match="Another process"):
            StudyServer(study)
        process.kill()
    StudyServer(study).server_close()


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "/etc/passwd", "pictures/../../secret.png", "votes.jsonl", "study.json", "link.png",
             "loop.png", "a\0.png", ""]
)  # fmt: skip
def test_nothing_outside_the_study_is_served(study: Path, name: str) -> None:
    Image.new("RGB", (64, 64)).save(study.parent / "secret.png")
    (study / "link.png").symlink_to(study.parent / "secret.png")
    (study / "loop.png").symlink_to(study / "loop.png")
    for place in ("shown", "options"):
        told = json.loads((study / "study.json").read_text())
        chosen = told["questions"][0]["sets"][3]
        if place == "shown":
            chosen["shown"] = [name]
        else:
            chosen["options"]["ours"] = [name]
        (study / "study.json").write_text(json.dumps(told))
        with pytest.raises(BadInput, match="remove it"):
            StudyServer(study)


def test_a_picture_that_becomes_a_link_is_not_served(study: Path) -> None:
    Image.new("RGB", (64, 64)).save(study.parent / "secret.png")
    with serving(study) as address:
        person = Participant(address)
        shown = person.next()["options"][0][0]
        for picture in (study / "pictures").rglob("*.png"):
            picture.unlink()
            picture.symlink_to(study.parent / "secret.png")
        with pytest.raises(HTTPError, match="404"):
            person.get(shown)


def test_idle_connections_are_closed_and_counted(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.evaluation.study import server as module

    monkeypatch.setattr(module, "CONNECTIONS", 20)
    monkeypatch.setattr(module.StudyHandler, "timeout", 1.0)
    with serving(study) as address:
        port = int(address.rpartition(":")[2])
        before = threading.active_count()
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
        closed = [connection for connection in idle if connection.recv(1) == b""]  # too many, or silent for too long
        assert len(closed) == 60
        for connection in idle:
            connection.close()
        assert threading.active_count() <= before + 20
        assert Participant(address).next()["total"] == 10
