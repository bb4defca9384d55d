"""What made a thing: the provenance side of an archive."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from snapdb.archive.ancestry import get_ancestry, get_offspring
from snapdb.archive.values import as_uuid
from snapdb.errors import NotFoundError, SearchError, UsageError
from snapdb.model.ancestry import Ancestry, Offspring
from snapdb.model.image import ImageRecord
from snapdb.model.prov_json import to_prov_json
from snapdb.model.provenance import Provenance, TagChange
from snapdb.model.provenance_diff import Difference, diff_provenances
from snapdb.model.search import make_search

if TYPE_CHECKING:
    from snapdb.registry import Registry


_FEWEST_DIGITS, _MOST_DIGITS = 4, 32
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
    ) -> bool:
        """Register a provenance with all its upstreams, and tag it if asked: all of it or nothing.

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

        Returns
        -------
        bool
            Whether it was new.

        Raises
        ------
        ConflictError
            If the tag is taken and `replace` is False, or the provenance is there though
            `exists` is False.
        NotFoundError
            If it is not there though `exists` is True.
        """
        return self.registry.add_provenance(provenance, exists=exists, tag=tag, replace=replace)

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
        found = name.id if isinstance(name, Provenance) else read_uuid(name)
        if found is not None:
            return self.registry.get_provenance(found)
        text = str(name)
        if ":" in text:
            return self.registry.get_tagged(*self._split_tag(text))
        digits = text.replace("-", "").lower()
        if not _FEWEST_DIGITS <= len(digits) <= _MOST_DIGITS or not set(digits) <= set("0123456789abcdef"):
            msg = f"{text!r} names no provenance; expected an id, its first 4 or more digits, or TAG:PROCESS"
            raise UsageError(msg, name=text)
        fit = self.registry.find_provenance_ids(digits)
        if not fit:
            msg = f"no provenance has an id that begins with {text}"
            raise NotFoundError(msg, name=text)
        if len(fit) > 1:
            listed = ", ".join(map(str, fit[:10]))
            msg = f"{len(fit)} provenances have ids that begin with {text}: {listed}; give more digits"
            raise UsageError(msg, name=text)
        return self.registry.get_provenance(fit[0])

    def _split_tag(self, text: str) -> tuple[str, str]:
        """Tell tag and process apart; either may have colons in it."""
        fit = [pair for pair in self.registry.find_tags() if ":".join(pair) == text]
        if len(fit) > 1:
            listed = " or ".join(f"tag {tag!r} of process {process!r}" for tag, process in fit)
            msg = f"{text!r} may mean {listed}; give the id, as `snapdb provenance tags` lists it"
            raise UsageError(msg, name=text)
        tag, _, process = text.partition(":")
        return fit[0] if fit else (tag, process)

    def find_downstream(self, provenance: "Provenance | UUID | str") -> list[Provenance]:
        """Find the provenances that build on one, directly or not, sorted by process and version.

        Their images: ``find_products(provenance)``, or any search with ``provenance=`` this list.
        """
        ids = self.registry.find_downstream(as_provenance_id(provenance))
        found = self.registry.get_provenances(ids)
        return sorted(found, key=lambda p: (p.process, p.major, p.minor, p.id))

    def count_products(self, provenance: "Provenance | UUID | str") -> dict[Provenance, int]:
        """Count the images that each provenance downstream of one has made.

        Parameters
        ----------
        provenance : Provenance, UUID or str
            The one that the others build on, or its id; its own images are not counted.

        Returns
        -------
        dict
            Provenance -> number of images, in the order of :meth:`find_downstream`.
        """
        below = self.find_downstream(provenance)
        counts = self.registry.count_images_by_provenance([one.id for one in below])
        return {one: counts.get(one.id, 0) for one in below}

    def find_products(self, given: Any) -> list[ImageRecord]:
        """Find the images that came of an image, or of a provenance, as plain rows.

        Parameters
        ----------
        given : Image, ImageRecord, UUID, str or Provenance
            An image or its id: the images that were made from it, directly or not. A
            provenance: those of every provenance that builds on it, directly or not.

        Returns
        -------
        list of ImageRecord
            In the order of their ids.
        """
        if isinstance(given, Provenance):
            below = self.registry.find_downstream(given.id)
            return self.registry.find_images(make_search(provenance_ids=below, order_by="id"))
        ids = self.registry.find_products(_image_id(given))
        return self.registry.find_images(make_search(id=ids, order_by="id"))

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
        return get_ancestry(self.registry, _image_id(image))

    def get_offspring(self, image: Any) -> Offspring:
        """Tell what was made from an image, and by what: the way of :meth:`get_ancestry`, downwards.

        Parameters
        ----------
        image : Image, ImageRecord, UUID or str
            The image, or its id.

        Returns
        -------
        Offspring
            An image that was made from several others is there once, as one object.

        Raises
        ------
        NotFoundError
            If it is not registered.
        """
        return get_offspring(self.registry, _image_id(image))

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

    def diff_provenances(
        self, old: "Provenance | UUID | str", new: "Provenance | UUID | str"
    ) -> tuple[Difference, ...]:
        """Tell in what two provenances differ, upstreams included.

        Parameters
        ----------
        old, new : Provenance, UUID or str
            Registered ones, as :meth:`find_provenance` takes them; or any two objects.

        Returns
        -------
        tuple of Difference
            Empty where they are the same; each prints as a line.
        """
        first, second = (p if isinstance(p, Provenance) else self.find_provenance(p) for p in (old, new))
        return diff_provenances(first, second)

    def tag_history(self, tag: str, process: str) -> list[TagChange]:
        """List what a tag has pointed to, the first first."""
        return self.registry.tag_history(tag, process)


def read_uuid(name: Any) -> UUID | None:
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
