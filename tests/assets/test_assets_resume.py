"""Interrupted downloads: taken up again, or begun anew where that would piece two files together."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from mien.assets.get import get
from mien.errors import MienError
from tests.assets.conftest import BODY, Register, failure, find_part, one_file
from tests.assets.places import Place, Served, sha256, some_bytes


@pytest.mark.parametrize("served", [Served(BODY, etag=None, modified="Tue, 01 Sep 2020 10:00:00 GMT"), Served(BODY)])
def test_a_cut_connection_is_taken_up_again(place: Place, register: Register, served: Served) -> None:
    served.cuts = [300_000, 1, 200_000]
    register(a=one_file(place, served))
    assert get("a").path.read_bytes() == BODY
    condition = served.etag or served.modified
    ranges = [None, *(f"bytes={begin}-" for begin in (300_000, 300_001, 500_001))]
    assert place.requests == [("/a.bin", begin, condition if begin else None) for begin in ranges]


def test_tries_that_bring_nothing_end(place: Place, register: Register) -> None:
    register(a=one_file(place, Served(BODY, cuts=[1000] + [0] * 99)))
    assert "cut the connection after 1,000 of 1,000,003 bytes" in failure()
    assert len(place.requests) == 3  # the one that brought something, and two more
    place.files["a.bin"].cuts = []
    assert get("a").path.read_bytes() == BODY  # a later command goes on
    assert place.requests[-1][1] == "bytes=1000-"


def test_a_server_without_ranges_starts_anew(place: Place, register: Register) -> None:
    register(a=one_file(place, Served(BODY, ranges=False, cuts=[400_000, 500_000])))
    assert get("a").path.read_bytes() == BODY
    assert [begin for _, begin, _ in place.requests] == [None, "bytes=400000-", "bytes=500000-"]


def test_a_server_without_ranges_that_always_cuts_is_given_up(place: Place, register: Register) -> None:
    register(a=one_file(place, Served(BODY, ranges=False, cuts=[400_000] * 99)))
    assert "cut the connection" in failure()
    assert len(place.requests) == 3


def test_bytes_without_a_validator_are_not_trusted(place: Place, register: Register) -> None:
    register(a=one_file(place, Served(BODY, etag=None, cuts=[400_000])))
    assert get("a").path.read_bytes() == BODY
    assert [begin for _, begin, _ in place.requests] == [None, None]


def test_a_weak_etag_is_no_validator(place: Place, register: Register) -> None:
    register(a=one_file(place, Served(BODY, etag='W/"one"', cuts=[400_000])))
    assert get("a").path.read_bytes() == BODY
    assert [begin for _, begin, _ in place.requests] == [None, None]


@pytest.mark.parametrize("known", [{}, {"sha256": sha256(BODY[::-1])}])
def test_a_file_that_changes_between_tries_is_not_pieced_together(
    place: Place, register: Register, known: dict[str, str]
) -> None:
    register(a=one_file(place, Served(BODY, cuts=[400_000] + [0] * 99), **known))
    failure()
    place.files["a.bin"] = Served(BODY[::-1], etag='"two"')
    assert get("a").path.read_bytes() == BODY[::-1]


LONGER = some_bytes(1_200_000, seed=1)


@pytest.mark.parametrize("known", [{}, {"sha256": sha256(LONGER)}])
def test_a_file_of_another_length_is_started_anew(place: Place, register: Register, known: dict[str, str]) -> None:
    register(a=one_file(place, Served(BODY, cuts=[400_000] + [0] * 99), **known))
    failure()
    place.files["a.bin"] = Served(LONGER)  # the same ETag: only the length tells
    assert get("a").path.read_bytes() == LONGER
    assert [begin for _, begin, _ in place.requests][-2:] == ["bytes=400000-", None]


def test_a_file_that_got_shorter_than_what_is_here(place: Place, register: Register) -> None:
    register(a=one_file(place, Served(BODY, cuts=[400_000] + [0] * 99)))
    failure()
    place.files["a.bin"] = Served(BODY[:1000])
    assert get("a").path.read_bytes() == BODY[:1000]


def test_an_answer_to_another_range_is_not_appended(place: Place, register: Register) -> None:
    register(a=one_file(place, Served(BODY, cuts=[400_000], skip=7)))
    assert get("a").path.read_bytes() == BODY


def test_a_damaged_note_costs_only_the_bytes(place: Place, register: Register, tmp_path: Path) -> None:
    register(a=one_file(place, Served(BODY, cuts=[400_000] + [0] * 99)))
    failure()
    note = tmp_path / "cache" / "assets" / "a" / "a.bin.part.json"
    assert json.loads(note.read_text())["total"] == len(BODY)
    note.write_text("{")
    place.files["a.bin"].cuts = []
    assert get("a").path.read_bytes() == BODY


def test_a_wrong_hash_after_a_resumed_download_gets_one_fresh_try(place: Place, register: Register) -> None:
    register(a=one_file(place, Served(BODY, cuts=[400_000] + [0] * 99), sha256=sha256(BODY)))
    failure()
    part = next(find_part())
    part.write_bytes(b"\0" + part.read_bytes()[1:])  # the disk lost a byte
    place.files["a.bin"].cuts = []
    assert get("a").path.read_bytes() == BODY
    assert [begin for _, begin, _ in place.requests][-2:] == ["bytes=400000-", None]


def test_chunks_are_read_to_their_end(place: Place, register: Register) -> None:
    register(a=one_file(place, Served(BODY, chunked=True, cuts=[400_000])))
    assert get("a").path.read_bytes() == BODY


def test_a_mirror_goes_on_where_another_place_stopped(place: Place, other_place: Place, register: Register) -> None:
    other_place.files["b.bin"] = Served(BODY, etag='"elsewhere"')
    served = Served(BODY, cuts=[400_000] + [0] * 99)
    register(a=one_file(place, served, f"{other_place.url}/b.bin", sha256=sha256(BODY)))
    assert get("a").path.read_bytes() == BODY
    assert other_place.requests == [("/b.bin", "bytes=400000-", None)]


def test_without_a_hash_a_mirror_starts_anew(place: Place, other_place: Place, register: Register) -> None:
    other_place.files["b.bin"] = Served(BODY[::-1])
    served = Served(BODY, cuts=[400_000] + [0] * 99)
    register(a=one_file(place, served, f"{other_place.url}/b.bin"))
    assert get("a").path.read_bytes() == BODY[::-1]


def test_redirects_are_followed(place: Place, other_place: Place, register: Register) -> None:
    other_place.files["b.bin"] = Served(BODY, cuts=[400_000])
    register(a=one_file(place, Served(b"", redirect=f"{other_place.url}/b.bin")))
    assert get("a").path.read_bytes() == BODY
    assert other_place.requests[1] == ("/b.bin", "bytes=400000-", '"one"')


def test_a_second_process_is_told_to_wait(place: Place, register: Register) -> None:
    fcntl = pytest.importorskip("fcntl")
    register(a=one_file(place, Served(BODY, cuts=[400_000] + [0] * 99)))
    failure()
    with next(find_part()).open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(MienError, match=r"Another process is fetching a\.bin"):
            get("a")
    place.files["a.bin"].cuts = []
    assert get("a").path.read_bytes() == BODY


def test_progress_is_told_in_bytes(place: Place, register: Register) -> None:
    told: list[tuple[int, int | None]] = []
    register(a=one_file(place, Served(BODY, cuts=[400_000])))
    get("a", watch=lambda name: nullcontext(lambda done, total: told.append((done, total))))
    assert told[0] == (0, len(BODY))
    assert told[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
