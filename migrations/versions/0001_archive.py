"""The tables of images, files and provenance.

Revision: 0001
Before it: nothing
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from geoalchemy2 import Geography
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_CORNERS = ("00", "01", "10", "11")
_EDGES = range(4)


def upgrade() -> None:
    if _on_postgresql():
        op.execute("CREATE EXTENSION IF NOT EXISTS postgis")
        op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    _create_provenance()
    _create_file()
    _create_image()
    _create_parts()
    if _on_postgresql():
        op.create_index("ix_image_footprint", "image", ["footprint", "band", "mjd"], postgresql_using="gist")
    else:
        _create_rtree()


def downgrade() -> None:
    if not _on_postgresql():
        op.execute("DROP TRIGGER image_piece_deleted")
        op.execute("DROP TABLE image_rtree")
        op.drop_table("image_piece")
    for name in ("image_input", "plane", "image", "file"):
        op.drop_table(name)
    for name in ("provenance_tag_history", "provenance_tag", "provenance_upstream", "provenance"):
        op.drop_table(name)


def _on_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"


def _json() -> "sa.JSON[Any]":
    return sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def _number(name: str, *, nullable: bool = True) -> "sa.Column[float]":
    return sa.Column(name, sa.Double(), nullable=nullable)


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def _unique(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=op.f(f"uq_{table}_{'_'.join(columns)}"))


def _foreign(table: str, column: str, other: str, ondelete: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}_{other}")
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=name, ondelete=ondelete)


def _index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))


def _create_provenance() -> None:
    op.create_table(
        "provenance",
        sa.Column("id", sa.Uuid(), nullable=False, comment="hash of canonical_text"),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("major", sa.Integer(), nullable=False),
        sa.Column("minor", sa.Integer(), nullable=False),
        sa.Column("params", _json(), nullable=False),
        sa.Column("environment", sa.Text(), comment="JSON: an integer or text"),
        sa.Column("env_major", sa.Integer()),
        sa.Column("env_minor", sa.Integer()),
        sa.Column("hash_scheme", sa.String(32), nullable=False),
        sa.Column("canonical_text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        _key("provenance", "id"),
    )
    _index("provenance", "process")
    op.create_table(
        "provenance_upstream",
        sa.Column("downstream_id", sa.Uuid(), nullable=False),
        sa.Column("upstream_id", sa.Uuid(), nullable=False),
        _key("provenance_upstream", "downstream_id", "upstream_id"),
        _foreign("provenance_upstream", "downstream_id", "provenance", "CASCADE"),
        _foreign("provenance_upstream", "upstream_id", "provenance", "RESTRICT"),
    )
    _index("provenance_upstream", "upstream_id")
    op.create_table(
        "provenance_tag",
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("provenance_id", sa.Uuid(), nullable=False),
        _key("provenance_tag", "tag", "process"),
        _foreign("provenance_tag", "provenance_id", "provenance", "RESTRICT"),
    )
    _index("provenance_tag", "provenance_id")
    op.create_table(
        "provenance_tag_history",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("provenance_id", sa.Uuid(), nullable=False),
        sa.Column("previous_id", sa.Uuid()),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        _key("provenance_tag_history", "id"),
    )
    _index("provenance_tag_history", "tag", "process")


def _create_file() -> None:
    op.create_table(
        "file",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("format", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        _key("file", "id"),
        _unique("file", "key"),
        _check("file", "size", "size >= 0"),
    )
    _index("file", "sha256")


def _create_image() -> None:
    polygon = Geography("POLYGON", srid=4326, spatial_index=False).with_variant(sa.LargeBinary(), "sqlite")
    op.create_table(
        "image",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("provenance_id", sa.Uuid(), nullable=False),
        sa.Column("file_id", sa.Uuid(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("hdu", "width", "height")),
        _number("ra", nullable=False),
        _number("dec", nullable=False),
        *(_number(f"{c}_corner_{xy}", nullable=False) for xy in _CORNERS for c in ("ra", "dec")),
        _number("position_angle"),
        _number("pixel_scale"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("observation_id", sa.Text()),
        sa.Column("sca", sa.BigInteger()),
        sa.Column("band", sa.Text()),
        *(_number(name) for name in ("mjd", "exptime", "sky_level", "zeropoint")),
        sa.Column("data_units", sa.Text(), nullable=False),
        sa.Column("instrument", sa.Text()),
        sa.Column("wcs_header", sa.Text(), nullable=False),
        sa.Column("flag_bits", _json(), nullable=False),
        sa.Column("bad_bits", sa.BigInteger(), nullable=False),
        sa.Column("properties", _json(), nullable=False),
        _number("release_date"),
        sa.Column("footprint", polygon, nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        _key("image", "id"),
        _unique("image", "provenance_id", "file_id", "hdu"),
        _foreign("image", "provenance_id", "provenance", "RESTRICT"),
        _foreign("image", "file_id", "file", "RESTRICT"),
        *_image_checks(),
    )
    for columns in (("file_id",), ("band", "mjd"), ("mjd",), ("observation_id", "sca", "band"), ("dec",)):
        _index("image", *columns)


def _image_checks() -> list[sa.CheckConstraint]:
    bounds = {
        "position_angle": ("0", "360"),
        "pixel_scale": ("0", "1e9"),
        "mjd": ("-1e9", "1e9"),
        "exptime": ("0", "1e12"),
        "sky_level": ("-1e300", "1e300"),
        "zeropoint": ("-1e6", "1e6"),
        "release_date": ("-1e9", "1e9"),
    }
    ends = ("", *(f"_corner_{xy}" for xy in _CORNERS))
    return [
        _check("image", "size", "width >= 1 AND height >= 1 AND hdu >= 0"),
        *(_check("image", f"ra{end}", f"ra{end} >= 0 AND ra{end} < 360") for end in ends),
        *(_check("image", f"dec{end}", f"dec{end} >= -90 AND dec{end} <= 90") for end in ends),
        *(_check("image", k, f"{k} >= {low} AND {k} <= {high}") for k, (low, high) in bounds.items()),
        _check("image", "data_units", "data_units IN ('counts', 'rate')"),
    ]


def _create_parts() -> None:
    op.create_table(
        "plane",
        sa.Column("image_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False, comment="0 is the data"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("file_id", sa.Uuid(), nullable=False),
        sa.Column("layout", _json(), nullable=False),
        _key("plane", "image_id", "number"),
        _unique("plane", "image_id", "name"),
        _foreign("plane", "image_id", "image", "CASCADE"),
        _foreign("plane", "file_id", "file", "RESTRICT"),
    )
    _index("plane", "file_id")
    op.create_table(
        "image_input",
        sa.Column("image_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("input_id", sa.Uuid(), nullable=False),
        _key("image_input", "image_id", "number"),
        _foreign("image_input", "image_id", "image", "CASCADE"),
        _foreign("image_input", "input_id", "image", "RESTRICT"),
    )
    _index("image_input", "input_id")


def _create_rtree() -> None:
    op.create_table(
        "image_piece",
        sa.Column("id", sa.Integer(), nullable=False, comment="also its id in image_rtree"),
        sa.Column("image_id", sa.Uuid(), nullable=False),
        *(_number(f"{axis}{edge}", nullable=False) for edge in _EDGES for axis in "xyz"),
        _key("image_piece", "id"),
        _foreign("image_piece", "image_id", "image", "CASCADE"),
    )
    _index("image_piece", "image_id")
    op.execute("CREATE VIRTUAL TABLE image_rtree USING rtree(id, x_min, x_max, y_min, y_max, z_min, z_max)")
    op.execute(
        "CREATE TRIGGER image_piece_deleted AFTER DELETE ON image_piece "
        "BEGIN DELETE FROM image_rtree WHERE id = OLD.id; END"
    )
