"""Tables and pictures: the right numbers, the worst first, within the width."""

import io
import math
from types import SimpleNamespace

import pandas as pd
import pytest

from gridclear.report.figures import plot_lights
from gridclear.report.lights import light_grid, light_picture
from gridclear.report.progress import progress_on
from gridclear.report.tables import (
    bids_table,
    constraints_table,
    devices_table,
    envelopes_table,
    exchange_table,
    lights_table,
    products_table,
    quantity,
    render,
    violations_table,
)
from gridclear.report.text import describe_qualification

STARTS = pd.date_range("2026-06-21T10:00Z", periods=4, freq="15min")


def lights(rows: dict[str, str], starts: pd.DatetimeIndex = STARTS) -> pd.DataFrame:
    """Lights from words: one letter per period, G, Y (half accepted of 2 MW), R or a dot for no bid."""
    share = {"G": ("green", 2.0), "Y": ("yellow", 1.0), "R": ("red", 0.0)}
    found = [
        (
            start,
            bid,
            share[letter][0],
            2.0,
            share[letter][1],
            "overload" if letter == "R" else "overvoltage",
            "line",
            bid,
        )
        for bid, word in rows.items()
        for start, letter in zip(starts, word, strict=True)
        if letter != "."
    ]
    columns = ["start", "bid", "light", "offered_mw", "accepted_mw", "kind", "element_type", "element"]
    return pd.DataFrame(found, columns=columns).assign(reason="because it is so, and for a long time to come")


def test_counts_and_energy_per_colour():
    table = lights_table(lights({"a": "GGYR", "b": "G..."}), hours=0.25).set_index("light")
    assert table.loc["green"].tolist() == [3, 1.5, 1.5]
    assert table.loc["yellow"].tolist() == [1, 0.5, 0.25]
    assert table.loc["red"].tolist() == [1, 0.5, 0.0]
    assert table.loc["all"].tolist() == [5, 2.5, 1.75]


def test_constraint_that_holds_back_most_comes_first():
    table = constraints_table(lights({"a": "GYYG", "b": "RRRG"}), hours=0.25)
    assert table["constraint"].tolist() == ["overload line 'b'", "overvoltage line 'a'"]
    assert table["red"].tolist() == [3, 0]
    assert table["held back MWh"].tolist() == [1.5, 0.5]


def test_bids_show_their_worst_period():
    table = bids_table(lights({"fine": "GGGG", "a": "GYYG", "b": "GYRG"}), hours=0.25)
    assert table["bid"].tolist() == ["b", "a"]
    assert table.loc[0, ["yellow", "red", "worst at", "accepted MW"]].tolist() == [
        1,
        1,
        "21 Jun 10:30",
        "0.000 of 2.000",
    ]


def test_nothing_held_back_gives_empty_tables():
    green = lights({"a": "GGGG"})
    assert bids_table(green, hours=1.0).empty
    assert constraints_table(green, hours=1.0).empty


def test_violations_name_the_worst_value():
    violations = pd.DataFrame(
        {
            "start": [STARTS[0], STARTS[1], STARTS[1]],
            "kind": ["undervoltage", "undervoltage", "islanded"],
            "element_type": "bus",
            "element": ["x", "x", "y"],
            "value": [0.93, 0.91, 0.25],
            "limit": [0.95, 0.95, 0.0],
        }
    )
    assert violations_table(violations).to_numpy().tolist() == [
        ["undervoltage bus 'x'", 2, "21 Jun 10:00", "0.9100 p.u.", "0.9500 p.u."],
        ["islanded bus 'y'", 1, "21 Jun 10:15", "0.250 MW lost", ""],
    ]


def test_devices_count_their_steps():
    devices = pd.DataFrame(
        {"start": STARTS, "element_type": "trafo", "element": "T1", "position": [0.0, -1.0, 1.0, 1.0]}
    )
    assert devices_table(devices).to_numpy().tolist() == [["trafo 'T1'", 0.0, 1.0, -1.0, 1.0, 3.0]]


def test_exchange_has_a_row_per_connection_point():
    exchange = pd.DataFrame(
        {
            "start": STARTS,
            "connection_point": ["b", "a", "b", "a"],
            "p_mw": [1.0, 2, 3, -4],
            "q_mvar": [0.0, 1, 0, 1],
        }
    )
    assert exchange_table(exchange).to_numpy().tolist() == [
        ["a", -4.0, 2.0, 1.0, 1.0],
        ["b", 1.0, 3.0, 0.0, 0.0],
    ]


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("overvoltage", 1.05, "1.0500 p.u."),
        ("overload", 104.26, "104.3 %"),
        ("exchange", 3.0, "3.000"),
        ("overload", math.nan, ""),
    ],
)
def test_quantity_has_its_unit(kind, value, text):
    assert quantity(kind, value) == text


def test_rendered_table_aligns_its_columns():
    assert render(pd.DataFrame({"x": [1.0, 12.5], "y": ["a", "b"]})).splitlines() == [
        "     x  y",
        "─────────",
        " 1.000  a",
        "12.500  b",
    ]


def test_notes_stand_below_their_row():
    table = pd.DataFrame({"bid": ["b", "a"], "count": [1, 10], "why": ["because it is so", "no"]})
    assert render(table, width=20, note="why").splitlines() == [
        "bid  count",
        "──────────",
        "b        1",
        "      because it is",
        "      so",
        "a       10",
        "      no",
    ]


