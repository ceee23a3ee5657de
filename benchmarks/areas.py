"""P–Q areas of TensorConvolution+'s own example networks: seconds, and what of random dispatches is covered.

Its providers are loads and plants of pandapower's networks: active power between nothing and what is there,
apparent power up to the rating (``flex_shape`` "Smax"). gridclear gets the same as bids and inverters, the
loads as plants with negative power; both get the same limits.
"""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pandas as pd
from scipy.spatial import ConvexHull

import gridclear
from benchmarks.registry import Benchmark, Cell, Result, Settings, Target, interleaved
from gridclear.network.compiled import compile_case

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".venv-areas" / "bin" / "python"
OURS, THEIRS = "gridclear", "TensorConvolution+"
POINT, START = "TSO", pd.Timestamp("2026-03-02T10:00Z")
VM_PU, LOADING_PERCENT = (0.95, 1.05), 100.0
DRAWN = 20_000


@dataclass(frozen=True)
class Example:
    """Arguments of ``tc_plus`` in its documentation, III.D; places of loads and plants in their tables."""

    net: str
    loads: tuple[int, ...]
    plants: tuple[int, ...]
    dp: float = 0.05
    dq: float = 0.1


EXAMPLES = {
    "oberrhein-6": Example("MV Oberrhein0", (1, 2, 3), (1, 2, 3)),
    "oberrhein-4": Example("MV Oberrhein0", (1, 2), (1, 2)),
}


@dataclass(frozen=True, eq=False)
class Providers:
    """Rows of the net's ``sgen``, with what each may do: injections in MW and MVA."""

    name: tuple[str, ...]
    index: NDArray[np.int64]
    p_mw: NDArray[np.float64]
    q_mvar: NDArray[np.float64]
    s_max_mva: NDArray[np.float64]


def read_net(example: Example) -> tuple[pp.pandapowerNet, Providers]:
    """Read the network as ``tc_plus`` does: unscaled, all switches closed; providers become plants."""
    net = pn.mv_oberrhein(separation_by_sub=True)[int(example.net[-1])]
    net.load["scaling"], net.sgen["scaling"], net.switch["closed"] = 1.0, 1.0, True
    net.ext_grid["name"] = POINT
    net.sgen["name"] = [f"other {index}" for index in net.sgen.index]
    net.bus["min_vm_pu"], net.bus["max_vm_pu"] = VM_PU
    net.line["max_loading_percent"] = net.trafo["max_loading_percent"] = LOADING_PERCENT
    found = []
    for place in example.plants:
        row = net.sgen.iloc[place]
        found.append((f"plant {place}", row.name, row["p_mw"], row["q_mvar"], row["sn_mva"]))
    for place in example.loads:
        row = net.load.iloc[place]
        net.load.loc[row.name, "in_service"] = False
        name, p, q = f"consumer {place}", -row["p_mw"], -row["q_mvar"]
        index = pp.create_sgen(net, int(row["bus"]), p, q, sn_mva=float(np.hypot(p, q)), name=name)
        found.append((name, index, p, q, float(np.hypot(p, q))))
    names, index, p_mw, q_mvar, s_max = zip(*found, strict=True)
    net.sgen.loc[list(index), "name"] = names
    powers = (np.array(values, dtype=np.float64) for values in (p_mw, q_mvar, s_max))
    return net, Providers(names, np.array(index, dtype=np.int64), *powers)


def case_of(net: pp.pandapowerNet, providers: Providers) -> gridclear.Case:
    """State the providers as bids of one quarter-hour: to nothing in P, to the rating in Q."""
    rows = list(zip(*(providers.name, providers.p_mw, providers.q_mvar, providers.s_max_mva), strict=True))
    own = {"element_type": "sgen", "start": START}
    active = [
        {"bid": f"P {name}", "element": name, "direction": "down" if p > 0.0 else "up", "p_mw": abs(p)}
        for name, p, _, _ in rows
        if p
    ]
    reactive = [
        {"bid": f"Q {name}", "element": name, "direction": way, "q_mvar": s - q if way == "inject" else s + q}
        for name, _, q, s in rows
        for way in ("inject", "absorb")
    ]
    return gridclear.Case.from_pandapower(
        net,
        name="areas",
        start=START,
        periods=1,
        active_bids=pd.DataFrame(active).assign(**own, price_eur_mwh=1.0),
        reactive_bids=pd.DataFrame(reactive).assign(**own, price_eur_mvarh=1.0),
        inverters=pd.DataFrame({"element": providers.name, "s_max_mva": providers.s_max_mva}),
        connection_points=pd.DataFrame({"connection_point": [POINT], "element": [POINT]}),
    )


