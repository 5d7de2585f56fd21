"""Jobs of many users: rows that wait in a bounded queue, and are taken in batches that can be drawn together."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from mien.app.limits import Limits
from mien.app.problems import Refused
from mien.generation.batches import batch_key
from mien.generation.request import GenerateRequest

if TYPE_CHECKING:
    from mien.generation.generate import Prepared


class Event(NamedTuple):
    """What a job tells: a name, and values that JSON can hold.

    ``queued`` (ahead), ``read`` (words, notes), ``progress`` (picture, step, steps), ``preview`` (picture, image),
    ``picture`` (picture, seed, image; command and python, which draw it alone),
    ``done`` (command, python), ``error`` (errors, status).
    """

    name: str
    values: dict[str, Any]


LAST = ("done", "error")
"""The names of events after which no other follows."""


@dataclass(eq=False)
class Job:
    """One request of one user.

    Attributes:
        requests: what is drawn, each with its number of pictures.
        tell: takes the events; called from the thread that draws.
        client: whose it is: users take turns.
        preview_every: steps between intermediate pictures; 0 for none.
        prepared: what was read for each request, once it was.
        cancelled: set when nobody waits for it any more.
        left: pictures that are still to come.
    """

    requests: Sequence[GenerateRequest]
    tell: Callable[[Event], None]
    client: str = ""
    preview_every: int = 0
    prepared: list[Prepared] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)
    left: int = 0

    def rows(self) -> list[Row]:
        """All pictures of the job, in order."""
        pairs = [(number, index) for number, one in enumerate(self.requests) for index in range(one.count)]
        return [Row(self, number, index, place) for place, (number, index) in enumerate(pairs)]

    def fail(self, event: Event) -> None:
        """Say why nothing more comes."""
        if not self.cancelled.is_set():
            self.cancelled.set()
            self.tell(event)


class Row(NamedTuple):
    """One picture of a job.

    Attributes:
        job: whose.
        number: of the request in the job.
        picture: its number in the request.
        place: of the picture in the job.
    """

    job: Job
    number: int
    picture: int
    place: int

    @property
    def request(self) -> GenerateRequest:
        """What it is a picture of."""
        return self.job.requests[self.number]

    @property
    def seed(self) -> int:
        """Of its noise."""
        return self.request.seed + self.picture

    @property
    def alone(self) -> GenerateRequest:
        """What asks for this picture and no other."""
        return self.request.model_copy(update={"seed": self.seed, "count": 1})


class RowQueue:
    """Rows that wait. Users take turns: of two with much to draw, neither waits for all of the other's.

    Args:
        limits: of its length.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: OrderedDict[str, deque[Row]] = OrderedDict()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, job: Job) -> int:
        """Add a job; the number of pictures before its first.

        Raises:
            Refused: if the queue, or the user's part of it, is full.
        """
        rows = job.rows()
        with self._changed:
            self._forget_cancelled()
            ahead, own = len(self), len(self._waiting.get(job.client, ()))
            if own + len(rows) > self._limits.queue_each and own:
                raise Refused(f"{own} pictures of yours are waiting already: wait for them, or cancel some.", 2)
            if ahead + len(rows) > self._limits.queue and ahead:
                raise Refused(f"{ahead} pictures are waiting already: try again in a moment.", 5)
            if self._closed:
                raise Refused("The server is about to stop.", 5)
            job.left = len(rows)
            self._waiting.setdefault(job.client, deque()).extend(rows)
            self._changed.notify()
            return ahead

    def take(self, timeout: float | None = None) -> list[Row]:
        """The next rows to draw together; empty when the time is over or the queue was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._has_work(), timeout)
            if self._closed or not self._has_work():
                return []
            client = next(iter(self._waiting))
            taken = [self._waiting[client].popleft()]
            key = batch_key(taken[0].request)
            while key is not None and len(taken) < self._limits.batch and (row := self._fitting(key)) is not None:
                taken.append(row)
            self._waiting.move_to_end(client)
            self._waiting = OrderedDict((one, rows) for one, rows in self._waiting.items() if rows)
            return taken

    def close(self) -> None:
        """Wake whoever waits; nothing is taken any more."""
        with self._changed:
            self._closed = True
            for job in {id(row.job): row.job for rows in self._waiting.values() for row in rows}.values():
                job.fail(Event("error", {"status": 503, "errors": [{"field": "", "message": "The server stopped."}]}))
            self._waiting.clear()
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether nothing is taken any more."""
        return self._closed

    def __len__(self) -> int:
        """Pictures that wait."""
        return sum(len(rows) for rows in self._waiting.values())

    def _has_work(self) -> bool:
        self._forget_cancelled()
        return bool(self._waiting)

    def _forget_cancelled(self) -> None:
        left = {
            one: deque(row for row in rows if not row.job.cancelled.is_set()) for one, rows in self._waiting.items()
        }
        self._waiting = OrderedDict((one, rows) for one, rows in left.items() if rows)

    def _fitting(self, key: object) -> Row | None:
        """Take out the next row that can be drawn beside the others, of each user in turn."""
        for client, rows in self._waiting.items():
            for row in rows:
                if batch_key(row.request) == key:
                    rows.remove(row)
                    self._waiting.move_to_end(client)
                    return row
        return None


def jobs_of(rows: Iterable[Row]) -> list[Job]:
    """The jobs of some rows, each once."""
    return list({id(row.job): row.job for row in rows}.values())
