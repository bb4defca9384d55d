"""The tables, for both databases; how they change from version to version is in ``migrations``."""

from datetime import UTC, datetime
from typing import Any

from geoalchemy2 import Geography
from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

PlainJson = JSON().with_variant(JSONB(), "postgresql")
CORNERS = tuple(f"{c}_corner_{xy}" for xy in ("00", "01", "10", "11") for c in ("ra", "dec"))


BOUNDS: dict[str, tuple[str, str]] = {
    "position_angle": ("0", "360"),
    "pixel_scale": ("0", "1e9"),
    "mjd": ("-1e9", "1e9"),
    "exptime": ("0", "1e12"),
    "sky_level": ("-1e300", "1e300"),
    "zeropoint": ("-1e6", "1e6"),
    "release_date": ("-1e9", "1e9"),
}
"""Column of ``image`` -> least and greatest of what it may hold, as SQL writes them."""
DATA_UNITS = ("counts", "rate")
MEASURED_NUMBERS = (
    *("x", "y", "flux", "flux_err", "background", "background_err", "zeropoint"),
    *("flux_njy", "flux_njy_err", "chi2", "coverage", "bad_fraction"),
)
"""Columns of ``measurement`` that are numbers, NULL where a measurement gave none."""


class Polygon(Geography):
    """A footprint, which goes in as hexadecimal EWKB: the server need not parse numbers."""

    cache_ok = True

    def __init__(self) -> None:
        super().__init__("POLYGON", srid=4326, spatial_index=False)

    def bind_expression(self, bindvalue: Any) -> Any:
        """Pass the value as it is."""
        return bindvalue

    def bind_processor(self, dialect: Dialect) -> None:
        """Pass the value as it is."""


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC that knows its zone, on databases that do not keep zones too."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Write in UTC."""
        del dialect
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Read as UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _number(name: str, *, nullable: bool = True) -> Column[float]:
    """Make a column of float64."""
    return Column(name, Double(), nullable=nullable)


# Not a number is above every number on PostgreSQL, and NULL on SQLite: so an upper bound and NOT NULL
# keep it out of both.
def _right_ascension(name: str) -> CheckConstraint:
    """Refuse what is no right ascension."""
    return CheckConstraint(f"{name} >= 0 AND {name} < 360", name=name)


def _declination(name: str) -> CheckConstraint:
    """Refuse what is no declination."""
    return CheckConstraint(f"{name} >= -90 AND {name} <= 90", name=name)


def _between(name: str, low: str, high: str) -> CheckConstraint:
    """Refuse what is not a finite number within bounds."""
    return CheckConstraint(f"{name} >= {low} AND {name} <= {high}", name=name)


provenance = Table(
    "provenance",
    metadata,
    Column("id", Uuid(), primary_key=True, comment="hash of canonical_text"),
    Column("process", Text(), nullable=False, index=True),
    Column("major", Integer(), nullable=False),
    Column("minor", Integer(), nullable=False),
    Column("params", PlainJson, nullable=False),
    Column("environment", Text(), comment="JSON: an integer or text"),
    Column("env_major", Integer()),
    Column("env_minor", Integer()),
    Column("hash_scheme", String(32), nullable=False),
    Column("canonical_text", Text(), nullable=False),
    Column("created_at", UtcTime(), nullable=False),
)

provenance_upstream = Table(
    "provenance_upstream",
    metadata,
    Column("downstream_id", Uuid(), ForeignKey("provenance.id", ondelete="CASCADE"), primary_key=True),
    Column(
        "upstream_id", Uuid(), ForeignKey("provenance.id", ondelete="RESTRICT"), primary_key=True, index=True
    ),
)

provenance_tag = Table(
    "provenance_tag",
    metadata,
    Column("tag", Text(), primary_key=True),
    Column("process", Text(), primary_key=True),
    Column(
        "provenance_id",
        Uuid(),
        ForeignKey("provenance.id", ondelete="RESTRICT"),
        nullable=False,
        index=True,
    ),
)

provenance_tag_history = Table(
    "provenance_tag_history",
    metadata,
    Column("id", Uuid(), primary_key=True),
    Column("tag", Text(), nullable=False),
    Column("process", Text(), nullable=False),
    Column("provenance_id", Uuid(), nullable=False),
    Column("previous_id", Uuid()),
    Column("changed_at", UtcTime(), nullable=False),
    Index(None, "tag", "process"),
)

