"""A fresh process that looks for broken limits in a batch, and how much memory it takes.

``python -m benchmarks.limit_scan FOLDER`` reads ``net.json`` and the arrays beside it, and prints JSON.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import numpy as np
import pandapower as pp

import gridclear
from gridclear.network.limits import TOLERANCE


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
    network = gridclear.compile_network(net)
    profiles = []
    for path in sorted(folder.glob("*.npz")):
        arrays = np.load(path)
        profiles.append(
            gridclear.Profile(arrays["bus"], arrays["p_mw"], arrays.get("q_mvar"), sign=float(arrays["sign"]))
        )
    read = memory_mb("VmRSS")
    found = gridclear.solve_batch(network, profiles=profiles, outputs=("limits",))
    return {
        "after imports MB": imported,
        "with grid and profiles MB": read,
        "peak MB": memory_mb("VmHWM"),
        "scenarios": len(found.solved),
        "without proved state": int((~found.solved).sum()),
        "with a broken limit": int((found.over > TOLERANCE).sum()),
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
