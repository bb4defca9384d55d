"""Who may do what: the roles ``snapdb_owner``, ``snapdb_ingest`` and ``snapdb_read`` of PostgreSQL.

Roles belong to a server, not to a database: another database may have made them, at this very
moment too. Whoever migrates may lack the right to make them; his database works all the same,
and :func:`find_lacking` says what is missing. So each step is tried by itself, and doing all
of it again is harmless. The steps are SQL text, so that they can be written out as well as run.
"""

import logging
from collections.abc import Iterator

from sqlalchemy import Connection, text

from snapdb.registry.schema import VERSION_TABLE
from snapdb.registry.tables import metadata

OWNER, INGEST, READ = "snapdb_owner", "snapdb_ingest", "snapdb_read"
ROLES = (OWNER, INGEST, READ)
"""Group roles without login, to be granted to users."""

_WRITES = ("INSERT", "UPDATE", "DELETE")
_SCHEMA, _DATABASE = "current_schema()", "current_database()"
_MAY_CREATE = f"has_schema_privilege(current_user, {_SCHEMA}, 'CREATE')"
_MADE_BEFORE = "duplicate_object OR unique_violation"
_NOT_ALLOWED = "insufficient_privilege OR undefined_object OR invalid_grant_operation"
_log = logging.getLogger("snapdb.registry")

_LACKING = """
SELECT wanted.role || ' may not ' || wanted.privilege || ' ' || c.relname
FROM unnest(CAST(:roles AS text[]), CAST(:privileges AS text[])) AS wanted(role, privilege)
JOIN pg_roles AS r ON r.rolname = wanted.role
JOIN pg_class AS c ON c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
WHERE c.relkind IN ('r', 'p') AND c.relname = ANY(:tables)
AND NOT has_table_privilege(r.oid, c.oid, wanted.privilege)
AND NOT (c.relname = :version_table AND wanted.role = :ingest AND wanted.privilege <> 'SELECT')
UNION ALL
SELECT r.rolname || ' may not USE schema ' || current_schema() FROM pg_roles AS r
WHERE r.rolname = ANY(:all_roles) AND NOT has_schema_privilege(r.oid, current_schema(), 'USAGE')
UNION ALL
SELECT r.rolname || ' may not ' || wanted.privilege || ' database ' || current_database()
FROM (VALUES ('CONNECT'), ('TEMPORARY')) AS wanted(privilege)
JOIN pg_roles AS r ON r.rolname = ANY(:all_roles)
WHERE NOT has_database_privilege(r.oid, current_database(), wanted.privilege)
AND NOT (r.rolname = :read AND wanted.privilege = 'TEMPORARY')
UNION ALL
SELECT c.relname || ' belongs to ' || pg_get_userbyid(c.relowner) || ', who alone can migrate it'
FROM pg_class AS c
JOIN pg_roles AS r ON r.rolname = :owner AND c.relowner <> r.oid
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
AND c.relkind IN ('r', 'p') AND c.relname = ANY(:tables)
"""


def make_grants() -> list[str]:
    """Write the steps that make the roles and give them their rights on the tables that there are.

    Returns
    -------
    list of str
        Statements, each of which may be run again. A step that the user may not take is
        passed over with a warning of the server's.
    """
    steps = [_attempt(f"CREATE ROLE {role} NOLOGIN", passes=_MADE_BEFORE) for role in ROLES]
    steps += [_attempt(f"GRANT CONNECT ON DATABASE {{database}} TO {role}") for role in ROLES]
    steps += [_attempt(f"GRANT TEMPORARY ON DATABASE {{database}} TO {role}") for role in (OWNER, INGEST)]
    steps += [_attempt(f"GRANT USAGE ON SCHEMA {{schema}} TO {role}") for role in ROLES]
    steps.append(_attempt(f"GRANT CREATE ON SCHEMA {{schema}} TO {OWNER}"))
    steps += [_join_owner(), _give_tables_to(OWNER)]
    ingest = ", ".join(("SELECT", *_WRITES))
    for role, rights in ((OWNER, "ALL"), (INGEST, ingest), (READ, "SELECT")):
        steps.append(_for_each_table(f"GRANT {rights} ON {{table}} TO {role}"))
    steps.append(_attempt(f"REVOKE {', '.join(_WRITES)} ON {{schema}}.{VERSION_TABLE} FROM {INGEST}"))
    steps += list(_default_rights(ingest))
    return steps


def make_revokes() -> list[str]:
    """Write the steps that take the roles' rights in this database back; the roles stay, others may use them.

    Returns
    -------
    list of str
        Statements.
    """
    steps = [_revoke_defaults(), _give_tables_to("CURRENT_USER")]
    for role in reversed(ROLES):
        steps.append(_for_each_table(f"REVOKE ALL ON {{table}} FROM {role}"))
        steps.append(_attempt(f"REVOKE ALL ON SCHEMA {{schema}} FROM {role}"))
        steps.append(_attempt(f"REVOKE ALL ON DATABASE {{database}} FROM {role}"))
    return steps


def ensure_roles(connection: Connection) -> None:
    """Make the roles and give them their rights, as far as the user may; again changes nothing.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        To PostgreSQL, within a transaction.
    """
    for step in make_grants():
        connection.execute(text(step))


