"""What a user does: open an archive, ingest, find, read, cut, save.

====================  ==========================================================
module                holds
====================  ==========================================================
``connect``           :func:`connect` and :func:`init`
``archive``           :class:`Archive`
``lineage``           its provenances and tags
``guard``             what must never be written over
``image``             :class:`Image`; its parts are ``described`` (facts, paths, sky)
                      and ``planar`` (pixels, header)
``cutout``            :class:`Cutout`; ``cutting`` places and reads its box
``planes``            where pixels come from: files by layout, or arrays
``loading``           images outside an archive
``saving``            files that appear whole or not at all
``ingest``            from paths to rows; ``expand``, ``reading``, ``report`` are its steps
``registering``       rows of images that a user made by hand
``finding``           what searches hand out; ``listing`` and ``columns`` make tables of it
``match``             tables of positions against images; ``positions`` reads them
``epochs``            every epoch of one position: cutouts, stacks, animations
``stamps``            the names of stdpipe and subpixal
``keeping``           cutouts as registered products; ``kept_files`` writes them
``interop``           CCDData, NDData, HDU lists, Cutout2D
``picture``           PNG of an image; ``turning``, ``avm`` are its parts; ``colour``
``verifying``         whether files are what was registered
``gzip_indexes``      seek indexes of ``.gz`` files; ``repack`` copies wrapped ones
``coverage``          where images lie on the sky, and how deep
``moving``            what other archives hold comes in, ObsCore goes out
``pictures``          contact sheets
====================  ==========================================================
"""
