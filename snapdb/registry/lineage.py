"""The provenance side of a registry."""

from collections.abc import Sequence
from uuid import UUID

from snapdb.errors import NotFoundError
from snapdb.model.provenance import Provenance, TagChange
from snapdb.registry import provenances
from snapdb.registry.connected import Connected


class Lineage(Connected):
    """Provenances, their upstreams, and their tags."""

    def add_provenance(
        self,
        provenance: Provenance,
        *,
        exists: bool | None = None,
        tag: str | None = None,
        replace: bool = False,
    ) -> bool:
        """Save a provenance and everything upstream of it, and its tag if asked: both or nothing.

        Parameters
        ----------
        provenance : Provenance
            What to save.
        exists : bool, optional
            None saves what is missing; False demands that it is new, True that it
            is there already.
        tag : str, optional
            See :meth:`tag_provenance`.
        replace : bool
            Whether the tag may point elsewhere now.

        Returns
        -------
        bool
            Whether it was new.

        Raises
        ------
        ConflictError
            If it is there already, and `exists` is False; if the tag points elsewhere, and
            `replace` is False.
        NotFoundError
            If it is not there, and `exists` is True.
        """
        with self._transaction(writes=True) as connection:
            is_new = provenances.add_provenance(connection, provenance, exists=exists)
            if tag is not None:
                provenances.set_tag(connection, tag, provenance, replace=replace)
        return is_new

    def get_provenance(self, id: UUID) -> Provenance:  # noqa: A002  # what every record calls it
        """Read a provenance with everything upstream of it.

        Raises
        ------
        NotFoundError
            If there is none of this id.
        """
        with self._transaction() as connection:
            found = provenances.read_provenances(connection, [id])
        if not found:
            msg = f"no provenance {id} is registered"
            raise NotFoundError(msg, provenance_id=id)
        return found[0]

    def find_provenances(self, *, process: str | None = None) -> list[Provenance]:
        """Find provenances, of one process or all, sorted by process and version."""
        with self._transaction() as connection:
            return provenances.find_provenances(connection, process)

    def get_provenances(self, ids: Sequence[UUID]) -> list[Provenance]:
        """Read provenances with everything upstream of them, in the order of their ids as given.

        Raises
        ------
        NotFoundError
            If there is none of one of the ids.
        """
        with self._transaction() as connection:
            found = provenances.read_all(connection, ids)
        if len(found) < len(ids):
            known = {one.id for one in found}
            absent = next(id_ for id_ in ids if id_ not in known)
            msg = f"no provenance {absent} is registered"
            raise NotFoundError(msg, provenance_id=absent)
        return found

    def find_provenance_ids(self, digits: str = "") -> list[UUID]:
        """List the ids of the provenances whose ids begin with some hexadecimal digits, or of all."""
        with self._transaction() as connection:
            return provenances.find_ids(connection, digits)

    def count_images_by_provenance(self, ids: Sequence[UUID]) -> dict[UUID, int]:
        """Count the images of provenances; those without any are left out."""
        with self._transaction() as connection:
            return provenances.count_images(connection, ids)

    def find_downstream(self, id: UUID) -> list[UUID]:  # noqa: A002  # what every record calls it
        """Find the ids of all provenances that build on one, directly or not."""
        with self._transaction() as connection:
            return provenances.find_downstream(connection, id)

    def tag_provenance(self, tag: str, provenance: Provenance, *, replace: bool = False) -> None:
        """Let a tag point to a registered provenance, for its process.

        Parameters
        ----------
        tag : str
            The name; each process has its own tags.
        provenance : Provenance
            What it shall point to.
        replace : bool
            Whether it may point elsewhere now; the change is kept in its history.

        Raises
        ------
        NotFoundError
            If the provenance is not registered.
        ProvenanceError
            If it is registered under another process.
        ConflictError
            If the tag points elsewhere, and `replace` is False.
        """
        with self._transaction(writes=True) as connection:
            provenances.set_tag(connection, tag, provenance, replace=replace)

    def get_tagged(self, tag: str, process: str) -> Provenance:
        """Read what a tag of a process points to.

        Raises
        ------
        NotFoundError
            If there is no such tag; the message names those there are.
        """
        with self._transaction() as connection:
            tags = provenances.find_tags(connection)
            if (tag, process) in tags:
                return provenances.read_provenances(connection, [tags[tag, process]])[0]
        names = ", ".join(f"{t} ({p})" for t, p in list(tags)[:20]) or "none"
        msg = f"no tag {tag!r} of process {process!r}; there are: {names}"
        raise NotFoundError(msg, tag=tag, process=process)

    def find_tagged(self, tag: str) -> list[Provenance]:
        """Find what a tag points to, for every process that has it."""
        with self._transaction() as connection:
            ids = list(provenances.find_tags(connection, tag=tag).values())
            return provenances.read_provenances(connection, ids) if ids else []

    def find_tags(self) -> list[tuple[str, str]]:
        """List every tag with its process."""
        return list(self.find_tag_targets())

    def find_tag_targets(self) -> dict[tuple[str, str], UUID]:
        """Find what tags point to: (tag, process) -> id of a provenance."""
        with self._transaction() as connection:
            return dict(provenances.find_tags(connection))

    def tag_history(self, tag: str, process: str) -> list[TagChange]:
        """Read what a tag has pointed to, the first first."""
        with self._transaction() as connection:
            return provenances.read_history(connection, tag, process)
