"""A database-backed archive of astronomical images that you can cut from.

====================  ===============================================================
name                  what it is
====================  ===============================================================
:func:`connect`       open an archive: a folder, ``sqlite:///...`` or ``postgresql://...``
:func:`init`          make one
:class:`Archive`      what ``connect`` gives: ingest, find, cut
:class:`Image`        one image; pixels are read when asked for
:class:`Cutout`       an image cut from another
:class:`ImageRecord`  what the registry knows of an image, no file opened
:class:`Provenance`   which process, version, parameters and upstreams made a thing
:mod:`snapdb.errors`  every error, in one tree
====================  ===============================================================

Names load what they need on first use, so importing snapdb costs next to nothing.

Examples
--------
>>> import snapdb
>>> archive = snapdb.init(tmp_path / "archive")
>>> archive.count_images()
0
>>> archive.close()
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.archive.colour import lupton, make_colour
    from snapdb.archive.connect import connect, init
    from snapdb.archive.cutout import Cutout
    from snapdb.archive.image import Image
    from snapdb.model.image import ImageRecord
    from snapdb.model.provenance import Provenance

__version__ = "0.1.0"

__all__ = [
    "Archive",
    "Cutout",
    "Image",
    "ImageRecord",
    "Provenance",
    "__version__",
    "connect",
    "init",
    "lupton",
    "make_colour",
]

_HOMES = {
    "Archive": "snapdb.archive.archive",
    "Cutout": "snapdb.archive.cutout",
    "Image": "snapdb.archive.image",
    "ImageRecord": "snapdb.model.image",
    "Provenance": "snapdb.model.provenance",
    "connect": "snapdb.archive.connect",
    "init": "snapdb.archive.connect",
    "lupton": "snapdb.archive.colour",
    "make_colour": "snapdb.archive.colour",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first used."""
    import importlib

    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    msg = f"module 'snapdb' has no attribute {name!r}; it has {', '.join(__all__)}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
