"""Charts of the page: what is drawn is what the tables hold, and nothing is drawn where they hold nothing."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from gridclear.case.horizon import Horizon
from gridclear.jobs.activate import Activation
from gridclear.jobs.pq_map import PQMap
from gridclear.report.charts import charts

START = pd.Timestamp("2026-06-21T10:00Z")
CASE = SimpleNamespace(horizon=Horizon(START, pd.Timedelta("15min"), 4))
NOTHING = pd.DataFrame()


def pieces(path: str) -> list[np.ndarray]:
    """Corners of every piece of an SVG path, (n, 2)."""
    found: list[list[tuple[float, float]]] = []
    x = y = 0.0
    for letter, text in re.findall(r"([MHVL])([-\d.,]+)", path):
        numbers = [float(number) for number in text.split(",")]
        x, y = {"H": (numbers[0], y), "V": (x, numbers[0])}.get(letter, tuple(numbers))
        found += [[]] if letter == "M" else []
        found[-1].append((x, y))
    return [np.array(piece) for piece in found]


def test_need_is_drawn_level_in_its_periods_and_nowhere_else():
    starts = [START, START + pd.Timedelta("15min"), START + pd.Timedelta("45min")]
    prices = pd.DataFrame(
        {"start": starts, "direction": "up", "need_mw": [1.0, 4.0, 2.0], "supplied_mw": [1.0, 3.0, np.nan]}
    )
    drawn = charts(CASE, Activation("short", {}, NOTHING, prices, NOTHING, NOTHING))
    supplied, need = (pieces(path) for path in re.findall(r'<path d="([^"]*)"', drawn))
    assert [len(piece) for piece in need] == [4, 2]
    assert [len(piece) for piece in supplied] == [4]
    zero, top = (float(y) for y in re.findall(r'<line [^>]*y1="([\d.]+)"', drawn))
    levels = [[(zero - y) / (zero - top) * 4.0 for y in piece[:, 1]] for piece in need]
    assert levels[0] == pytest.approx([1.0, 1.0, 4.0, 4.0], abs=0.01)
    assert levels[1] == pytest.approx([2.0, 2.0], abs=0.01)
    edges = np.concatenate([piece[:, 0] for piece in need])
    quarter = (760.0 - 60.0) / 4
    assert (edges - 60.0) / quarter == pytest.approx([0, 1, 1, 2, 3, 4], abs=0.01)


def test_gap_of_a_map_stays_open():
    own = {"start": START, "connection_point": "<A>"}
    costs = pd.DataFrame([own | {"q_mvar": q, "cost_eur": abs(q)} for q in (2.0, -2.0, -1.0, 0.0, 1.0)])
    gaps = pd.DataFrame([own | {"q_from_mvar": 0.0, "q_to_mvar": 1.0}])
    ranges = pd.DataFrame([own | {"q_forecast_mvar": 0.0}])
    none = gaps.iloc[:0]
    texts = []
    for gap, lengths in ((gaps, [3, 2]), (none, [5])):
        parts = dict.fromkeys(PQMap.__dataclass_fields__, NOTHING)
        parts |= {"status": "mapped", "provenance": {}, "costs": costs, "gaps": gap, "ranges": ranges}
        texts.append(charts(CASE, PQMap(**parts)))
        cost, mark = (pieces(path) for path in re.findall(r'<path d="([^"]*)"', texts[-1]))
        assert [len(piece) for piece in cost] == lengths
        assert mark[0][:, 0] == pytest.approx(60.0 + 350.0, abs=0.06)
    assert "&lt;A&gt;" in texts[0]
    assert "<A>" not in texts[0]


def test_nothing_known_draws_nothing():
    prices = pd.DataFrame({"start": [START], "direction": "up", "need_mw": np.nan, "supplied_mw": np.nan})
    assert charts(CASE, Activation("short", {}, NOTHING, prices, NOTHING, NOTHING)) == ""
