"""Work on many periods and connection points in parts, here or by an executor's workers."""

from __future__ import annotations

import importlib
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from gridclear.cores import available_threads
from gridclear.optimise.algorithms import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor

#: Tasks in which what is left would be done by as many workers as there are cores, of which the next is one:
#: tasks take different times, and each begins with what they have in common.
_TASKS = 2

Wanted = TypeVar("Wanted")
Found = TypeVar("Found")


def get_ready() -> None:
    """Import what a worker's tasks need."""
    importlib.import_module("gridclear.jobs.pq_map")


def shared_out(
    work: Callable[[Sequence[Wanted], Deadline], list[Found]],
    wanted: Sequence[Wanted],
    deadline: Deadline,
    executor: Executor,
) -> Iterator[Found]:
    """Let an executor's workers do all that is wanted, and give what they find in its order.

    Parameters
    ----------
    work : callable
        Of a part of what is wanted, and a deadline; sent to the workers.
    wanted : sequence
        Neighbours are done in one task.
    deadline : Deadline
    executor : Executor
    """
    tasks, left_over = [], wanted
    while left_over:
        size = max(1, len(left_over) // (_TASKS * available_threads()))
        tasks.append(left_over[:size])
        left_over = left_over[size:]
    left = None if np.isinf(deadline.at) else deadline.left
    for part in executor.map(partial(_alone, work, left), tasks):
        yield from part


def _alone(
    work: Callable[[Sequence[Wanted], Deadline], list[Found]], seconds: float | None, wanted: Sequence[Wanted]
) -> list[Found]:
    """Do a task in a process of its own."""
    with threadpool_limits(limits=1, user_api="blas"):
        return work(wanted, Deadline.after(seconds))
