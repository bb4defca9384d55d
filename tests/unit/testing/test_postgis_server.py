"""Finding a server for the tests: in order, and never passed over in silence."""

from pathlib import Path

import pytest

from snapdb.errors import ConfigError
from snapdb.testing import postgis


def test_without_any_way_the_advice_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(postgis.DSN_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(postgis, "_has_postgis", lambda _folder: False)
    with pytest.raises(ConfigError, match=r"apt-get install postgresql postgresql-15-postgis-3"):
        postgis.find_or_start_server(Path("none.yml"))


def test_a_named_server_that_does_not_answer_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(postgis.DSN_VARIABLE, "postgresql://u@127.0.0.1:1/x")
    monkeypatch.setattr(postgis, "_WAIT_S", 0.1)
    with pytest.raises(ConfigError, match="does not answer"):
        postgis.find_or_start_server()
