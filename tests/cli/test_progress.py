"""Progress where nobody watches a terminal: a line now and then."""

from __future__ import annotations

import pytest

from mien.cli.progress import Lines, bar


class Clock:
    """Stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def lines(total: int | None, every: float, counts: list[int], note: str = "") -> list[tuple[float, str]]:
    """What is printed, and when, by work that reports each of ``counts`` after so many seconds more."""
    clock, found = Clock(), []
    advance = Lines(total, "drawing", clock, lambda line: found.append((clock.now, line)))
    for count in counts:
        clock.now += every
        advance(count, note)
    return found


def test_lines_are_half_a_minute_and_a_twentieth_apart() -> None:
    found = lines(1000, 10, [10] * 100)
    assert [when for when, _ in found] == [50.0 * n for n in range(1, 21)]
    assert found[0][1] == "drawing: 50 of 1000 (5%), 1 a second, 16 min left"
    quick = lines(100, 2, [5] * 20)
    assert [when for when, _ in quick] == [30.0]
    assert lines(100, 1, [5] * 20) == []


def test_slow_work_says_that_it_lives() -> None:
    found = lines(10**6, 100, [10] * 20)
    assert [when for when, _ in found] == [600.0, 1200.0, 1800.0]
    assert found[0][1] == "drawing: 60 of 1000000 (0%), 0.1 a second, 2777.6 h left"
    assert lines(None, 100, [10] * 7)[0][1] == "drawing: 60, 0.1 a second"


def test_the_end_is_said_and_so_is_the_note() -> None:
    found = lines(100, 40, [99, 1], "loss 0.1234")
    assert [line for _, line in found][-1] == "drawing: 100 of 100 (100%), 1.25 a second, loss 0.1234"


def test_what_was_done_before_counts_neither_for_speed_nor_for_a_line() -> None:
    clock, found = Clock(), []
    advance = Lines(1000, "drawing", clock, found.append)
    advance(900)
    clock.now = 40
    advance(10)
    assert not found
    clock.now = 100
    advance(40)
    assert found == ["drawing: 950 of 1000 (95%), 0.5 a second, 2 min left"]


def test_a_stream_that_is_no_terminal_gets_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with bar(3, "drawing") as advance:
        advance(1)
        advance(2, "a note")
    assert capsys.readouterr() == ("", "")