def run(name: str, settings: Settings) -> Result:
    """Draw both areas in turns, and look where random dispatches that keep all limits lie."""
    example = EXAMPLES[name]
    net, providers = read_net(example)
    case = case_of(net, providers)
    ours = partial(gridclear.pq_map, case, area=True, compiled=compile_case(case))
    found = ours()
    answers: list[Mapping[str, list]] = []
    runs = {OURS: partial(_timed, ours)}
    there = PYTHON.exists()
    if settings.wants(THEIRS) and there:
        runs[THEIRS] = partial(_theirs, example, answers)
    seconds = {key: taken["total"] for key, taken in interleaved(runs, settings.repeats).items()}
    exchange = feasible(net, providers, np.random.default_rng(settings.seed))
    corner = found.tables["area"][["p_mw", "q_mvar"]].to_numpy(dtype=np.float64)
    covered = {OURS: 100.0 * inside(corner, exchange).mean()}
    size = {OURS: float(found.tables["regions"]["size"].iloc[0])}
    if answers:
        cell, step = np.array(answers[-1]["cells"]), np.array([example.dp, example.dq])
        covered[THEIRS] = 100.0 * in_cells(cell, step, exchange).mean()
        size[THEIRS] = float(len(cell) * step.prod())
    rows: list[Mapping[str, Cell]] = [
        {
            "method": method,
            "s": taken,
            "× gridclear": taken / seconds[OURS],
            "area MW·Mvar": size[method],
            "covered %": covered[method],
        }
        for method, taken in seconds.items()
    ]
    notes = (
        f"{len(net.bus)} buses, {len(providers.name)} providers; median of {settings.repeats} runs.",
        f"covered: of {len(exchange)} random dispatches that keep all limits, those inside.",
        f"{THEIRS}: steps of {example.dp} MW and {example.dq} Mvar, from profiles to cells, without plots.",
        f"{THEIRS}: no prices, no devices; changes by single providers, each by a power flow, are added up.",
        f"{OURS}: cost and power flow of every corner, and the map of Q at the scheduled P beside it.",
    )
    if not there:
        notes = (*notes, f"{THEIRS} is not installed and left out; make bench-areas brings it.")
    targets = []
    if answers:
        factor = seconds[THEIRS] / seconds[OURS]
        lead = covered[OURS] - covered[THEIRS]
        targets = [
            Target(f"times faster than {THEIRS}", factor, 20.0, at_least=True),
            Target("covered, % more", lead, 0.0, at_least=True, speed=False),
        ]
    return Result("areas", name, tuple(rows), notes, tuple(targets))


def _timed(run_map: partial[gridclear.PQMap]) -> dict[str, float]:
    begin = time.perf_counter()
    run_map()
    return {"area": time.perf_counter() - begin}


def _theirs(example: Example, answers: list[Mapping[str, list]]) -> dict[str, float]:
    """Run it in its own environment; its own seconds."""
    asked = {
        "net": example.net, "loads": example.loads, "plants": example.plants, "dp": example.dp,
        "dq": example.dq, "repeats": 1,
    }  # fmt: skip
    script = Path(__file__).parent / "peers" / "tensor_convolution.py"
    done = subprocess.run(  # noqa: S603 -- our own script, in an environment of ours
        [str(PYTHON), str(script), json.dumps(asked)], capture_output=True, text=True, check=True
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    answers.append(answer)
    return {"area": answer["seconds"][-1]}


def feasible(net: pp.pandapowerNet, providers: Providers, rng: np.random.Generator) -> NDArray[np.float64]:
    """Exchanges (dispatch, 2) in MW and Mvar of random dispatches that keep all limits."""
    p = providers.p_mw * rng.uniform(0.0, 1.0, (DRAWN, len(providers.name)))
    # Half of the powers at an end, and half of the dispatches with all Q at one end: there the area ends.
    at_end = np.where(rng.random(p.shape) < 0.5, 0.0, providers.p_mw)
    p = np.where(rng.random(p.shape) < 0.5, at_end, p)
    most = np.sqrt(np.maximum(providers.s_max_mva**2 - p**2, 0.0))
    drawn = rng.uniform(-1.0, 1.0, p.shape)
    q = most * np.where(rng.random((DRAWN, 1)) < 0.5, rng.choice([-1.0, 1.0], (DRAWN, 1)), drawn)
    network = gridclear.compile_network(net)
    mine = net.sgen.index.isin(providers.index)
    others = []
    for frame, sign in ((net.load, -1.0), (net.sgen[~mine], 1.0)):
        fixed = frame[frame["in_service"]]
        powers = (np.tile(fixed[column].to_numpy(), (DRAWN, 1)) for column in ("p_mw", "q_mvar"))
        others.append(gridclear.Profile(fixed["bus"], *powers, sign=sign))
    own = gridclear.Profile(net.sgen["bus"].loc[providers.index], p, q)
    states = gridclear.solve_batch(network, profiles=[*others, own], outputs=("slack", "limits"))
    # NaN, where there is no solution, keeps no limit.
    kept = states.over <= 0.0
    return np.stack([states.slack_p_mw.sum(axis=1), states.slack_q_mvar.sum(axis=1)], axis=1)[kept]


def inside(corner: NDArray[np.float64], place: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which places (place, 2) lie in the convex hull of corners, or 1e-6 beside it."""
    sides = ConvexHull(corner).equations
    return (place @ sides[:, :2].T + sides[:, 2] <= 1e-6).all(axis=1)


def in_cells(
    cell: NDArray[np.float64], step: NDArray[np.float64], place: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Tell which places lie in a cell."""
    low = cell.min(axis=0) - 0.5 * step
    there = {tuple(one) for one in np.floor((cell - low) / step).astype(int).tolist()}
    return np.array([tuple(one) in there for one in np.floor((place - low) / step).astype(int).tolist()])


BENCHMARK = Benchmark(
    name="areas",
    question="P–Q areas of TensorConvolution+'s examples: seconds, and what is covered",
    cases=tuple(EXAMPLES),
    extra_cases=(),
    smoke_case="oberrhein-4",
    peers=(OURS, THEIRS),
    phases=("area",),
    run=run,
)
