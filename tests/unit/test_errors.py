"""The error tree: classes, fields, pickling, and messages."""

import inspect
import pickle

import astropy.nddata
import pytest

from snapdb import errors

CLASSES = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_every_error_is_one_of_the_tree(cls: type[errors.SnapdbError]) -> None:
    assert issubclass(cls, errors.SnapdbError)
    assert str(cls()) == inspect.getdoc(cls).splitlines()[0]  # type: ignore[union-attr]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_every_error_survives_another_process(cls: type[errors.SnapdbError]) -> None:
    again = pickle.loads(pickle.dumps(cls("a message", path="/a", number=3)))
    assert type(again) is cls
    assert (str(again), again.path, again.number) == ("a message", "/a", 3)


def test_codes_are_distinct() -> None:
    codes = [cls.code for cls in CLASSES if cls is not errors.SnapdbError]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize(
    ("cls", "standard"),
    [
        (errors.SearchError, ValueError),
        (errors.NotFoundError, LookupError),
        (errors.ObjectMissingError, FileNotFoundError),
        (errors.ReadOnlyStoreError, PermissionError),
        (errors.NoOverlapError, astropy.nddata.NoOverlapError),
        (errors.PartialOverlapError, astropy.nddata.PartialOverlapError),
    ],
)
def test_standard_handlers_catch_it(cls: type[errors.SnapdbError], standard: type[Exception]) -> None:
    with pytest.raises(standard):
        raise cls("x")


def test_tree_in_the_docstring_is_complete() -> None:
    for cls in CLASSES:
        assert cls.__name__ in (errors.__doc__ or "")
