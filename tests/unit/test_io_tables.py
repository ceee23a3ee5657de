"""CSV and Parquet tables, as they come from outside."""

from __future__ import annotations

import builtins
import csv
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridclear.case.cells import Faults
from gridclear.case.schema import TABLES
from gridclear.case.sheets import read_sheet
from gridclear.errors import OptionError
from gridclear.io.tables import _split_plain, read_table, table_bytes

NEED = TABLES["active_need"]
TEXT = "start,direction,p_mw\n2016-06-19T10:00:00Z,up,5\n2016-06-19T10:15:00Z,down,6.5\n"


def read(folder, data, table=NEED, suffix="csv"):
    (folder / f"{table.name}.{suffix}").write_bytes(data.encode() if isinstance(data, str) else data)
    faults = Faults()
    raw = read_table(folder, table, faults)
    sheet = None if raw is None else read_sheet(raw, table, faults)
    return sheet, faults.issues


@pytest.mark.parametrize(
    "data",
    [
        TEXT,
        TEXT.removesuffix("\n"),
        "\ufeff" + TEXT,
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("\n", "\r"),
        TEXT.replace("up", '"up"'),
        TEXT.replace("\n", "\n\n") + "\n\n",
        'direction,"p_mw",start\nup,5,2016-06-19T12:00:00+02:00\ndown,6.5,2016-06-19 10:15Z\n',
    ],
    ids=["plain", "no last newline", "BOM", "CRLF", "CR", "quoted", "blank lines", "other order"],
)
def test_dialects(data, tmp_path):
    sheet, issues = read(tmp_path, data)
    assert not issues
    assert sheet.frame["p_mw"].tolist() == [5.0, 6.5]
    assert sheet.frame["direction"].tolist() == ["up", "down"]
    assert sheet.frame["start"].tolist() == list(pd.date_range("2016-06-19T10:00Z", periods=2, freq="15min"))


def test_line_numbers_count_lines_of_the_file(tmp_path):
    header = "bid,element_type,element,start,direction,p_mw,price_eur_mwh"
    rest = ",,,2016-06-19T10:00:00Z,up,x,1"
    text = f'{header}\n\n"two\nlines"{rest}\n\nb{rest}\n'
    _, issues = read(tmp_path, text, TABLES["active_bids"])
    assert [(issue.row, issue.column) for issue in issues] == [("3", "p_mw"), ("6", "p_mw")]


def test_header_alone_is_an_empty_table(tmp_path):
    sheet, issues = read(tmp_path, "start,direction,p_mw\n")
    assert not issues
    assert sheet.frame.empty
    assert sheet.frame.dtypes.tolist() == read(tmp_path, TEXT)[0].frame.dtypes.tolist()


def test_text_that_is_no_utf8(tmp_path):
    _, issues = read(tmp_path, TEXT.encode() + "grün".encode("latin-1"))
    assert [(issue.row, issue.what) for issue in issues] == [("4", "byte 0xfc is no UTF-8")]


@pytest.mark.parametrize("sign", [";", "\t", "|"])
def test_other_separators(sign, tmp_path):
    sheet, issues = read(tmp_path, TEXT.replace(",", sign))
    assert sheet is None
    assert [issue.row for issue in issues] == ["1"]


def test_files_that_are_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr("gridclear.io.tables.LARGEST_FILE", 50)
    for suffix in ("csv", "parquet"):
        _, issues = read(tmp_path, TEXT, suffix=suffix)
        assert [issue.what for issue in issues] == ["the file is larger than 50 bytes"]


def test_folder_in_the_place_of_a_table(tmp_path):
    (tmp_path / "active_need.csv").mkdir()
    faults = Faults()
    assert read_table(tmp_path, NEED, faults) is None
    assert [(i.file, i.what) for i in faults.issues] == [("active_need.csv", "it is no file")]


def parquet(frame):
    target = io.BytesIO()
    frame.to_parquet(target)
    return target.getvalue()


