"""Opening, closing and losing registries."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

import snapdb
from snapdb.archive.guard import check_output
from snapdb.errors import (
    ConfigError,
    NotFoundError,
    ObjectExistsError,
    ReadOnlyStoreError,
    RegistryClosedError,
    RegistryError,
    RegistryUnavailableError,
)
from snapdb.model.provenance import Provenance
from snapdb.model.search import make_search
from snapdb.registry import Registry, migrate


def test_after_close_every_call_says_so(registry_url: str) -> None:
    registry = Registry.open(registry_url)
    registry.close()
    registry.close()
    assert registry.closed
    calls = [
        lambda: registry.find_images(make_search()),
        lambda: registry.find_images(make_search(band=[])),
        lambda: registry.count_images(make_search()),
        lambda: list(registry.iter_images(make_search())),
        lambda: registry.get_image(uuid4()),
        lambda: registry.add_images([], {}),
        lambda: registry.get_planes([]),
        lambda: registry.add_provenance(Provenance("p")),
        lambda: registry.find_files([]),
        lambda: registry.values("band"),
        registry.schema_version,
    ]
    for call in calls:
        with pytest.raises(RegistryClosedError, match="was closed; open it again"):
            call()


def test_url_and_repr_tell_no_password(registry: Registry) -> None:
    assert registry.dialect in registry.url
    assert registry.url in repr(registry)


def test_read_only_reads_and_refuses_to_write(registry_url: str) -> None:
    with Registry.open(registry_url) as registry:
        registry.add_provenance(Provenance("p"))
    with Registry.open(registry_url, read_only=True) as registry:
        assert registry.find_provenances() == [Provenance("p")]
        assert registry.find_images(make_search()) == []
        with pytest.raises(ReadOnlyStoreError):
            registry.add_provenance(Provenance("q"))


def test_many_threads_read_one_registry(registry: Registry) -> None:
    registry.add_provenance(Provenance("p"))
    failures: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(20):
                assert registry.find_images(make_search(ra=1, dec=1)) == []
                assert registry.find_provenances() == [Provenance("p")]
        except BaseException as err:  # noqa: BLE001  # a thread's failure must reach the test
            failures.append(err)

    threads = [threading.Thread(target=read) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_missing_file_advises_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"there is no registry .*none.db; make it with `snapdb init`"):
        Registry.open(f"sqlite:///{tmp_path}/none.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("create", [False, True])
def test_the_registry_of_an_archive_is_not_its_folder(tmp_path: Path, *, create: bool) -> None:
    file = tmp_path / "arch" / "registry.db"
    snapdb.init(tmp_path / "arch").close()
    with pytest.raises(ConfigError, match=f"is a file; name the folder of the archive, or sqlite:///{file}"):
        snapdb.connect(file, create=create)
    snapdb.connect(f"sqlite:///{file}").close()


def test_a_folder_and_a_foreign_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="is a folder"):
        Registry.open(f"sqlite:///{tmp_path}")
    foreign = tmp_path / "image.fits"
    foreign.write_bytes(b"SIMPLE  =                    T" * 100)
    for create in (False, True):
        with pytest.raises(RegistryError, match="the file is no registry"):
            Registry.open(f"sqlite:///{foreign}", create=create)
    assert foreign.stat().st_size == 3000


@pytest.mark.parametrize("url", ["mysql://localhost/x", "registry.db", "", "sqlite://", "sqlite:///:memory:"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"expected sqlite:///FILE or postgresql://HOST/DATABASE"):
        Registry.open(url)


def test_no_message_holds_the_password() -> None:
    for url in ("mysql://u:sesame@localhost/x", "postgresql://u:sesame@127.0.0.1:1/x"):
        with pytest.raises((ConfigError, RegistryUnavailableError)) as caught:
            Registry.open(url)
        cause: BaseException | None = caught.value
        assert "sesame" not in str(cause)


@pytest.mark.parametrize(
    "place",
    [
        "u:sesa@me@127.0.0.1:1/x",  # an @ in the password
        "u/v:sesame@127.0.0.1:1/x",  # a slash in the user
        "127.0.0.1:1/x?user=u&password=ses@me",
        "u@v:s@s:s/sesame%d ?@host/db",
    ],
)
def test_a_url_whose_parts_run_together_is_refused_without_a_word_of_it(place: str) -> None:
    # Oracle: RFC 3986, section 3.2.1: an @ in user or password is written %40.
    with pytest.raises(ConfigError, match="write @ as %40") as caught:
        Registry.open(f"postgresql://{place}")
    assert not any(part in str(caught.value) for part in ("sesa", "me@", "127.0.0.1", "ses@"))


def test_secrets_behind_the_question_mark_are_not_shown() -> None:
    url = "postgresql://u%40v@127.0.0.1:1/x?password=sesame&sslpassword=mellon&sslmode=disable"
    with pytest.raises(RegistryUnavailableError) as caught:
        Registry.open(url)
    assert "registry postgresql://u%40v@127.0.0.1:1/x?sslmode=disable: " in str(caught.value)


@pytest.mark.parametrize("part", ["1/x?sslmode=bogus", "1/x?nonsense=1", "99999/x", "1/x?host=a&port=b"])
def test_a_part_of_the_url_that_cannot_be_is_a_wrong_call(part: str) -> None:
    with pytest.raises(ConfigError, match="correct"):
        Registry.open(f"postgresql://u@127.0.0.1:{part}")


def test_a_folder_whose_name_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"lat\xe9")
    with pytest.raises(ConfigError, match=r"lat\\xe9/registry.db has bytes in its name that are not UTF-8"):
        snapdb.init(folder)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="is not UTF-8 at"):
        Registry.open(f"sqlite:///{folder}/registry.db")


@pytest.mark.parametrize("name", ["ünï ✓", "a%20b", "what?", "a#b", "a+b c"])
def test_an_archive_lies_where_it_was_asked_for_and_guards_itself(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    with snapdb.init(folder) as archive:
        assert [path.name for path in tmp_path.iterdir()] == [name]
        assert archive.count_images() == 0
        with pytest.raises(ObjectExistsError, match="belongs to the registry"):
            check_output(folder / "registry.db", overwrite=True)
    with snapdb.connect(folder) as again:
        assert again.count_images() == 0


def test_a_server_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(RegistryUnavailableError, match="see that it runs") as caught:
        Registry.open("postgresql://u@127.0.0.1:1/x")
    assert caught.value.transient


READ_ONLY = """
import os
import sys
from snapdb.errors import ReadOnlyStoreError, RegistryError
from snapdb.model.provenance import Provenance
from snapdb.model.search import make_search
from snapdb.registry import Registry
folder = sys.argv[1]
with Registry.open(f"sqlite:///{folder}/registry.db") as registry:
    registry.find_provenances()  # loads what is loaded late, as long as it can be read
