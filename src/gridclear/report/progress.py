"""Progress on standard error: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, TextIO

from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def progress_on(stream: TextIO, phase: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function ``progress(done, total)`` for a job to call.

    Parameters
    ----------
    stream : text stream
        Where it shows: a bar that vanishes at the end if the stream is a terminal; else a line every few
        seconds and one at the end, and nothing at all where the work is quick.
    phase : str
        What is being done.
    """
    if not stream.isatty():
        yield _Lines(stream, phase).report
        return
    with tqdm(desc=phase, file=stream, leave=False) as bar:
        yield lambda done, total: _advance(bar, done, total)


def _advance(bar: tqdm[NoReturn], done: int, total: int) -> None:
    bar.total = total
    bar.update(done - bar.n)


class _Lines:
    """A line at most every few seconds."""

    def __init__(self, stream: TextIO, phase: str) -> None:
        self._stream = stream
        self._phase = phase
        self._last = time.monotonic()
        self._spoken = False

    def report(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN_LINES or (self._spoken and done == total):
            self._stream.write(f"{self._phase}: {done} of {total}\n")
            self._stream.flush()
            self._last, self._spoken = now, True