def test_parquet_goes_before_csv_and_keeps_its_types(tmp_path):
    read(tmp_path, TEXT)
    starts = pd.date_range("2016-06-19T10:00", periods=2, freq="15min", tz="Europe/Berlin")
    frame = pd.DataFrame(
        {
            "start": starts,
            "direction": pd.Categorical(["up", "down"]),
            "p_mw": np.array([1, 2], dtype=np.int8),
        }
    )
    sheet, issues = read(tmp_path, parquet(frame.set_index("start")), suffix="parquet")
    assert not issues
    assert sheet.frame["start"].iloc[0] == pd.Timestamp("2016-06-19T08:00Z")
    assert sheet.frame["p_mw"].tolist() == [1.0, 2.0]
    assert sheet.frame["direction"].tolist() == ["up", "down"]


def test_rows_of_parquet_are_counted_from_0(tmp_path):
    frame = pd.DataFrame(
        {"start": ["2016-06-19T10:00:00Z", "x"], "direction": ["up", None], "p_mw": [np.nan, np.inf]}
    )
    _, issues = read(tmp_path, parquet(frame), suffix="parquet")
    assert [(i.file, i.row, i.column) for i in issues] == [
        ("active_need.parquet", "1", "start"),
        ("active_need.parquet", "1", "direction"),
        ("active_need.parquet", "1", "p_mw"),
        ("active_need.parquet", "0", "p_mw"),
    ]


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    data = parquet(pd.DataFrame({"start": []}))
    real = builtins.__import__

    def without(name, *args, **keywords):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *args, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    _, issues = read(tmp_path, data, suffix="parquet")
    assert [(issue.what, issue.expected) for issue in issues] == [
        ("reading Parquet needs pyarrow", "gridclear[parquet] installed, or active_need.csv")
    ]
    with pytest.raises(OptionError, match="pyarrow"):
        table_bytes(read_sheet_of(TEXT, tmp_path).frame, "active_need", "parquet")


def read_sheet_of(text, folder):
    (folder / "active_need.parquet").unlink(missing_ok=True)
    return read(folder, text)[0]


def test_columns_without_content_are_not_written():
    frame = pd.DataFrame(
        {c.name: [""] if c.kind == "text" else [np.nan] for c in TABLES["capacitor_banks"].columns}
    )
    frame.loc[0, ["element", "mode", "position"]] = ["C1", "fixed", 2.0]
    assert table_bytes(frame, "capacitor_banks", "csv") == b"element,mode,position\nC1,fixed,2\n"


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12).filter(
    lambda t: t.strip("\ufeff")
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
STAMPS = st.integers(-(10**9), 4 * 10**9)


@given(rows=st.lists(st.tuples(WORDS, WORDS, STAMPS, NUMBERS, st.one_of(st.none(), NUMBERS)), max_size=6))
@settings(max_examples=25, deadline=None)
def test_tables_read_back_bit_for_bit(rows, tmp_path_factory):
    table = TABLES["metered"]
    frame = pd.DataFrame(
        {
            "bid": pd.Series([a + b for a, b, *_ in rows], dtype=object),
            "start": pd.DatetimeIndex(
                pd.to_datetime([s for *_, s, _, _ in rows], unit="s", utc=True)
            ).as_unit("ns"),
            "p_mw": np.array([p for *_, p, _ in rows], dtype=float),
            "q_mvar": np.array([np.nan if q is None else q for *_, q in rows], dtype=float),
        }
    )
    folder = tmp_path_factory.mktemp("t")
    for suffix in ("csv", "parquet"):
        sheet, issues = read(folder, table_bytes(frame, "metered", suffix), table, suffix)
        assert not issues
        pd.testing.assert_frame_equal(sheet.frame, frame, check_exact=True)


@given(
    rows=st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6),
            min_size=2,
            max_size=2,
        ),
        max_size=5,
    )
)
@settings(max_examples=25, deadline=None)
def test_both_ways_of_splitting_agree(rows):
    stream = io.StringIO(newline="")
    # Before Python 3.13 the writer quotes no \r unless it ends lines: one at the end of a row would end it.
    terminator = "\r\n" if any("\r" in cell for row in rows for cell in row) else "\n"
    csv.writer(stream, lineterminator=terminator).writerows([["a", "b"], *rows])
    header, columns, lines = _split_plain(stream.getvalue())
    if header:
        assert [header, *map(list, zip(*columns, strict=True))] == [["a", "b"], *rows]
        assert list(lines) == list(range(2, len(rows) + 2))
    else:
        assert any(set(cell) & set('"\r\n,') for row in rows for cell in row) or not rows
