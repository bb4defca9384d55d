"""Stamps under the names that users of stdpipe and subpixal know.

==================  =============================================================
module              holds
==================  =============================================================
``stamp``           ``get_cutout``, ``write_cutout``, ``load_cutout``
``cropping``        ``crop_image``, ``crop_image_centered``, ``downscale_image``
``adjust``          ``adjust_cutout``
``segments``        ``create_primary_cutouts`` and what follows from them;
                    ``outlines``, ``source_columns`` and ``skipped`` are its parts
==================  =============================================================
"""
