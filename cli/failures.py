"""How a run ends: exit codes, and the one line that says what went wrong.

====  =======================================================================
code  meaning
====  =======================================================================
0     done
1     a target exists or cannot be written, or it failed otherwise
2     the call was wrong: options, settings, an impossible search, no archive
3     nothing found, where something was demanded
4     part of a batch failed
5     the database does not answer, refuses, or has another schema version
6     a registered file is gone, or is not what was registered
130   interrupted
141   whoever read the output went away
====  =======================================================================
"""

import errno
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import click
from click.exceptions import NoArgsIsHelpError

from snapdb import errors

from .session import printable

DONE, FAILED, USAGE, NOTHING_FOUND, PART_FAILED, DATABASE, INTEGRITY = range(7)
INTERRUPTED, BROKEN_PIPE = 130, 141

EXIT_CODES: tuple[tuple[int, str], ...] = (
    (DONE, "done"),
    (FAILED, "a target exists or cannot be written, or it failed otherwise"),
    (USAGE, "the call was wrong: options, settings, no archive"),
    (NOTHING_FOUND, "nothing found, where something was demanded"),
    (PART_FAILED, "part of a batch failed"),
    (DATABASE, "the database does not answer, refuses, or has another schema"),
    (INTEGRITY, "a registered file is gone, or is not what was registered"),
    (INTERRUPTED, "interrupted"),
    (BROKEN_PIPE, "whoever read the output went away"),
)
"""Code -> meaning, for the help."""

_ADVICE = {
    errno.ENOENT: "check the name",
    errno.EACCES: "change its rights, or name another",
    errno.EPERM: "change its rights, or name another",
    errno.EROFS: "the disk is read-only, name another place",
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room: the quota is used up",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "a part of its path is a file, check the name",
    errno.EEXIST: "choose another name",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "allow more open files with `ulimit -n`",
}
"""What to do about an error of the system."""

_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (errors.RegistryError, DATABASE),
    (errors.ObjectMissingError, INTEGRITY),
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
    except NoArgsIsHelpError as err:
        click.echo(err.format_message(), err=True)
        return USAGE
    except _EXPECTED as err:
        message, code = describe_failure(err)
        if debug:
            traceback.print_exc(file=sys.stderr)
        lines = f"snapdb: error: {message}".split("\n")
        click.echo("\n".join(map(printable, lines)), err=True)
        _settle_stdout()
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
        advice = _ADVICE.get(err.errno or 0, "see that it exists, and can be read and written")
        return f"{where}{err.strerror or err}; {advice}", FAILED
    return str(err), find_exit_code(err)


_EXPECTED = (click.ClickException, click.Abort, KeyboardInterrupt, errors.SnapdbError, OSError)


def open_closed_streams() -> None:
    """Let standard streams that the caller closed be the null device.

    Python has None for them, and the first file that is opened would get a stream's
    number, so that messages of C libraries would be written into it.
    """
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    # The lowest free number is given out first: what is closed among 0, 1 and 2 comes before others.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:  # stderr's
        pass
    os.close(number)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _settle_stdout() -> None:
    """Drop what cannot be written to a standard output that refuses, as a full disk does."""
    try:
        sys.stdout.flush()
    except OSError:
        _discard_stdout()


def _discard_stdout() -> None:
    """Keep the interpreter from writing what is left to a pipe that is closed."""
    with open(os.devnull, "w", encoding="utf-8") as sink:  # noqa: PTH123  # devnull is no path of ours
        os.dup2(sink.fileno(), sys.stdout.fileno())
