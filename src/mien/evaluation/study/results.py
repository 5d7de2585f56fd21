"""From votes to selection rates with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mien.evaluation.statistics.bootstrap import cluster_weights, interval, weighted_means
from mien.evaluation.study.plan import Study
from mien.evaluation.study.votes import Vote


def results(study: Study, votes: Sequence[Vote], draws: int = 2000) -> dict[str, Any]:
    """Selection rates, as FaceCrafter's Tables 4 and 5 give them.

    One participant decides several sets and one set is decided by several participants: intervals are 95 %, from a
    bootstrap over participants and sets at once.

    Args:
        study: the questions.
        votes: all votes.
        draws: resamples.

    Returns:
        ``{"participants", "finished", "questions": [{"text", "votes", "participants", "chance", "methods": {method:
        {"value", "low", "high", "votes"}}}]}``; ``finished`` counts those who decided everything they were asked.
    """
    asked = sum(min(study.drawn, len(question.sets)) for question in study.questions)
    counts: dict[str, int] = {}
    for vote in votes:
        counts[vote.participant] = counts.get(vote.participant, 0) + 1
    questions = []
    for number, question in enumerate(study.questions):
        own = [vote for vote in votes if vote.question == number]
        people, sets = [vote.participant for vote in own], [vote.set for vote in own]
        weights = cluster_weights([people, sets], draws, np.random.default_rng(number)) if own else np.empty((0, 0))
        methods = {}
        for method in question.methods:
            chosen = np.array([vote.choice == method for vote in own], float)
            bounds = interval(weighted_means(chosen, weights)) if len(own) > 1 else None
            methods[method] = {
                "value": float(chosen.mean()) if own else None,
                "low": None if bounds is None else bounds[0],
                "high": None if bounds is None else bounds[1],
                "votes": int(chosen.sum()),
            }
        questions.append(
            {
                "text": question.text,
                "votes": len(own),
                "participants": len(set(people)),
                "chance": 1 / len(question.methods),
                "methods": methods,
            }
        )
    return {
        "participants": len(counts),
        "finished": sum(count >= asked for count in counts.values()),
        "questions": questions,
    }
