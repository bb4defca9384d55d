"""Every epoch of one position.

===============  ================================================================
module           holds
===============  ================================================================
``plan``         which images, and where the cutout lies in each: no file is opened
``reading``      the boxes of all of them, by threads where that pays
``cutout_set``   :class:`CutoutSet`, what a user holds; ``table``, ``files``
``stack``        :class:`CutoutStack`, one array an epoch; ``stacking`` fills it,
                 ``aligning`` resamples, ``stack_files`` and ``stack_zarr`` keep it
``animation``    moving pictures
===============  ================================================================
"""
