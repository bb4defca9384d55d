"""Where on the sky the images of a search lie, and how deep.

=============  ==================================================================
module         holds
=============  ==================================================================
``moc``        the union of footprints as a multi-order coverage map (IVOA MOC)
``depth``      :class:`DepthMap`, epochs or exposure by HEALPix cell and band;
               ``counting`` makes it, ``cells`` numbers the cells
``picture``    a depth map as PNG; ``projection`` and ``graticule`` are its parts
=============  ==================================================================
"""
