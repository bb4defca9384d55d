"""How a run ends: exit codes, and the one line that says what went wrong.

====  ==============================================================
code  meaning
====  ==============================================================
0     done
1     failed in another way
2     the call was wrong: options, settings, an impossible search
3     nothing found, where something was demanded
4     part of a batch failed
5     the database does not answer, or has another schema version
6     a file is not what was registered
130   interrupted
141   whoever read the output went away
====  ==============================================================
"""

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import click

from snapdb import errors

DONE, FAILED, USAGE, NOTHING_FOUND, PART_FAILED, DATABASE, INTEGRITY = range(7)
INTERRUPTED, BROKEN_PIPE = 130, 141

_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (errors.RegistryUnavailableError, DATABASE),
    (errors.SchemaVersionError, DATABASE),
    (errors.ChangedFileError, INTEGRITY),
    (errors.ChecksumError, INTEGRITY),
    (errors.NotFoundError, NOTHING_FOUND),
    (errors.UsageError, USAGE),
    (errors.ConfigError, USAGE),
)


def find_exit_code(err: BaseException) -> int:
    """Tell with which code a failure ends the run.

    Parameters
    ----------
    err
        Any error that the library or the system raised.
    """
    return next((code for kind, code in _CODES if isinstance(err, kind)), FAILED)


def run_guarded(action: Callable[[], Any], *, debug: bool) -> int:
    """Run a command and turn its expected failures into one line on stderr and an exit code.

    What is not expected, a defect of snapdb's, keeps its traceback.

    Parameters
    ----------
    action
        Gives an exit code, or None when all went well.
    debug
        Show the traceback of expected failures too.

    Returns
    -------
    int
        The exit code.
    """
    try:
        code = action()
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_stdout()
        return BROKEN_PIPE
    except _EXPECTED as err:
        message, code = describe_failure(err)
        if debug:
            traceback.print_exc(file=sys.stderr)
        click.echo(f"snapdb: error: {message}", err=True)
    return code if isinstance(code, int) else DONE


def describe_failure(err: BaseException) -> tuple[str, int]:
    """Say in a line what went wrong and what to do, and with which code the run ends.

    Parameters
    ----------
    err
        An expected failure: click's, the library's, or the system's.
    """
    if isinstance(err, click.UsageError):
        path = err.ctx.command_path if err.ctx is not None else "snapdb"
        return f"{err.format_message().rstrip('.')}; `{path} --help` lists the options", USAGE
    if isinstance(err, click.ClickException):
        return err.format_message(), err.exit_code
    if isinstance(err, (KeyboardInterrupt, click.Abort)):
        return "interrupted; what was finished is kept", INTERRUPTED
    if isinstance(err, OSError) and not isinstance(err, errors.SnapdbError):
        where = f"{err.filename}: " if err.filename else ""
        return f"{where}{err.strerror or err}", FAILED
    return str(err), find_exit_code(err)


_EXPECTED = (click.ClickException, click.Abort, KeyboardInterrupt, errors.SnapdbError, OSError)


def _discard_stdout() -> None:
    """Keep the interpreter from writing what is left to a pipe that is closed."""
    with open(os.devnull, "w", encoding="utf-8") as sink:  # noqa: PTH123  # devnull is no path of ours
        os.dup2(sink.fileno(), sys.stdout.fileno())
