"""What was measured at positions on images.

Revision: 0004
Before it: 0003
"""

import sqlalchemy as sa
from alembic import op

from snapdb.registry.roles import make_grants

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_NUMBERS = (
    *("x", "y", "flux", "flux_err", "background", "background_err", "zeropoint"),
    *("flux_njy", "flux_njy_err", "chi2", "coverage", "bad_fraction"),
)


def upgrade() -> None:
    op.create_table(
        "measurement",
        sa.Column("provenance_id", sa.Uuid(), nullable=False),
        sa.Column("dec_key", sa.BigInteger(), autoincrement=False, nullable=False, comment="1e-4 arcsec"),
        sa.Column(
            "ra_key", sa.BigInteger(), autoincrement=False, nullable=False, comment="1e-4 arcsec, wrapped"
        ),
        sa.Column("image_id", sa.Uuid(), nullable=False),
        sa.Column("ra", sa.Double(), nullable=False),
        sa.Column("dec", sa.Double(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=True) for name in _NUMBERS),
        sa.Column("flags", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("quality", "ndof", "n_pixels")),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("method", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.CheckConstraint("ra >= 0 AND ra < 360", name=op.f("ck_measurement_ra")),
        sa.CheckConstraint("dec >= -90 AND dec <= 90", name=op.f("ck_measurement_dec")),
        sa.CheckConstraint(
            "quality >= 0 AND ndof >= 0 AND n_pixels >= 0", name=op.f("ck_measurement_counts")
        ),
        sa.ForeignKeyConstraint(
            ["provenance_id"],
            ["provenance.id"],
            name=op.f("fk_measurement_provenance_id_provenance"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["image_id"], ["image.id"], name=op.f("fk_measurement_image_id_image"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "provenance_id", "dec_key", "ra_key", "image_id", name=op.f("pk_measurement")
        ),
    )
    for columns in (["dec_key", "ra_key"], ["image_id"], ["name"]):
        op.create_index(op.f(f"ix_measurement_{'_'.join(columns)}"), "measurement", columns)
    if op.get_context().dialect.name == "postgresql":
        for step in make_grants():
            op.execute(step)


def downgrade() -> None:
    op.drop_table("measurement")
