"""Exit codes and the one line that an expected failure prints."""

import errno

import click
import pytest

from snapdb import errors
from snapdb.cli.failures import EXIT_CODES, find_exit_code, run_guarded


def raising(err: BaseException) -> int:
    """Run something that fails so, and give the exit code."""

    def action() -> None:
        raise err

    code: int = run_guarded(action, debug=False)
    return code


@pytest.mark.parametrize(
    ("err", "code"),
    [
        (errors.SearchError("bad"), 2),
        (errors.ConfigError("bad"), 2),
        (errors.NotFoundError("bad"), 3),
        (errors.RegistryUnavailableError("bad"), 5),
        (errors.SchemaVersionError("bad"), 5),
        (errors.RegistryError("bad"), 5),
        (errors.ObjectExistsError("bad"), 1),
        (errors.ReadOnlyStoreError("bad"), 1),
        (errors.ObjectMissingError("bad"), 6),
        (errors.ChangedFileError("bad"), 6),
        (errors.ChecksumError("bad"), 6),
        (errors.CorruptFileError("bad"), 1),
        (PermissionError(13, "bad", "here"), 1),
        (click.UsageError("bad"), 2),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
    ],
)
def test_each_failure_has_its_code_and_one_line(
    err: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert raising(err) == code
    out, said = capsys.readouterr()
    assert out == ""
    assert said.startswith("snapdb: error: ")
    assert said.count("\n") == 1
    assert "Traceback" not in said


def test_every_error_class_has_a_documented_code() -> None:
    for name in errors.__all__:
        kind = getattr(errors, name)
        assert find_exit_code(kind("x")) in {1, 2, 3, 5, 6}


def test_debug_shows_the_traceback_too(capsys: pytest.CaptureFixture[str]) -> None:
    def action() -> None:
        raise errors.SearchError("bad")

    assert run_guarded(action, debug=True) == 2
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert said.endswith("snapdb: error: bad\n")


def test_a_defect_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        raising(ZeroDivisionError())


@pytest.mark.parametrize(("result", "code"), [(None, 0), (4, 4), ("text", 0)])
def test_what_a_command_gives_is_the_code(result: object, code: int) -> None:
    assert run_guarded(lambda: result, debug=False) == code


@pytest.mark.parametrize(
    ("err", "line"),
    [
        (PermissionError(errno.EACCES, "no", "here"), "here: no; change its rights, or name another"),
        (IsADirectoryError(errno.EISDIR, "no", "here"), "here: no; name a file"),
        (OSError(errno.ENOSPC, "no"), "no; make room on the disk"),
        (OSError("odd"), "odd; see that it exists, and can be read and written"),
    ],
    ids=str,
)
def test_errors_of_the_system_say_what_to_do(
    err: OSError, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert raising(err) == 1
    assert capsys.readouterr().err == f"snapdb: error: {line}\n"


def test_the_help_has_every_exit_code() -> None:
    assert [code for code, _ in EXIT_CODES] == [0, 1, 2, 3, 4, 5, 6, 130, 141]
