"""The roles of owners, of those who ingest and of those who read, on PostgreSQL.

Revision: 0002
Before it: 0001
"""

from alembic import op

from snapdb.registry.roles import make_grants, make_revokes

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _run(make_grants())


def downgrade() -> None:
    _run(make_revokes())


def _run(steps: list[str]) -> None:
    if op.get_context().dialect.name == "postgresql":
        for step in steps:
            op.execute(step)
