"""What made a thing: the provenance side of an archive."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from snapdb.archive.values import as_uuid
from snapdb.errors import NotFoundError, SearchError, UsageError
from snapdb.model.ancestry import Ancestry
from snapdb.model.image import ImageRecord
from snapdb.model.prov_json import to_prov_json
from snapdb.model.provenance import Provenance, TagChange
from snapdb.model.search import make_search

if TYPE_CHECKING:
    from snapdb.registry import Registry


_FEWEST_DIGITS = 4
"""Of an id that is named by its beginning."""


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

    def find_provenance(self, name: "Provenance | UUID | str") -> Provenance:
        """Give the provenance that a name means.

        Parameters
        ----------
        name : Provenance, UUID or str
            An id, the first 4 or more hexadecimal digits of one, or ``TAG:PROCESS``.

        Returns
        -------
        Provenance
            With its whole upstream tree.

        Raises
        ------
        NotFoundError
            If there is none of that name.
        UsageError
            If several have ids that begin so; the message lists them.
        """
        found = name.id if isinstance(name, Provenance) else _read_uuid(name)
        if found is not None:
            return self.registry.get_provenance(found)
        text = str(name)
        tag, colon, process = text.partition(":")
        if colon:
            return self.registry.get_tagged(tag, process)
        digits = text.replace("-", "").lower()
        if len(digits) < _FEWEST_DIGITS or not set(digits) <= set("0123456789abcdef"):
            msg = f"{text!r} names no provenance; expected an id, its first 4 or more digits, or TAG:PROCESS"
            raise UsageError(msg, name=text)
        fit = [id_ for id_ in self.registry.find_provenance_ids() if id_.hex.startswith(digits)]
        if not fit:
            msg = f"no provenance has an id that begins with {text}"
            raise NotFoundError(msg, name=text)
        if len(fit) > 1:
            listed = ", ".join(map(str, fit[:10]))
            msg = f"{len(fit)} provenances have ids that begin with {text}: {listed}; give more digits"
            raise UsageError(msg, name=text)
        return self.registry.get_provenance(fit[0])

    def find_downstream(self, provenance: "Provenance | UUID | str") -> list[Provenance]:
        """Find the provenances that build on one, directly or not, sorted by process and version."""
        ids = self.registry.find_downstream(as_provenance_id(provenance))
        found = [self.registry.get_provenance(id_) for id_ in ids]
        return sorted(found, key=lambda p: (p.process, p.major, p.minor, p.id))

    def get_ancestry(self, image: Any) -> Ancestry:
        """Tell what an image was made of and by: the images, and each one's provenance, to the beginning.

        Parameters
        ----------
        image : Image, ImageRecord, UUID or str
            The image, or its id.

        Returns
        -------
        Ancestry
            An image that several others were made from is there once, as one object.

        Raises
        ------
        NotFoundError
            If it is not registered.
        """
        first = _image_id(image)
        inputs: dict[UUID, list[UUID]] = {}
        for product, source in self.registry.get_input_edges(first):
            inputs.setdefault(product, []).append(source)
        ids = list(dict.fromkeys([first, *(source for some in inputs.values() for source in some)]))
        records = {record.id: record for record in self.registry.find_images(make_search(id=ids))}
        if first not in records:
            records[first] = self.registry.get_image(first)  # raises NotFoundError
        provenances = {record.provenance_id for record in records.values()}
        made_by = {id_: self.registry.get_provenance(id_) for id_ in provenances}
        made: dict[UUID, Ancestry] = {}
        waiting = [first]
        while waiting:
            missing = [source for source in inputs.get(waiting[-1], ()) if source not in made]
            if missing:
                waiting.extend(missing)
                continue
            id_ = waiting.pop()
            if id_ in made:  # it waited twice: two images were made from it
                continue
            sources = tuple(made[source] for source in inputs.get(id_, ()))
            record = records[id_]
            made[id_] = Ancestry(image=record, provenance=made_by[record.provenance_id], inputs=sources)
        return made[first]

    def find_products(self, image: Any) -> list[ImageRecord]:
        """Find the images that were made from one, directly or not, as plain rows.

        Parameters
        ----------
        image : Image, ImageRecord, UUID or str
            The image, or its id.

        Returns
        -------
        list of ImageRecord
            In the order of their ids.
        """
        ids = self.registry.find_products(_image_id(image))
        return self.registry.find_images(make_search(id=ids)) if ids else []

    def export_provenance(self, given: Any) -> dict[str, dict[str, Any]]:
        """Write a provenance, or an image with all that it was made of, as W3C PROV-JSON.

        Parameters
        ----------
        given : Provenance, Image, ImageRecord
            A provenance, or what has one.

        Returns
        -------
        dict
            JSON values; see :func:`snapdb.model.prov_json.to_prov_json`.
        """
        return to_prov_json(given if isinstance(given, Provenance) else self.get_ancestry(given))

    def tag_history(self, tag: str, process: str) -> list[TagChange]:
        """List what a tag has pointed to, the first first."""
        return self.registry.tag_history(tag, process)


def _read_uuid(name: Any) -> UUID | None:
    """Read an id, None for text that is none."""
    if isinstance(name, UUID):
        return name
    try:
        return UUID(str(name))
    except ValueError:
        return None


def _image_id(image: Any) -> UUID:
    """Give the id of an image, of its row, or of what names one."""
    found = as_uuid(getattr(image, "id", image), "image")
    if found is None:
        msg = "the image is not registered; expected one of the archive, or its id"
        raise UsageError(msg)
    return found


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
