"""Frozen values that cross the layers: what a row says, where pixels lie, what made a thing.

====================  ==========================================================
module                holds
====================  ==========================================================
``layout``            :class:`PlaneLayout`, where one plane's pixels lie
``image``             :class:`ImageRecord` and :class:`NewImage`, what is known of an image
``file``              :class:`FileRecord`, the bytes behind planes
``provenance``        :class:`Provenance`, its canonical text and its id
``search``            :class:`Search`, one checked question to the registry
``outcome``           :class:`Outcome`, how one file of an ingest ended
====================  ==========================================================
"""
