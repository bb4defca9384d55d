"""What made a thing: the provenance side of an archive."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from snapdb.archive.values import as_uuid
from snapdb.errors import SearchError
from snapdb.model.provenance import Provenance, TagChange

if TYPE_CHECKING:
    from snapdb.registry import Registry


class Lineage:
    """Provenances, their upstreams, and their tags."""

    registry: "Registry"

    def add_provenance(
        self,
        provenance: Provenance,
        *,
        tag: str | None = None,
        replace: bool = False,
        exists: bool | None = None,
    ) -> None:
        """Register a provenance with all its upstreams, and tag it if asked.

        Parameters
        ----------
        provenance : Provenance
            Registering it twice changes nothing.
        tag : str, optional
            Name under which it is found, together with its process.
        replace : bool
            Whether the tag may move here from another provenance.
        exists : bool, optional
            True if it must be registered already, False if it must not.

        Raises
        ------
        ConflictError
            If the tag is taken and `replace` is False, or the provenance is there though
            `exists` is False.
        NotFoundError
            If it is not there though `exists` is True.
        """
        self.registry.add_provenance(provenance, exists=exists)
        if tag is not None:
            self.registry.tag_provenance(tag, provenance, replace=replace)

    def get_provenance(self, provenance_id: UUID | str) -> Provenance:
        """Give a provenance with its whole upstream tree.

        Raises
        ------
        NotFoundError
            If there is none of that id.
        """
        return self.registry.get_provenance(as_provenance_id(provenance_id))

    def find_provenances(self, *, process: str | None = None) -> list[Provenance]:
        """Find the provenances of a process, or all."""
        return self.registry.find_provenances(process=process)

    def get_tagged(self, tag: str, process: str) -> Provenance:
        """Give the provenance that a tag of a process points to.

        Raises
        ------
        NotFoundError
            If there is no such tag; the message names those there are.
        """
        return self.registry.get_tagged(tag, process)

    def tag_history(self, tag: str, process: str) -> list[TagChange]:
        """List what a tag has pointed to, the first first."""
        return self.registry.tag_history(tag, process)


def as_provenance_id(value: Any) -> UUID:
    """Give the id of a provenance, or of what names one.

    Raises
    ------
    UsageError
        If it names none.
    """
    if isinstance(value, Provenance):
        return value.id
    found = as_uuid(value, "provenance")
    if found is None:
        msg = "provenance=None among several; leave it out"
        raise SearchError(msg)
    return found
