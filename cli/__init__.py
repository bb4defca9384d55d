"""The command line: one module a command, and what they share.

====================  ==========================================================
module                holds
====================  ==========================================================
``commands``          commands and groups, and how their help is drawn
``group``             the group that loads commands when they are named
``session``           options before the command
``failures``          exit codes and error lines
``values``            options' types: angles, sizes, parameters
``criteria``          the options of a search
``gathering``         from arguments to a list of files
``columns``           what is listed of an image
``listing``           the formats of a listing
``outputs``           where output goes, and what is never written over
``targets``           which file each cutout goes to
====================  ==========================================================
"""

import atexit
import gc

import click

from snapdb import __version__

from .group import EPILOG, LazyGroup
from .session import Session, archive_option, pass_session

__all__ = ["cli", "main"]


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@archive_option
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("-v", "--verbose", count=True, help="Say more on stderr; twice for everything.")
@click.version_option(__version__, message="%(prog)s %(version)s")
@pass_session
def cli(session: Session, debug: bool, verbose: int) -> None:  # noqa: FBT001  # click's calling
    """Find astronomical images, and cut from them.

    Start with `snapdb demo`, or with `snapdb init` and `snapdb ingest PATH...`.

    The archive is the one named by --archive, else by SNAPDB_URL, ./snapdb.toml or your
    settings, else the folder ./snapdb-archive.
    """
    session.debug = session.debug or debug
    session.verbosity = verbose
    session.start_logging()


_MANY = 50_000
"""Objects after which garbage is looked for: a command loads modules, which makes none."""


def main() -> None:
    """Run the command line."""
    gc.set_threshold(_MANY)
    atexit.register(gc.freeze)  # nor is any looked for at the end, when all goes at once
    cli.main()
