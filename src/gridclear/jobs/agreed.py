"""What settlements have in common before the money: their terms, and what they are of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gridclear.case.settlement_terms import SettlementTerms, check_settlement
from gridclear.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.case import Case
    from gridclear.jobs.result import Result


def agreed_terms(terms: SettlementTerms, given: Mapping[str, Any]) -> SettlementTerms:
    """Take the terms of a case, but for what is given.

    Parameters
    ----------
    terms : SettlementTerms
    given : mapping of str to object
        In place of terms of these names; None: not given.

    Raises
    ------
    OptionError
        What is given is no such term.
    """
    found = replace(terms, **{name: value for name, value in given.items() if value is not None})
    issues = check_settlement(found, "")
    if issues:
        raise OptionError("; ".join(f"{one.column}: {one.what}; expected {one.expected}" for one in issues))
    return found


def market_hash(case: Case) -> str:
    """Content hash of a case without what comes after the market: what was metered, and the terms of money.

    Parameters
    ----------
    case : Case
    """
    if case.metered.empty and case.settlement == SettlementTerms():
        return case.content_hash
    return replace(case, metered=case.metered.iloc[:0], settlement=SettlementTerms()).content_hash


def check_origin(case: Case, name: str, result: Result) -> None:
    """Refuse a result of another case; what was metered, and the terms, may be other ones.

    Parameters
    ----------
    case : Case
    name : str
        Of the argument.
    result : Result
        With ``market_hash`` in its provenance.

    Raises
    ------
    OptionError
        It is one of another case.
    """
    if result.provenance["market_hash"] != market_hash(case):
        raise OptionError(f"{name} is not one of this case")
