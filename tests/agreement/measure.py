"""Measure how the published networks agree with runpp; as a script, write networks.csv anew."""

from __future__ import annotations

import csv
import logging
import sys
import warnings
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import pandapower as pp
from catalogue import catalogue
from network_support import compare, solve
from powerflow_support import injections

import gridclear as gc

TABLE = Path(__file__).with_name("networks.csv")


@dataclass(frozen=True)
class Row:
    """How one network agrees.

    Attributes
    ----------
    network : str
        Name in the catalogue.
    buses : int
    runpp : str
        ``solved`` or ``not solved``.
    outcome : str
        ``agrees`` (both solve it), ``refused`` (with the reason), ``no solution`` (gridclear's kernels
        find none from their start, although the compiled network is runpp's).
    admittance, mismatch_mva : str
        See ``network_support.Comparison``.
    vm_pu, va_degree : str
        Largest difference of a bus voltage.
    note : str
        Why it is refused, and what else a reader must know.
    """

    network: str
    buses: int
    runpp: str
    outcome: str
    admittance: str = ""
    mismatch_mva: str = ""
    vm_pu: str = ""
    va_degree: str = ""
    note: str = ""


def measure(name: str, net: pp.pandapowerNet) -> Row:
    """Compile and solve one network, by gridclear and by runpp."""
    note = ""
    if len(net.asymmetric_load):
        note = "unbalanced: both add the phases of its asymmetric loads up"
    try:
        solve(net)
    except pp.LoadflowNotConverged:
        runpp = "not solved"
    else:
        runpp = "solved"
    try:
        network = gc.compile_network(net)
    except gc.CaseError as refusal:
        return Row(name, len(net.bus), runpp, "refused", note=str(refusal.issues[0]))
    if runpp != "solved":
        return Row(name, len(net.bus), runpp, "no solution", note=note)
    found = compare(net, network)
    p, q = injections(net)
    states = gc.solve_batch(network, p[None], q[None], threads=1, outputs=("voltages",))
    numbers = {"admittance": f"{found.admittance:.0e}", "mismatch_mva": f"{found.mismatch_mva:.0e}"}
    if not states.solved[0]:
        return Row(name, len(net.bus), runpp, "no solution", **numbers, note=note)
    expected = net.res_bus.vm_pu.to_numpy()
    assert (np.isnan(states.vm_pu[0]) == np.isnan(expected)).all()
    vm_pu = float(np.nanmax(np.abs(states.vm_pu[0] - expected)))
    turn = (states.va_degree[0] - net.res_bus.va_degree.to_numpy() + 180.0) % 360.0 - 180.0
    numbers |= {"vm_pu": f"{vm_pu:.0e}", "va_degree": f"{float(np.nanmax(np.abs(turn))):.0e}"}
    return Row(name, len(net.bus), runpp, "agrees", **numbers, note=note)


def read_table() -> dict[str, Row]:
    """Rows of networks.csv by name."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = [Row(**{**cells, "buses": int(cells["buses"])}) for cells in csv.DictReader(file)]
    return {row.network: row for row in rows}


def main() -> None:
    """Write networks.csv; with arguments, only the rows of networks whose names contain one of them."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    rows = read_table() if TABLE.exists() else {}
    for name, make in catalogue().items():
        if len(sys.argv) == 1 or any(word in name for word in sys.argv[1:]):
            rows[name] = measure(name, make())
            sys.stderr.write(f"{rows[name]}\n")
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(rows[name]) for name in catalogue() if name in rows)


if __name__ == "__main__":
    main()