if os.geteuid() == 0:  # who may write everywhere
    os.setuid(65534)
try:
    Registry.open(f"sqlite:///{folder}/new.db", create=True)
except ReadOnlyStoreError as err:
    print("create:", err)
with Registry.open(f"sqlite:///{folder}/registry.db", read_only=True) as registry:
    print("found:", registry.find_images(make_search()), registry.find_provenances())
try:
    with Registry.open(f"sqlite:///{folder}/registry.db") as registry:
        registry.add_provenance(Provenance("q"))
except ReadOnlyStoreError as err:
    print("write:", err)
"""


def test_a_folder_without_rights_to_write_can_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    migrate(f"sqlite:///{folder}/registry.db")
    with Registry.open(f"sqlite:///{folder}/registry.db") as registry:
        registry.add_provenance(Provenance("p"))
    (folder / "registry.db").chmod(0o444)
    folder.chmod(0o555)
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    command = [sys.executable, "-c", READ_ONLY, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    folder.chmod(0o755)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert lines[0].startswith(f"create: registry sqlite:///{folder}/new.db cannot be made")
    assert lines[1].startswith("found: [] [<Provenance 'p' 0.0")
    assert lines[2].startswith(f"write: registry sqlite:///{folder}/registry.db: ")


@pytest.mark.postgis
@pytest.mark.parametrize("registry_url", [pytest.param("postgis")], indirect=True)
def test_a_server_that_drops_connections_is_reached_again(registry: Registry, registry_url: str) -> None:
    search = make_search(ra=1, dec=1)
    assert registry.find_images(search) == []
    assert registry.find_provenances() == []
    with psycopg.connect(registry_url, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert registry.find_images(search) == []
    assert registry.find_provenances() == []
