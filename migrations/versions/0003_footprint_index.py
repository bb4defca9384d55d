"""Keep the planner from the index of footprints where no position is asked for.

It took that index for questions of band and time alone, and walked through most of it. The
index now holds the rows with ``hdu >= 0``, which are all; only questions that say so can use it.

Revision: 0003
Before it: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _build(where="hdu >= 0")


def downgrade() -> None:
    _build(where=None)


def _build(*, where: str | None) -> None:
    if op.get_context().dialect.name != "postgresql":
        return
    op.drop_index("ix_image_footprint", "image")
    op.create_index(
        "ix_image_footprint",
        "image",
        ["footprint", "band", "mjd"],
        postgresql_using="gist",
        postgresql_where=None if where is None else sa.text(where),
    )
