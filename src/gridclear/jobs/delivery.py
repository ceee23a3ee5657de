"""What a session of a run leaves when its first period is over: enough to go on from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.case.fingerprint import add_frame
from gridclear.errors import CaseError
from gridclear.io.results import SUMMARY_FILE, jsonable, read_result
from gridclear.jobs.carried import Carried, usable_clearing
from gridclear.jobs.ledger import money_of
from gridclear.jobs.result import Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gridclear.case import Case, SettlementTerms
    from gridclear.jobs.flow import Flow
    from gridclear.jobs.session import Session

TABLES = ("session", "jobs", "taken", "owed", "devices", "exchange", "violations")


@dataclass(frozen=True, eq=False)
class Delivery(Result):
    """What a session of a run has decided, and its first period as it is delivered.

    ``status`` is that of the session; ``follows`` in the provenance is the mark of the one before.

    Attributes
    ----------
    session : DataFrame
        Its row of ``Rolling.sessions``.
    jobs, taken, devices, exchange, violations : DataFrame
        Its rows of the tables of ``Rolling``.
    owed : DataFrame
        Its rows of ``Rolling.ledger``, with those of all its periods.
    """

    session: pd.DataFrame
    jobs: pd.DataFrame
    taken: pd.DataFrame
    owed: pd.DataFrame
    devices: pd.DataFrame
    exchange: pd.DataFrame
    violations: pd.DataFrame

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The result tables by name."""
        return {name: getattr(self, name) for name in TABLES}

    @property
    def mark(self) -> str:
        """Fingerprint of what was decided up to here: what the next session starts from."""
        digest = hashlib.sha256(str(self.provenance["follows"]).encode())
        for name in ("taken", "devices"):
            add_frame(digest, name, self.tables[name])
        return digest.hexdigest()

    @classmethod
    def read(cls, folder: Path) -> Delivery | None:
        """Read one back, exactly as it was written.

        Parameters
        ----------
        folder : Path
            Into which ``write`` has written.

        Returns
        -------
        Delivery or None
            None if there is none.

        Raises
        ------
        CaseError
            There is one, but a file of it is not as it was written.
        """
        if not (folder / SUMMARY_FILE).is_file():
            return None
        try:
            stored = read_result(folder)
        except CaseError as fault:
            issues = (replace(issue, file=str(folder / issue.file)) for issue in fault.issues)
            raise CaseError(tuple(issues)) from fault
        return cls(
            status=stored.status,
            provenance=stored.provenance,
            **{name: stored.tables[name] for name in TABLES},
        )

    def is_of(self, origin: Mapping[str, object], start: pd.Timestamp, periods: int) -> bool:
        """Whether a session would give this very answer: same case, options, versions, past and horizon.

        Parameters
        ----------
        origin : mapping
            Provenance that it should have; seconds do not matter.
        start, periods
            Horizon of the session.
        """
        row = self.session.iloc[0]
        told = [
            {name: value for name, value in dict(one).items() if name != "seconds"}
            for one in (jsonable(self.provenance), jsonable(origin))
            if isinstance(one, dict)
        ]
        return told[0] == told[1] and (row["start"], row["periods"]) == (start, periods)


def delivery_of(
    own: Case,
    session: Session,
    terms: SettlementTerms,
    before: Carried,
    there: Flow,
    carried: Carried,
    origin: Mapping[str, object],
    seconds: float,
) -> Delivery:
    """Put together what a session leaves.

    Parameters
    ----------
    own : Case
        The case of the session.
    session : Session
    terms : SettlementTerms
        By which bids are paid.
    before, carried : Carried
        What stood when it began, and what stands when its first period is over.
    there : Flow
        That period as it is delivered.
    origin : mapping
        Provenance.
    seconds : float
        That the session took.

    Returns
    -------
    Delivery
    """
    start = own.horizon.start
    broken = session.parts["flow"].tables["violations"]
    clearing = usable_clearing(session.parts)
    owed, moves, losses = money_of(own, session.parts, terms)
    row = {
        "start": start,
        "periods": own.horizon.periods,
        "status": session.status,
        "incomplete": " ".join(session.jobs["job"][~session.jobs["complete"]]),
        "seconds": seconds,
        "cost_eur": np.nan if clearing is None else clearing.cost_eur,
        "moves_eur": moves,
        "losses_eur": losses,
        "confirmed": there.status == "solved",
        "broken": len(there.violations),
        "broken_before": int((broken["start"] == start).sum()),
    }
    jobs = session.jobs.assign(session=start)
    return Delivery(
        status=session.status,
        provenance=origin,
        session=pd.DataFrame([row]),
        jobs=jobs[["session", *jobs.columns.drop("session")]],
        taken=carried.taken.iloc[len(before.taken) :].reset_index(drop=True),
        owed=owed,
        devices=_devices(start, carried),
        exchange=there.exchange,
        violations=there.violations,
    )


def carried_from(deliveries: Sequence[Delivery]) -> Carried:
    """Find what stands after sessions from what they have left.

    Parameters
    ----------
    deliveries : sequence of Delivery
        Of all sessions so far, in their order.

    Returns
    -------
    Carried
    """
    nothing = Carried.nothing()
    if not deliveries:
        return nothing
    devices = deliveries[-1].devices
    stores = devices["element_type"] == "storage"
    moved, stored = devices[~stores], devices[stores]
    keys = list(zip(moved["element_type"], moved["element"], strict=True))
    return Carried(
        taken=stacked([nothing.taken, *(one.taken for one in deliveries)]),
        positions=dict(zip(keys, moved["position"].tolist(), strict=True)),
        moves_today=dict(zip(keys, moved["moves_today"].tolist(), strict=True)),
        energy_mwh=dict(zip(stored["element"], stored["energy_mwh"].tolist(), strict=True)),
    )


def stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put tables below one another; empty ones would spoil the types of the others."""
    return pd.concat([frame for frame in frames if len(frame)] or [frames[0]], ignore_index=True)


def _devices(start: pd.Timestamp, carried: Carried) -> pd.DataFrame:
    """Rows as in ``Rolling.devices``."""
    rows = [
        (start, kind, name, position, carried.moves_today[kind, name], np.nan)
        for (kind, name), position in carried.positions.items()
    ]
    rows += [(start, "storage", name, np.nan, np.nan, mwh) for name, mwh in carried.energy_mwh.items()]
    columns = ["start", "element_type", "element", "position", "moves_today", "energy_mwh"]
    return pd.DataFrame(rows, columns=columns)
