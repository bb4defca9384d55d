"""Searches as statements: what is asked of which database, without one."""

from typing import Any
from uuid import UUID

import pytest

from snapdb.model.search import make_search
from snapdb.registry.queries import RECORD_NAMES, build_select, make_statement, shape_of

ID = UUID("bdfc881c-bc69-58b7-6cd9-2c6f7db341c3")
DIALECTS = ["sqlite", "postgresql"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_values_are_parameters_never_text(dialect: str) -> None:
    evil = "'; DROP TABLE image; --"
    statement = make_statement(make_search(band=evil, filepath=[evil, "x"], ra=1, dec=2, limit=3), dialect)
    assert "DROP" not in statement.sql
    assert statement.values["eq_band"] == evil
    assert statement.values["limit"] == 3


@pytest.mark.parametrize("dialect", DIALECTS)
def test_searches_of_one_shape_share_one_statement(dialect: str) -> None:
    one = make_search(band=["r", "i"], ra=1, dec=2, mjd_min=3, ra_min=350, ra_max=10, sca=5)
    two = make_search(band=list("ugrizy"), ra=9, dec=8, mjd_min=7, ra_min=340, ra_max=20, sca=6)
    assert shape_of(one) == shape_of(two)
    assert make_statement(one, dialect).sql is make_statement(two, dialect).sql
    assert make_statement(one, dialect).values != make_statement(two, dialect).values


@pytest.mark.parametrize(
    "other",
    [
        {"band": "r"},
        {"band": ["r", "i"], "sca": 1},
        {"band": ["r", "i"], "limit": 1},
        {"band": ["r", "i"], "order_by": "mjd"},
        {"band": ["r", "i"], "ra_min": 350, "ra_max": 10},
        {"band": ["r", "i"], "ra_min": 10, "ra_max": 350},
        {"band": ["r", "i"], "provenance_ids": [ID]},
    ],
    ids=str,
)
def test_other_criteria_are_another_shape(other: dict[str, Any]) -> None:
    assert shape_of(make_search(band=["r", "i"])) != shape_of(make_search(**other))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_rows_hold_what_records_are_made_of_and_no_geometry(dialect: str) -> None:
    query = build_select(shape_of(make_search(ra=1, dec=2)), dialect)
    names = ["filepath" if c.name == "key" else c.name for c in query.selected_columns]
    assert tuple(names) == RECORD_NAMES
    assert "footprint" not in names


def test_sqlite_asks_its_r_tree_first() -> None:
    sql = make_statement(make_search(ra=1, dec=2, band="r", mjd_min=5), "sqlite").sql
    tables = [
        sql.index(name)
        for name in ("FROM image_rtree", "CROSS JOIN image_piece", "CROSS JOIN image ", "CROSS JOIN file")
    ]
    assert tables == sorted(tables)
    assert " JOIN image " not in sql.replace("CROSS JOIN", "")


def test_postgis_asks_one_operator_that_its_index_knows() -> None:
    statement = make_statement(make_search(ra=350, dec=2, band="r", sca=[1, 2], id=[ID, ID]), "postgresql")
    assert "ST_Covers(image.footprint, %(point)s)" in statement.sql
    assert "image.sca = ANY (%(eq_sca)s" in statement.sql
    # EWKB of POINT(-10 2) in SRID 4326, written by PostGIS itself.
    assert statement.values["point"].upper() == "0101000020E610000000000000000024C00000000000000040"


def test_counting_needs_no_columns_and_no_order() -> None:
    sql = make_statement(make_search(order_by="mjd", band="r", limit=5), "postgresql", counting=True).sql
    assert sql.startswith("SELECT count(*)")
    assert "wcs_header" not in sql
    assert "image.mjd" not in sql


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("criteria", [{}, {"ra": 1, "dec": 2}, {"band": "r", "limit": 3}], ids=str)
def test_every_answer_has_an_order(dialect: str, criteria: dict[str, Any]) -> None:
    sql = make_statement(make_search(**criteria), dialect).sql
    assert "ORDER BY image.id ASC" in " ".join(sql.split())


@pytest.mark.parametrize("dialect", DIALECTS)
def test_ties_go_by_id(dialect: str) -> None:
    sql = " ".join(make_statement(make_search(order_by="-mjd"), dialect).sql.split())
    assert sql.endswith("ORDER BY image.mjd DESC NULLS LAST, image.id ASC")
