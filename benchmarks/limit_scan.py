"""A fresh process that looks for broken limits in a batch, and how much memory it takes.

``python -m benchmarks.limit_scan FOLDER`` reads ``net.json`` and the arrays beside it, and prints JSON.
"""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandapower as pp

import gridclear
from gridclear.network.limits import TOLERANCE, node_limits
from gridclear.powerflow.arrays import NEWTON, Columns, LimitArrays
from gridclear.powerflow.factors import factors_at
from gridclear.powerflow.lanes import Lanes, no_changes, output, solve_lanes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Scan:
    """Per scenario: is there a proved state, and its largest violation (negative: distance) in p.u."""

    solved: NDArray[np.bool_]
    violation: NDArray[np.float64]


def scan(case: gridclear.Case, network: gridclear.Network, profiles: Sequence[gridclear.Profile]) -> Scan:
    """Largest violation of any limit in each scenario, and nothing else."""
    own, count = node_limits(network, case), len(np.asarray(profiles[0].p_mw))
    rows, nodes, by_index = np.arange(count), network.structure.node_of_bus, np.argsort(network.bus)
    columns = []
    for profile in profiles:
        place = by_index[np.searchsorted(network.bus, profile.bus, sorter=by_index)]
        target, factor = nodes[place], np.full(len(place), profile.sign / network.s_base_mva)
        for part, values in ((0, profile.p_mw), (1, profile.q_mvar)):
            if values is not None:
                columns.append(Columns(part, np.asarray(values), rows, target, factor))
    limits = LimitArrays(
        vm_min=own.vm_min[None],
        vm_max=own.vm_max[None],
        loading=own.loading[None],
        per_rated=own.per_rated,
        point_node=own.point_node,
        point_share=own.point_share,
        exchange=own.exchange[None],
        exchange_scale=own.exchange_scale,
        row=np.zeros(count, dtype=np.int64),
        probe=np.full(count, -1, dtype=np.int64),
    )
    out = output(network, count)
    factors = factors_at(network, network.positions)
    solve_lanes(network, factors, Lanes(count, tuple(columns), no_changes(count)), limits, out)
    return Scan(out.code <= NEWTON, out.high)


def memory_mb(which: str) -> float:
    """Resident memory of this process: now (``VmRSS``) or at its peak (``VmHWM``).

    Where there is no ``/proc``, the peak for both. On Linux ``getrusage`` would count the parent's memory
    from before the new program was loaded.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        unit = 1e6 if sys.platform == "darwin" else 1e3
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return next(float(line.split()[1]) * 1.024e-3 for line in lines if line.startswith(which))


def main(folder: Path) -> dict[str, float]:
    """Read, scan, and say what it took."""
    imported = memory_mb("VmRSS")
    net = pp.from_json(str(folder / "net.json"))
    case = gridclear.Case.from_pandapower(net, start="2016-01-01T00:00Z", periods=1)  # for its limits
    network = gridclear.compile_network(net)
    profiles = []
    for path in sorted(folder.glob("*.npz")):
        arrays = np.load(path)
        profiles.append(
            gridclear.Profile(arrays["bus"], arrays["p_mw"], arrays.get("q_mvar"), sign=float(arrays["sign"]))
        )
    read = memory_mb("VmRSS")
    found = scan(case, network, profiles)
    return {
        "after imports MB": imported,
        "with grid and profiles MB": read,
        "peak MB": memory_mb("VmHWM"),
        "scenarios": len(found.solved),
        "without proved state": int((~found.solved).sum()),
        "with a broken limit": int((found.violation > TOLERANCE).sum()),
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
