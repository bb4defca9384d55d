"""The group of commands: each is loaded when it is named, so that the start stays quick."""

import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click
from click.exceptions import Exit

from .commands import Group
from .failures import EXIT_CODES, open_closed_streams, run_guarded
from .session import Session

_MODULES = {
    "init": "init",
    "ingest": "ingest",
    "find": "find",
    "show": "show",
    "cutout": "cutout",
    "cutouts": "cutouts",
    "match": "match",
    "lightcurve": "lightcurve",
    "phot": "phot",
    "measurements": "measurements",
    "provenance": "provenance",
    "colour": "colour",
    "coverage": "coverage",
    "export": "export",
    "import": "import_",
    "info": "info",
    "verify": "verify",
    "migrate": "migrate",
    "demo": "demo",
}
"""Command -> module beside this one; each has its command under ``command``."""

_COMPLETE = "_SNAPDB_COMPLETE"
"""What a shell sets when it wants to complete a line, as click documents it."""


EPILOG = "\n\n".join(["Exit codes:", *(f"{code:>3}  {meaning}" for code, meaning in EXIT_CODES)])
"""For the end of the help; rich-click makes one line of each paragraph."""


class LazyGroup(Group):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Name the commands in the order in which a newcomer needs them."""
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Load one command; None for a name that there is not."""
        if cmd_name not in _MODULES:
            return None
        module = importlib.import_module(f".{_MODULES[cmd_name]}", __package__)
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, and name the nearest one where there is none."""
        if args and args[0] not in _MODULES and not ctx.resilient_parsing:
            near = difflib.get_close_matches(args[0], _MODULES, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(_MODULES)}"
            ctx.fail(f"there is no command {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)

    def main(  # type: ignore[override]  # ends the process always
        self, args: Sequence[str] | None = None, prog_name: str | None = "snapdb", **extra: Any
    ) -> NoReturn:
        """Run the command line, and end the process with an exit code of :mod:`.failures`."""
        extra.pop("standalone_mode", None)
        open_closed_streams()
        given = list(sys.argv[1:] if args is None else args)
        session = Session(debug="--debug" in given or bool(os.environ.get("SNAPDB_DEBUG")))

        name = prog_name or "snapdb"
        if shell := os.environ.get(_COMPLETE):
            from click.shell_completion import shell_complete

            sys.exit(shell_complete(self, {}, name, _COMPLETE, shell))

        def action() -> Any:
            # Not click's main, which has messages and exit codes of its own.
            try:
                with self.make_context(name, given, obj=session, **extra) as ctx:
                    return self.invoke(ctx)
            except Exit as end:
                return end.exit_code

        sys.exit(run_guarded(action, debug=session.debug))
