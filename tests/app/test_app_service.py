"""Queue, batches, cancelling, and that nothing of a user is kept or reaches another."""

from __future__ import annotations

import gc
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from mien.app.jobs import Event, Job, RowQueue
from mien.app.limits import Limits
from mien.app.problems import Refused
from mien.app.server import create_app
from mien.app.service import PortraitService, Warm
from mien.errors import MienError
from mien.faces.linear import fit
from mien.generation.batches import batch_key
from mien.generation.request import GenerateRequest
from tests.app.conftest import FEW, decoded, encoded

ROUNDING = 8
"""Of 255, at single pixels: the rows of a batch are summed in another order than one alone, which moves a pixel by 1,
and the watermark, up to 6 strong, may then round the other way."""


def job(client: str = "a", count: int = 1, told: list[Event] | None = None, **values: Any) -> Job:
    request = GenerateRequest.checked(**{"prompt": "portrait", "count": count} | values)
    return Job([request], (told if told is not None else []).append, client)


def test_users_take_turns_and_compatible_rows_go_together() -> None:
    queue = RowQueue(Limits(batch=4))
    first, second, other = job("a", 6), job("b", 2), job("c", 1, speed="few")
    for one in (first, second, other):
        queue.put(one)
    taken = queue.take(0)
    assert [row.job.client for row in taken] == ["a", "a", "b", "a"] or {row.job for row in taken} == {first, second}
    assert len(taken) == 4 and {batch_key(row.request) for row in taken} == {batch_key(first.requests[0])}
    rest = [queue.take(0) for _ in range(3)]
    assert sorted(len(one) for one in rest) == [0, 1, 4] and len(queue) == 0
    places = [row.place for rows in (taken, *rest) for row in rows if row.job is first]
    assert sorted(places) == list(range(6))


def test_requests_that_sample_otherwise_are_not_mixed() -> None:
    same = GenerateRequest.checked(prompt="x", yaw=3.0, seed=9)
    assert batch_key(same) == batch_key(GenerateRequest.checked(prompt="y"))
    for other in ({"steps": 9}, {"speed": "few"}, {"emotion": "sad"}, {"scales": {"landmarks": 0.5}}):
        assert batch_key(GenerateRequest.checked(prompt="x", **other)) != batch_key(same)
    assert batch_key(GenerateRequest.checked(prompt="x", edit=Image.new("RGB", (64, 64)))) is None


def test_the_queue_is_bounded_for_all_and_for_each() -> None:
    queue = RowQueue(Limits(queue=5, queue_each=3))
    queue.put(job("a", 3))
    with pytest.raises(Refused, match="3 pictures of yours"):
        queue.put(job("a"))
    queue.put(job("b", 2))
    with pytest.raises(Refused, match="5 pictures are waiting"):
        queue.put(job("c"))


def test_cancelled_rows_leave_the_queue() -> None:
    queue = RowQueue(Limits(queue=2))
    gone = job("a", 2)
    queue.put(gone)
    gone.cancelled.set()
    stays = job("b", 2)
    queue.put(stays)
    assert {row.job for row in queue.take(0)} == {stays}


def test_who_waits_when_the_server_stops_is_told() -> None:
    queue, told = RowQueue(Limits()), []
    queue.put(job(told=told))
    queue.close()
    assert told[-1].name == "error" and told[-1].values["status"] == 503
    with pytest.raises(Refused):
        queue.put(job())


def test_a_batch_gives_the_pictures_that_each_gives_alone(client: TestClient) -> None:
    people, seeds = ["Ada", "Bo", "Cleo", "Dara"], [3, 1, 4, 1]
    bodies = [
        {"identity": f"studio:{name}", "yaw": 5.0 * number, "seed": seed, **FEW}
        for number, (name, seed) in enumerate(zip(people, seeds, strict=True))
    ]
    alone = [
        np.asarray(decoded(client.post("/api/generate", json=one).json()["pictures"][0]["image"]), int)
        for one in bodies
    ]

    def ask(body: dict[str, Any]) -> Any:
        return client.post("/api/generate", json=body, headers={"x-mien-client": str(body["identity"])}).json()

    with ThreadPoolExecutor(len(bodies)) as pool:
        together = [np.asarray(decoded(one["pictures"][0]["image"]), int) for one in pool.map(ask, bodies)]
    for one, other in zip(alone, together, strict=True):
        assert np.abs(one - other).max() <= ROUNDING
        assert np.abs(one - other).mean() < 0.05
    apart = [np.abs(one - other).mean() for one, other in itertools.pairwise(alone)]
    assert min(apart) > 5  # four people, so that a crossed answer would be seen


def test_a_faceless_picture_fails_alone(client: TestClient) -> None:
    faceless = encoded(Image.new("RGB", (64, 64), "grey"))
    with ThreadPoolExecutor(3) as pool:
        answers = list(
            pool.map(
                lambda photo: client.post("/api/generate", json={"identity": photo, **FEW}),
                ["studio:Ada", faceless, "studio:Bo"],
            )
        )
    assert [one.status_code for one in answers] == [200, 422, 200]


