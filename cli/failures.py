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
    except click.UsageError as err:
        return _report(_usage_text(err), USAGE, debug=debug)
    except click.ClickException as err:
        return _report(err.format_message(), err.exit_code, debug=debug)
    except (KeyboardInterrupt, click.Abort):
        return _report("interrupted; what was finished is kept", INTERRUPTED, debug=debug)
    except errors.SnapdbError as err:
        return _report(str(err), find_exit_code(err), debug=debug)
    except BrokenPipeError:
        _discard_stdout()
        return BROKEN_PIPE
    except OSError as err:
        return _report(_system_text(err), FAILED, debug=debug)
    return code if isinstance(code, int) else DONE


def _report(message: str, code: int, *, debug: bool) -> int:
    """Print the one line, and the traceback where it was asked for."""
    if debug:
        traceback.print_exc(file=sys.stderr)
    click.echo(f"snapdb: error: {message}", err=True)
    return code


def _usage_text(err: click.UsageError) -> str:
    """Say what is wrong with the call, and where its options are explained."""
    path = err.ctx.command_path if err.ctx is not None else "snapdb"
    return f"{err.format_message().rstrip('.')}; `{path} --help` lists the options"


def _system_text(err: OSError) -> str:
    """Say what the operating system refused, and on which file."""
    where = f"{err.filename}: " if err.filename else ""
    return f"{where}{err.strerror or err}"


def _discard_stdout() -> None:
    """Keep the interpreter from writing what is left to a pipe that is closed."""
    with open(os.devnull, "w", encoding="utf-8") as sink:  # noqa: PTH123  # devnull is no path of ours
        os.dup2(sink.fileno(), sys.stdout.fileno())
