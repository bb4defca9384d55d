"""Header maps: those that come with snapdb, and what is said of malformed ones."""

import re
from pathlib import Path

import pytest

from snapdb.errors import ConfigError
from snapdb.formats.maps import get_map, load_maps

MINIMAL = 'name = "mycam"\n[[recognise]]\nheader = { INSTRUME = "^MyCam" }\n'


def test_every_shipped_map_loads_and_the_generic_one_is_last() -> None:
    maps = load_maps()
    names = [m.name for m in maps]
    assert names[-1] == "generic"
    assert len(names) == len(set(names)) >= 20
    for header_map in maps[:-1]:
        assert header_map.recognise, header_map.name
        assert header_map.sources or header_map.name == "standard", header_map.name


def test_a_users_map_comes_first_and_inherits_what_it_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "mycam.toml"
    path.write_text(MINIMAL + '[band]\ncards = ["COLOUR"]\n')
    maps = load_maps([path])
    assert maps[0].name == "mycam"
    generic = get_map("generic", maps)
    assert maps[0].rules["mjd"] == generic.rules["mjd"]
    assert maps[0].planes == generic.planes
    assert "zeropoint" not in maps[0].rules
    assert maps[0].rules["band"]["cards"] == ["COLOUR"]


def test_a_users_map_of_the_same_name_replaces_ours(tmp_path: Path) -> None:
    path = tmp_path / "decam.toml"
    path.write_text(MINIMAL.replace("mycam", "decam"))
    maps = load_maps([path])
    assert [m.name for m in maps].count("decam") == 1
    assert not get_map("decam", maps).companions


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("name = 'x'\nbnad = 1\n", "bnad", "unknown"),
        ("title = 'x'\n", "name", "missing"),
        ("name = 3\n", "name", "expected a str"),
        ("name = 'x'\n[band]\ncard = ['A']\n", "band.card", "unknown"),
        ("name = 'x'\n[band]\ncards = 'A'\n", "band.cards", "expected a list"),
        ("name = 'x'\n[[band]]\ncards = ['A']\n", "band", "expected a dict"),
        ("name = 'x'\n[mjd]\ncard = 'A'\n", "mjd", "expected a list"),
        ("name = 'x'\n[[plane]]\nextname = 'A'\n", "plane[0].role", "missing"),
        (
            "name = 'x'\n[[plane]]\nrole = 'noise'\nmeaning = 'weight'\n",
            "plane[0].meaning",
            "inverse_variance",
        ),
        ("name = 'x'\n[[plane]]\nrole = 'noise'\nextname = '('\n", "plane[0].extname", "does not compile"),
        ("name = 'x'\n[[recognise]]\nheader = {A = '['}\n", "recognise[0].header", "does not compile"),
        ("name = 'x'\n[band]\nreplace = [['a']]\n", "band.replace", "pairs"),
        ("name = 'x'\n[[zeropoint]]\nrule = 'magic'\n", "zeropoint[0].rule", "photflam"),
    ],
)
def test_a_malformed_map_is_named_with_key_and_problem(
    tmp_path: Path, text: str, key: str, words: str
) -> None:
    path = tmp_path / "broken.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(words)) as caught:
        load_maps([path])
    assert str(path) in str(caught.value)
    assert caught.value.fields["key"] == key


def test_what_is_no_toml_or_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("name = ")
    with pytest.raises(ConfigError, match="not TOML"):
        load_maps([path])
    with pytest.raises(ConfigError, match="cannot be read"):
        load_maps([tmp_path / "none.toml"])
    with pytest.raises(ConfigError, match=r"no header map 'nope'.*generic"):
        get_map("nope", load_maps())