def test_cancelling_ends_the_drawing(warm: Warm) -> None:
    service, told = PortraitService(Limits(), reader="studio", load=lambda: warm), []
    service.start()
    try:
        long = job("a", told=told, identity=service.studio["Ada"], prompt=None, steps=60)
        long.requests = [long.requests[0].model_copy(update={"steps": 1000})]
        service.submit(long)
        deadline = time.monotonic() + 60
        while not any(one.name == "progress" for one in told):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        long.cancelled.set()
        after: list[Event] = []
        service.submit(job("b", told=after, identity=service.studio["Bo"], prompt=None, speed="few"))
        while not any(one.name == "done" for one in after):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert not any(one.name == "picture" for one in told)
        assert sum(one.name == "progress" for one in told) < 900
    finally:
        service.stop()


def test_pictures_are_gone_after_the_answer(warm: Warm) -> None:
    service, told = PortraitService(Limits(), reader="studio", load=lambda: warm), []
    with TestClient(create_app(service)) as client:
        photo = encoded(service.studio["Eli"].resize((200, 200)))
        assert client.post("/api/generate", json={"identity": photo, **FEW}).status_code == 200
        time.sleep(1.5)  # one second of rest, after which what was derived is forgotten as well
        gc.collect()
        held = [one for one in gc.get_objects() if isinstance(one, Image.Image) and one.size == (200, 200)]
        assert held == []
        assert not [one for one in gc.get_objects() if isinstance(one, Job)]
        assert fit._fitted.cache_info().currsize == 0
        assert not warm.pipeline._kept_texts._texts
        assert all(one is None for one in getattr(warm.pipeline.scheduler, "model_outputs", []))
    assert told == []


def test_no_file_is_written(warm: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a temporary file")

    for name in ("mkstemp", "mkdtemp", "NamedTemporaryFile", "TemporaryFile"):
        monkeypatch.setattr(tempfile, name, refuse)
    service = PortraitService(Limits(), reader="studio", load=lambda: warm)
    with TestClient(create_app(service)) as client:
        photo = encoded(service.studio["Eli"].resize((1600, 1600)))  # larger than what a form would spool to disk
        assert len(photo) > 1_100_000
        assert client.post("/api/read", json={"picture": photo}).status_code == 200


def test_a_fault_is_told_without_its_traceback_and_the_service_goes_on(warm: Warm) -> None:
    service = PortraitService(Limits(), reader="studio", load=lambda: warm)
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        real = service._prepare
        service._prepare = lambda *_: (_ for _ in ()).throw(RuntimeError("secret"))  # pyright: ignore[reportAttributeAccessIssue]
        answer = client.post("/api/generate", json={"prompt": "portrait", **FEW})
        assert answer.status_code == 500 and "secret" not in answer.text
        service._prepare = real  # pyright: ignore[reportAttributeAccessIssue]
        assert client.post("/api/generate", json={"identity": "studio:Ada", **FEW}).status_code == 200


def test_models_that_cannot_be_loaded_are_told() -> None:
    def load() -> Warm:
        raise MienError("There are no weights here.")

    service = PortraitService(Limits(), load=load)
    with TestClient(create_app(service)) as client:
        deadline = time.monotonic() + 10
        while not client.get("/api/health").json()["failure"]:
            assert time.monotonic() < deadline
        answer = client.post("/api/read", json={"picture": "studio:Ada"})
        assert answer.status_code == 422 and "no weights" in answer.text
        assert client.post("/api/generate", json={"prompt": "x"}).status_code == 429


def test_hanging_up_cancels(warm: Warm) -> None:
    """Only a real server tells that somebody went away."""
    import http.client
    import socket

    import uvicorn

    service = PortraitService(Limits(steps=1000), reader="studio", load=lambda: warm)
    jobs: list[Job] = []
    submit = service.submit
    service.submit = lambda one: (jobs.append(one), submit(one))  # pyright: ignore[reportAttributeAccessIssue]
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(service), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        for accept in ("text/event-stream", "application/json"):
            connection = http.client.HTTPConnection("127.0.0.1", listening.getsockname()[1], timeout=60)
            body = '{"identity": "studio:Ada", "speed": "exact", "steps": 1000}'
            headers = {"accept": accept, "content-type": "application/json"}
            connection.request("POST", "/api/generate", body, headers)
            if accept == "text/event-stream":
                assert connection.getresponse().read(10)
            else:
                deadline = time.monotonic() + 60
                while len(jobs) < 2:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
            if connection.sock is not None:
                connection.sock.shutdown(socket.SHUT_RDWR)
            connection.close()
            assert jobs[-1].cancelled.wait(30)
    finally:
        server.should_exit = True
        thread.join(60)
        listening.close()
