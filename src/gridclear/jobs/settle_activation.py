"""Settlement of an activation: what the TSO pays for what was activated and delivered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gridclear.errors import SolverError
from gridclear.jobs.agreed import agreed_terms, check_origin
from gridclear.jobs.bill import activation_bill
from gridclear.jobs.carried import ACTIVATED
from gridclear.jobs.result import Result, Stopwatch, provenance
from gridclear.jobs.settled import agents_table, amounts_table, metering_state, statements_table, unmetered

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from gridclear.case import Case
    from gridclear.jobs.activate import Activation


@dataclass(frozen=True, eq=False)
class ActivationSettlement(Result):
    """What the TSO pays for an activation, to the cent.

    ``status`` is ``settled`` (every activated bid is metered), ``provisional`` (some are not: ``provenance``
    names them, and they are paid as activated until they are) or ``scheduled`` (no active power is metered).

    Attributes
    ----------
    agents : DataFrame
        start, bid, product, direction, scheduled, metered, energy, beyond, price_eur, paid_eur, penalty_eur,
        state: rows of ``accepted`` that were taken; as in ``Settlement.agents``, in MW and MWh.
    periods : DataFrame
        start, direction, energy, paid_eur, penalty_eur, amount_eur.
    statements : DataFrame
        day, bid, product, energy, paid_eur, penalty_eur, amount_eur: of every agent by UTC day.
    """

    agents: pd.DataFrame
    periods: pd.DataFrame
    statements: pd.DataFrame

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The result tables by name."""
        return {name: getattr(self, name) for name in ("agents", "periods", "statements")}


def settle_activation(
    case: Case,
    activation: Activation,
    *,
    tolerance_percent: float | None = None,
    penalty_eur_mwh: float | None = None,
) -> ActivationSettlement:
    """Settle an activation: each bid is paid the price of its period and direction for what it delivered.

    Parameters
    ----------
    case : Case
        In which was activated; its ``metered`` and its ``settlement`` may be other ones by now. Not changed.
    activation : Activation
    tolerance_percent : float, optional
        Of the activated amount, from 0 to 100: what is metered within it counts as delivered. This and the
        next one are by default what the case says in its ``settlement``.
    penalty_eur_mwh : float, optional
        Price of what is metered beyond the tolerance, too little or too much.

    Returns
    -------
    ActivationSettlement

    Raises
    ------
    OptionError
        An option is none of those, or the activation is not of this case.
    SolverError
        The activation is not confirmed: there is nothing to settle.
    """
    terms = agreed_terms(
        case.settlement, {"tolerance_percent": tolerance_percent, "penalty_eur_mwh": penalty_eur_mwh}
    )
    check_origin(case, "activation", activation)
    if activation.status not in ACTIVATED:
        raise SolverError(f"the activation is {activation.status}: there is nothing to settle")
    watch = Stopwatch()
    with watch.phase("money"):
        agents = agents_table(case, activation_bill(case, activation, terms))
    options = {name: getattr(terms, name) for name in ("tolerance_percent", "penalty_eur_mwh")}
    return ActivationSettlement(
        status=metering_state(case, agents, ("active",)),
        provenance=provenance("settle_activation", case, options, watch) | {"not_metered": unmetered(agents)},
        agents=agents,
        periods=amounts_table(agents, ["start", "direction"]),
        statements=statements_table(agents),
    )