file = Table(
    "file",
    metadata,
    Column("id", Uuid(), primary_key=True),
    Column("key", Text(), nullable=False, unique=True),
    Column("size", BigInteger(), nullable=False),
    Column("mtime_ns", BigInteger(), nullable=False),
    Column("sha256", String(64), nullable=False, index=True),
    Column("format", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    CheckConstraint("size >= 0", name="size"),
)

image = Table(
    "image",
    metadata,
    Column("id", Uuid(), primary_key=True),
    Column("provenance_id", Uuid(), ForeignKey("provenance.id", ondelete="RESTRICT"), nullable=False),
    Column("file_id", Uuid(), ForeignKey("file.id", ondelete="RESTRICT"), nullable=False, index=True),
    Column("hdu", Integer(), nullable=False),
    Column("width", Integer(), nullable=False),
    Column("height", Integer(), nullable=False),
    _number("ra", nullable=False),
    _number("dec", nullable=False),
    *(_number(name, nullable=False) for name in CORNERS),
    _number("position_angle"),
    _number("pixel_scale"),
    Column("kind", Text(), nullable=False),
    Column("observation_id", Text()),
    Column("sca", BigInteger()),
    Column("band", Text()),
    _number("mjd"),
    _number("exptime"),
    _number("sky_level"),
    _number("zeropoint"),
    Column("data_units", Text(), nullable=False),
    Column("instrument", Text()),
    Column("wcs_header", Text(), nullable=False),
    Column("flag_bits", PlainJson, nullable=False),
    Column("bad_bits", BigInteger(), nullable=False),
    Column("properties", PlainJson, nullable=False),
    _number("release_date"),
    Column("footprint", Polygon().with_variant(LargeBinary(), "sqlite"), nullable=False),
    Column("registered_at", UtcTime(), nullable=False),
    UniqueConstraint("provenance_id", "file_id", "hdu"),
    CheckConstraint("width >= 1 AND height >= 1 AND hdu >= 0", name="size"),
    *(_right_ascension(name) for name in ("ra", *CORNERS[::2])),
    *(_declination(name) for name in ("dec", *CORNERS[1::2])),
    *(_between(name, low, high) for name, (low, high) in BOUNDS.items()),
    CheckConstraint(f"data_units IN {DATA_UNITS}", name="data_units"),
    Index("ix_image_band_mjd", "band", "mjd"),
    Index("ix_image_mjd", "mjd"),
    Index("ix_image_observation_id_sca_band", "observation_id", "sca", "band"),
    Index("ix_image_dec", "dec"),
    # Of expressions that only questions of position name: as an index of band and mjd it looks cheap to the
    # planner, which then walks through most of it.
    Index(
        "ix_image_footprint",
        "footprint",
        text("(band || '')"),
        text("(mjd + 0)"),
        postgresql_using="gist",
    ).ddl_if(dialect="postgresql"),
)

plane = Table(
    "plane",
    metadata,
    Column("image_id", Uuid(), ForeignKey("image.id", ondelete="CASCADE"), primary_key=True),
    Column("number", SmallInteger(), primary_key=True, autoincrement=False, comment="0 is the data"),
    Column("name", Text(), nullable=False),
    Column("file_id", Uuid(), ForeignKey("file.id", ondelete="RESTRICT"), nullable=False, index=True),
    Column("layout", PlainJson, nullable=False),
    UniqueConstraint("image_id", "name"),
)

image_input = Table(
    "image_input",
    metadata,
    Column("image_id", Uuid(), ForeignKey("image.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer(), primary_key=True, autoincrement=False),
    Column("input_id", Uuid(), ForeignKey("image.id", ondelete="RESTRICT"), nullable=False, index=True),
)

# The key begins with what light curves are asked by; the keys are the position in units of 1e-4 arcsec.
measurement = Table(
    "measurement",
    metadata,
    Column("provenance_id", Uuid(), ForeignKey("provenance.id", ondelete="RESTRICT"), primary_key=True),
    Column("dec_key", BigInteger(), primary_key=True, autoincrement=False, comment="1e-4 arcsec"),
    Column("ra_key", BigInteger(), primary_key=True, autoincrement=False, comment="1e-4 arcsec, wrapped"),
    Column("image_id", Uuid(), ForeignKey("image.id", ondelete="CASCADE"), primary_key=True, index=True),
    _number("ra", nullable=False),
    _number("dec", nullable=False),
    *(_number(name) for name in MEASURED_NUMBERS),
    Column("flags", BigInteger(), nullable=False),
    Column("quality", Integer(), nullable=False),
    Column("ndof", Integer(), nullable=False),
    Column("n_pixels", Integer(), nullable=False),
    Column("measured_at", UtcTime(), nullable=False),
    Column("method", Text()),
    Column("name", Text(), index=True),
    _right_ascension("ra"),
    _declination("dec"),
    CheckConstraint("quality >= 0 AND ndof >= 0 AND n_pixels >= 0", name="counts"),
    Index(None, "dec_key", "ra_key"),
)

# Of SQLite alone: convex pieces of the footprints, as the inward unit normals of four edges. The R*Tree
# of their boxes, image_rtree, is a virtual table, which only SQL text can make and ask.
image_piece = Table(
    "image_piece",
    metadata,
    Column("id", Integer(), primary_key=True, comment="also its id in image_rtree"),
    Column("image_id", Uuid(), ForeignKey("image.id", ondelete="CASCADE"), nullable=False, index=True),
    *(_number(f"{axis}{edge}", nullable=False) for edge in range(4) for axis in "xyz"),
    info={"dialect": "sqlite"},
)
