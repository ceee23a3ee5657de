"""What is taken so far, item by item: the changes it makes, where devices then stand, whom it excludes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from gridclear.powerflow.activations import Activations

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.jobs.bids import Bids
    from gridclear.jobs.search import Search
    from gridclear.network.network import Floats, Ints


class Taker(Protocol):
    """Decides how much is taken of what the grid allows."""

    @property
    def takes_all(self) -> bool:
        """It wants everything and takes all that is safe of it."""
        ...

    def wants(self, units: Ints, begin: Ints) -> NDArray[np.bool_]:
        """Whether anything of items could be taken, (item,): what is not wanted is not judged.

        ``units`` are those of the items, in order; ``begin`` (item,) says where each item begins.
        """
        ...

    def take(self, units: Ints, begin: Ints, share: Floats, taken: Taken) -> Floats:
        """Share of items that is taken, (item,), at most the ``share`` (item,) that is safe."""
        ...


class Everything:
    """Takes all that is safe."""

    takes_all = True

    def wants(self, units: Ints, begin: Ints) -> NDArray[np.bool_]:
        """All of them."""
        del units
        return np.ones(len(begin), dtype=bool)

    def take(self, units: Ints, begin: Ints, share: Floats, taken: Taken) -> Floats:
        """All of it."""
        del units, begin, taken
        return share


class Taken:
    """What is taken so far.

    Parameters
    ----------
    search : Search
        Its settings are those before anything is taken.
    bids : Bids

    Attributes
    ----------
    cells : (cell,) of int
        Cells that any of the bids changes.
    value : (period, cell)
        Their changes in p.u.
    setting : (period,) of int
        Where the devices stand with all that is taken.
    share : (unit,)
        What is taken of every unit.
    """

    def __init__(self, search: Search, bids: Bids) -> None:
        self._search, self._bids = search, bids
        self.cells = np.unique(bids.activations.cell)
        self.value = np.zeros((len(search.base.solved), len(self.cells)))
        self.setting = search.setting.copy()
        self.share = np.zeros(len(bids.item))
        self._holder: dict[tuple[int, int], int] = {}

    def below(self, own: Activations) -> Activations:
        """Put changes on top of all that is taken in their periods."""
        return own.on(self.cells, self.value[own.period])

    def excluding(self, units: Ints) -> Ints:
        """Item that holds the place of each unit's exclusive group in its period; -1: none does."""
        found = np.full(len(units), -1, dtype=np.int64)
        group, period = self._bids.exclusive[units], self._bids.activations.period[units]
        for place in np.flatnonzero(group >= 0).tolist():
            found[place] = self._holder.get((int(period[place]), int(group[place])), -1)
        return found

    def add(self, units: Ints, share: Floats) -> None:
        """Take shares of units, (unit,); devices that react do so."""
        bids = self._bids
        self.share[units] = share
        own = bids.activations.part(units, share)
        place = np.searchsorted(self.cells, own.cell)
        np.add.at(self.value, (np.repeat(own.period, np.diff(own.first)), place), own.value)
        if self._search.reacts:
            period = np.unique(own.period[share > 0.0])
            state = Activations.dense(period, self.cells, self.value[period])
            self.setting[period] = self._search.settled(state, self.setting[period])
        for unit in units[(bids.exclusive[units] >= 0) & (share > 0.0)].tolist():
            key = (int(bids.activations.period[unit]), int(bids.exclusive[unit]))
            self._holder.setdefault(key, int(bids.item[unit]))
