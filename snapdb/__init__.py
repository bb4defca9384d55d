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

Under the names that users of stdpipe and subpixal know: ``crop_image``,
``crop_image_centered``, ``downscale_image``, ``get_cutout``, ``write_cutout``,
``load_cutout``, ``adjust_cutout``; ``create_primary_cutouts``, ``create_cutouts``,
``create_input_image_cutouts``, ``drz_from_input_cutouts``, and the errors ``NoOverlapError`` and
``PartialOverlapError``. Colour pictures: ``make_colour``, or ``lupton``.

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
    from snapdb.archive.stamps.adjust import adjust_cutout
    from snapdb.archive.stamps.cropping import crop_image, crop_image_centered, downscale_image
    from snapdb.archive.stamps.segments import (
        create_cutouts,
        create_input_image_cutouts,
        create_primary_cutouts,
        drz_from_input_cutouts,
    )
    from snapdb.archive.stamps.stamp import get_cutout, load_cutout, write_cutout
    from snapdb.errors.overlap import NoOverlapError, PartialOverlapError
    from snapdb.model.image import ImageRecord
    from snapdb.model.provenance import Provenance

__version__ = "0.1.0"

__all__ = [
    "Archive",
    "Cutout",
    "Image",
    "ImageRecord",
    "NoOverlapError",
    "PartialOverlapError",
    "Provenance",
    "__version__",
    "adjust_cutout",
    "connect",
    "create_cutouts",
    "create_input_image_cutouts",
    "create_primary_cutouts",
    "crop_image",
    "crop_image_centered",
    "downscale_image",
    "drz_from_input_cutouts",
    "get_cutout",
    "init",
    "load_cutout",
    "lupton",
    "make_colour",
    "write_cutout",
]

_HOMES = {
    "Archive": "snapdb.archive.archive",
    "Cutout": "snapdb.archive.cutout",
    "Image": "snapdb.archive.image",
    "ImageRecord": "snapdb.model.image",
    "NoOverlapError": "snapdb.errors.overlap",
    "PartialOverlapError": "snapdb.errors.overlap",
    "Provenance": "snapdb.model.provenance",
    "adjust_cutout": "snapdb.archive.stamps.adjust",
    "connect": "snapdb.archive.connect",
    "create_cutouts": "snapdb.archive.stamps.segments",
    "create_input_image_cutouts": "snapdb.archive.stamps.segments",
    "create_primary_cutouts": "snapdb.archive.stamps.segments",
    "crop_image": "snapdb.archive.stamps.cropping",
    "crop_image_centered": "snapdb.archive.stamps.cropping",
    "downscale_image": "snapdb.archive.stamps.cropping",
    "drz_from_input_cutouts": "snapdb.archive.stamps.segments",
    "get_cutout": "snapdb.archive.stamps.stamp",
    "init": "snapdb.archive.connect",
    "load_cutout": "snapdb.archive.stamps.stamp",
    "lupton": "snapdb.archive.colour",
    "make_colour": "snapdb.archive.colour",
    "write_cutout": "snapdb.archive.stamps.stamp",
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