def test_report_counts_what_it_leaves_out():
    many = lights({f"b{number}": "RRRR" for number in range(11)})
    nothing = pd.DataFrame(columns=["start", "kind", "element_type", "element", "value", "limit", "position"])
    case = SimpleNamespace(horizon=SimpleNamespace(hours=0.25))
    costs = pd.DataFrame({"each_mw": [2.0], "accepted_mw": [1.5], "cost_mw": [0.5]})
    tlq = SimpleNamespace(lights=many, costs=costs, violations=nothing, devices=nothing)
    text = describe_qualification(case, tlq)
    assert "0.500 MWh, under this guarantee 0.375 MWh" in text
    assert text.count("and 3 more\n") == 2
    assert "The forecast breaks no limit" in text


def test_picture_with_letters():
    text = light_picture(lights({"fine": "GGGG", "bad": "GYR.", "007": "YYGG"}), width=40)
    assert text.splitlines() == [
        "      10:00 UTC",
        "bad   G Y R ·",
        "007   Y Y G G",
        "fine  G G G G",
        "G green   Y yellow   R red   · no bid",
    ]


def test_picture_with_dots_says_the_same_without_colour():
    text = light_picture(lights({"bad": "GYR."}), width=40, colour=True)
    for mark in ("\x1b[32m●\x1b[0m", "\x1b[33m◐\x1b[0m", "\x1b[31m○\x1b[0m"):
        assert text.splitlines()[1].count(mark) == 1


def test_long_horizon_shows_the_worst_light_of_several_periods():
    starts = pd.date_range("2026-06-21T00:00Z", periods=96, freq="15min")
    word = "G" * 50 + "R" + "G" * 44 + "Y"
    lines = light_picture(lights({"a": word}, starts), width=40).splitlines()
    assert all(len(line) <= 40 for line in lines[:2])
    assert lines[1] == "a  " + "G" * 16 + "R" + "G" * 14 + "Y"
    assert "each mark is the worst of 3 periods" in lines[2]


def test_picture_counts_the_bids_it_leaves_out():
    many = {f"g{number}": "GGGG" for number in range(5)} | {"r": "RRRR", "y": "YGGG"}
    lines = light_picture(lights(many), rows=1).splitlines()
    assert lines[1].startswith("r")
    assert lines[2] == "and 6 more bids, by their worst light: 1 yellow, 5 green"


def test_unknown_light_is_refused():
    with pytest.raises(ValueError, match="'blue' is no light"):
        light_grid(lights({"a": "GGGG"}).assign(light="blue"))


def test_no_bids_is_said():
    assert light_picture(lights({}).reindex(columns=["start", "bid", "light"])) == "no bids"


def test_figure_has_a_cell_for_every_light():
    figure = plot_lights(lights({"fine": "GGGG", "bad": "GYR.", "007": "YYGG"}), title="village")
    (axes,) = figure.axes
    green, yellow, filled, red = axes.collections
    assert [len(cells.get_paths()) for cells in (green, yellow, filled, red)] == [7, 3, 3, 1]
    assert red.get_hatch()
    widths = [path.get_extents().width for path in filled.get_paths()]
    assert widths == pytest.approx([0.46] * 3)
    assert sorted(text.get_text() for text in axes.texts) == ["50"] * 3 + ["G"] * 7 + ["R"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["bad", "007", "fine"]
    figure.savefig(io.BytesIO(), format="png")


def test_figure_says_how_many_bids_are_missing():
    figure = plot_lights(lights({"a": "GGGG", "b": "RRRR"}), rows=1)
    assert "1 more bids not shown" in figure.axes[0].get_title(loc="left")
    with pytest.raises(ValueError, match="no lights"):
        plot_lights(lights({}).reindex(columns=["start", "bid", "light"]))


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_a_bar_on_a_terminal():
    stream = Terminal()
    with progress_on(stream, "lights") as progress:
        for done in (1, 4):
            progress(done, 4)
    shown = stream.getvalue()
    assert "lights:   0%" in shown or "lights: 0it" in shown
    assert "\r" in shown


def test_progress_is_lines_elsewhere_and_silent_when_quick(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("gridclear.report.progress.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    with progress_on(stream, "quick") as progress:
        progress(1, 1)
    with progress_on(stream, "slow") as progress:
        for done in range(1, 5):
            now[0] += 3.0
            progress(done, 4)
    assert stream.getvalue().splitlines() == ["slow: 2 of 4", "slow: 4 of 4"]


def test_product_that_loses_most_comes_first():
    products = pd.DataFrame(
        {
            "element_type": "sgen",
            "element": ["a", "b", "c", "d"],
            "direction": "up",
            "largest_mw": [1.0, 2.0, 0.0, float("nan")],
            "cap_mw": [1.0, 5.0, 1.0, float("nan")],
            "start": [STARTS[0], STARTS[1], pd.NaT, pd.NaT],
            "reason": "because",
        }
    )
    table = products_table(products)
    assert table["resource"].tolist() == ["sgen 'b'", "sgen 'c'"]
    assert table["largest MW"].tolist() == ["2.000 of 5.000", "0.000 of 1.000"]
    assert table["at"].tolist() == ["21 Jun 10:15", ""]


def test_what_stops_most_sides_of_envelopes_comes_first():
    envelopes = pd.DataFrame(
        {
            "low_kind": ["resource", "overload"],
            "low_limit_element_type": ["", "line"],
            "low_limit_element": ["", "L"],
            "high_kind": ["overload", "overload"],
            "high_limit_element_type": "line",
            "high_limit_element": "L",
        }
    )
    assert envelopes_table(envelopes).to_numpy().tolist() == [["overload line 'L'", 1, 2], ["resource", 1, 0]]