def find_lacking(connection: Connection) -> list[str]:
    """Find which roles are missing, and which rights they lack.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        To PostgreSQL.

    Returns
    -------
    list of str
        A phrase each; none when all is as it should be.
    """
    there = set(
        connection.execute(
            text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:roles)"), {"roles": list(ROLES)}
        ).scalars()
    )
    missing = [f"there is no role {role}" for role in ROLES if role not in there]
    wanted = [(INGEST, right) for right in ("SELECT", *_WRITES)]
    wanted += [(READ, "SELECT"), *((OWNER, right) for right in ("SELECT", *_WRITES, "TRUNCATE"))]
    values = {
        "roles": [role for role, _ in wanted],
        "privileges": [right for _, right in wanted],
        "all_roles": list(ROLES),
        "tables": _table_names(),
        "version_table": VERSION_TABLE,
        "owner": OWNER,
        "ingest": INGEST,
        "read": READ,
    }
    return missing + sorted(connection.execute(text(_LACKING), values).scalars())


def warn_of_lacking(connection: Connection, shown: str) -> None:
    """Log what the roles lack, and what a superuser does about it.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        To PostgreSQL.
    shown : str
        URL of the registry, without password.
    """
    lacking = find_lacking(connection)
    if not lacking:
        return
    user = connection.execute(text("SELECT current_user")).scalar_one()
    roles = " ".join(f"CREATE ROLE {role};" for role in ROLES if f"there is no role {role}" in lacking)
    more = f"; and {len(lacking) - 3} more" if len(lacking) > 3 else ""
    _log.warning(
        "registry %s works, but its roles are not complete (%s%s): user %s lacks the rights to make them so. "
        "To have other users share it, let a superuser run `%s GRANT %s TO %s;`, "
        "then run `snapdb migrate` again",
        *(shown, "; ".join(lacking[:3]), more, user, roles, OWNER, user),
    )


def _table_names() -> list[str]:
    """Name snapdb's own tables; whatever else lies in the schema is not snapdb's to share."""
    own = [t.name for t in metadata.sorted_tables if t.info.get("dialect", "postgresql") == "postgresql"]
    return [*own, VERSION_TABLE]


def _quote(statement: str) -> str:
    """Make a statement an expression of text, with the names of schema and database put in when it runs."""
    named = statement.replace("{schema}", f"' || quote_ident({_SCHEMA}) || '")
    named = named.replace("{database}", f"' || quote_ident({_DATABASE}) || '")
    return "'" + named.replace("{table}", "' || CAST(t AS regclass) || '") + "'"


def _attempt(statement: str, passes: str = "") -> str:
    """Try a statement, which may be refused; what `passes` names is no refusal."""
    return _block("", f"EXECUTE {_quote(statement)};", passes)


def _block(declared: str, body: str, passes: str = "") -> str:
    """Make a block that goes on, with a warning, where the user lacks a right."""
    ignored = f"WHEN {passes} THEN NULL; " if passes else ""
    declare = f"DECLARE {declared} " if declared else ""
    return (
        f"DO $do$ {declare}BEGIN {body} EXCEPTION {ignored}"
        f"WHEN {_NOT_ALLOWED} THEN RAISE WARNING USING MESSAGE = SQLERRM; END $do$"
    )


def _for_each_table(statement: str, condition: str = "") -> str:
    """Run a statement for each of snapdb's tables that are there."""
    names = ", ".join(f"'{name}'" for name in _table_names())
    loop = (
        "FOR t IN SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        f"WHERE n.nspname = {_SCHEMA} AND c.relkind IN ('r', 'p') AND c.relname IN ({names}){condition} "
        f"LOOP EXECUTE {_quote(statement)}; END LOOP;"
    )
    return _block("t oid;", loop)


def _give_tables_to(role: str) -> str:
    """Let a role own the tables; those that it owns already are left alone, and not locked."""
    name = "current_user" if role == "CURRENT_USER" else f"'{role}'"
    return _for_each_table(
        f"ALTER TABLE {{table}} OWNER TO {role}", f" AND pg_get_userbyid(c.relowner) <> {name}"
    )


def _join_owner() -> str:
    """Let the user who migrates be one of the owners: else he could not give his tables to them."""
    condition = f"IF NOT pg_has_role(current_user, '{OWNER}', 'MEMBER') THEN"
    return _block("", f"{condition} EXECUTE 'GRANT {OWNER} TO ' || quote_ident(current_user); END IF;")


def _default_rights(ingest: str) -> Iterator[str]:
    """Give the same rights on tables that this user, or the owner's role, makes later."""
    for maker in ("", f"FOR ROLE {OWNER} "):
        for role, rights, numbers in (
            (OWNER, "ALL", "ALL"),
            (INGEST, ingest, "USAGE, SELECT"),
            (READ, "SELECT", "SELECT"),
        ):
            start = f"ALTER DEFAULT PRIVILEGES {maker}IN SCHEMA {{schema}} GRANT"
            for right in (f"{rights} ON TABLES", f"{numbers} ON SEQUENCES"):
                # Of one who makes no tables they would only be in the way of dropping the user.
                yield _block(
                    "", f"IF {_MAY_CREATE} THEN EXECUTE {_quote(f'{start} {right} TO {role}')}; END IF;"
                )


def _revoke_defaults() -> str:
    """Take back the rights on later tables, whoever gave them."""
    kinds = "CASE d.defaclobjtype WHEN 'r' THEN ' ON TABLES' ELSE ' ON SEQUENCES' END"
    body = (
        f"FOR maker, kind IN SELECT pg_get_userbyid(d.defaclrole), {kinds} FROM pg_default_acl AS d "
        f"JOIN pg_namespace AS n ON n.oid = d.defaclnamespace AND n.nspname = {_SCHEMA} "
        "WHERE d.defaclobjtype IN ('r', 'S') LOOP "
        "EXECUTE 'ALTER DEFAULT PRIVILEGES FOR ROLE ' || quote_ident(maker) || ' IN SCHEMA ' "
        f"|| quote_ident({_SCHEMA}) || ' REVOKE ALL' || kind || ' FROM {', '.join(ROLES)}'; END LOOP;"
    )
    return _block("maker text; kind text;", body)
