"""Keep the planner from the index of footprints where no position is asked for.

It took that index for questions of band and time alone, and walked through most of it. The index
now holds ``band || ''`` and ``mjd + 0``, which only questions that ask for a position name.

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
    _build("footprint", sa.text("(band || '')"), sa.text("(mjd + 0)"))


def downgrade() -> None:
    _build("footprint", "band", "mjd")


def _build(*parts: "str | sa.TextClause") -> None:
    if op.get_context().dialect.name == "postgresql":
        op.drop_index("ix_image_footprint", "image")
        op.create_index("ix_image_footprint", "image", list(parts), postgresql_using="gist")
