"""snapdb's own header maps are sound, since they are not looked at each time they are loaded."""

import tomllib
from importlib import resources
from importlib.resources.abc import Traversable

import pytest

from snapdb.errors import ConfigError
from snapdb.formats.schema import check_document

MAPS = sorted(
    (f for f in resources.files("snapdb.formats.instruments").iterdir() if f.name.endswith(".toml")),
    key=lambda f: f.name,
)


@pytest.mark.parametrize("file", MAPS, ids=lambda f: f.name)
def test_a_map_of_ours_is_one_that_a_user_could_give(file: Traversable) -> None:
    document = tomllib.loads(file.read_text(encoding="utf-8"))
    check_document(document, file.name)
    with pytest.raises(ConfigError, match=file.name):
        check_document({**document, "no_such_section": {}}, file.name)


def test_there_are_maps() -> None:
    assert len(MAPS) > 20
