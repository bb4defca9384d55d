"""Pure arithmetic on pixels: boxes, filling, flags, noise and pictures. Nothing here opens a file.

===========  =================================================================
module       holds
===========  =================================================================
``box``      :class:`Box`, where a cutout lies, and the one rule of "inside"
``crop``     :func:`fill_plane`, a part of an image in its cutout
``flags``    bits that make a pixel bad
``noise``    variances and weights as 1 sigma
``stretch``  pixels as bytes of a picture
===========  =================================================================
"""
