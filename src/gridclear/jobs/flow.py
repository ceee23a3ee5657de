"""The base state over the horizon, as tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.jobs.result import Result, Stopwatch, provenance
from gridclear.jobs.violations import base_violations
from gridclear.network.compiled import CompiledCase, compile_case
from gridclear.powerflow.base import BaseState, base_state
from gridclear.powerflow.scenarios import Scenarios

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.case import Case
    from gridclear.network.network import Ints

#: Tables whose elements carry current and are reported.
_BRANCH_TABLES = ("line", "trafo", "trafo3w", "impedance")


@dataclass(frozen=True, eq=False)
class Flow(Result):
    """Base state of a case.

    ``status`` is ``solved``, ``partial`` (some periods have no power-flow solution; they stand in
    ``violations``) or ``no-solution`` (none has one).

    Attributes
    ----------
    buses : DataFrame
        start, bus, vm_pu, va_degree; live buses of solved periods.
    branches : DataFrame
        start, element_type, element, loading_percent, i_ka; the larger end, zero where out of service.
    exchange : DataFrame
        start, connection_point, p_mw, q_mvar; from transmission into distribution.
    devices : DataFrame
        start, element_type, element, position; tap changers and banks.
    violations : DataFrame
        start, kind, element_type, element, value, limit.
    """

    buses: pd.DataFrame
    branches: pd.DataFrame
    exchange: pd.DataFrame
    devices: pd.DataFrame
    violations: pd.DataFrame

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The result tables by name."""
        return {
            name: getattr(self, name) for name in ("buses", "branches", "exchange", "devices", "violations")
        }


def power_flow(case: Case, *, threads: int | None = None) -> Flow:
    """Solve the base state of every period.

    Parameters
    ----------
    case : Case
        Not changed.
    threads : int, optional
        As in ``solve_batch``.

    Returns
    -------
    Flow

    Raises
    ------
    CaseError
        The grid holds what gridclear does not represent.
    """
    watch = Stopwatch()
    with watch.phase("compile"):
        compiled = compile_case(case)
    with watch.phase("solve"):
        base = base_state(Scenarios(compiled, threads))
    with watch.phase("tables"):
        return Flow(
            status=status_of(base),
            provenance=provenance("flow", case, {}, watch) | restless_periods(case, base),
            buses=_buses(compiled, base),
            branches=_branches(compiled, base),
            exchange=_exchange(compiled, base),
            devices=device_table(compiled, base.positions),
            violations=base_violations(compiled, base),
        )


def status_of(base: BaseState) -> str:
    """``solved``, ``partial`` or ``no-solution``."""
    if base.solved.all():
        return "solved"
    return "partial" if base.solved.any() else "no-solution"


def restless_periods(case: Case, base: BaseState) -> dict[str, object]:
    """List the starts of the periods in which a regulator, or an inverter on its curve, found no rest."""
    starts = case.horizon.starts
    return {
        "hunting": [stamp.isoformat() for stamp in starts[base.hunting]],
        "unsettled": [stamp.isoformat() for stamp in starts[base.unsettled]],
    }


def device_table(compiled: CompiledCase, positions: Ints) -> pd.DataFrame:
    """Positions (period, device) as rows: start, element_type, element, position."""
    named, periods = device_names(compiled), len(positions)
    table = pd.concat([named] * periods, ignore_index=True)
    table.insert(0, "start", compiled.case.horizon.starts.repeat(len(named)))
    table["position"] = positions.ravel()
    return table


def device_names(compiled: CompiledCase) -> pd.DataFrame:
    """Tap changers, then banks, in the engine's order: element_type, element."""
    network, grid = compiled.networks[0], compiled.case.grid
    kinds = [*network.taps.element_type.tolist(), *["shunt"] * len(network.banks.element)]
    indices = [*network.taps.element.tolist(), *network.banks.element.tolist()]
    labels = [str(grid.labels(kind).loc[index]) for kind, index in zip(kinds, indices, strict=True)]
    columns = {"element_type": np.array(kinds, dtype=object), "element": np.array(labels, dtype=object)}
    return pd.DataFrame(columns)


def _buses(compiled: CompiledCase, base: BaseState) -> pd.DataFrame:
    case = compiled.case
    labels = case.grid.labels("bus").to_numpy(dtype=object)
    table = pd.DataFrame(
        {
            "start": case.horizon.starts.repeat(len(labels)),
            "bus": np.tile(labels, len(base.vm_pu)),
            "vm_pu": base.vm_pu.ravel(),
            "va_degree": base.va_degree.ravel(),
        }
    )
    return table[~np.isnan(base.vm_pu).ravel()].reset_index(drop=True)


def _branches(compiled: CompiledCase, base: BaseState) -> pd.DataFrame:
    case = compiled.case
    elements = [(table, index) for table in _BRANCH_TABLES for index in case.grid.tables[table].index]
    place = {key: number for number, key in enumerate(elements)}
    periods = len(base.vm_pu)
    loading, i_ka = np.zeros((periods, len(elements))), np.zeros((periods, len(elements)))
    for topology, network in enumerate(compiled.networks):
        rows = np.flatnonzero((compiled.topology == topology) & base.solved)
        for branch, key in enumerate(
            zip(network.labels.element_type.tolist(), network.labels.element.tolist(), strict=True)
        ):
            if key not in place:
                continue
            column = place[key]
            loading[rows, column] = np.maximum(loading[rows, column], base.loading[topology][rows, branch])
            i_ka[rows, column] = np.maximum(
                i_ka[rows, column], base.i_ka[topology][:, rows, branch].max(axis=0)
            )
    table = pd.DataFrame(
        {
            "start": case.horizon.starts.repeat(len(elements)),
            "element_type": np.tile(np.array([kind for kind, _ in elements], dtype=object), periods),
            "element": np.tile(
                np.array([str(case.grid.labels(kind).loc[index]) for kind, index in elements], dtype=object),
                periods,
            ),
            "loading_percent": 100.0 * loading.ravel(),
            "i_ka": i_ka.ravel(),
        }
    )
    return table[np.repeat(base.solved, len(elements))].reset_index(drop=True)


def _exchange(compiled: CompiledCase, base: BaseState) -> pd.DataFrame:
    case = compiled.case
    names = case.connection_points["connection_point"].to_numpy(dtype=object)
    frames = []
    for topology, limits in enumerate(compiled.limits):
        rows = np.flatnonzero((compiled.topology == topology) & base.solved)
        power = base.exchange[topology][rows] * compiled.s_base_mva
        frames.append(
            pd.DataFrame(
                {
                    "start": case.horizon.starts[rows].repeat(len(limits.point)),
                    "connection_point": np.tile(names[limits.point], len(rows)),
                    "p_mw": power.real.ravel(),
                    "q_mvar": power.imag.ravel(),
                }
            )
        )
    return pd.concat(frames).sort_values("start", kind="stable").reset_index(drop=True)
