"""World coordinates of the common kinds, evaluated by a few array operations.

TAN, TAN-SIP and TPV in ICRS or a frame that a rotation takes there. Building one takes
a fortieth of the time of astropy's, and a bank of them is asked for one position at once.
Whatever else a header says is left to :class:`snapdb.sky.wcs.AstropyWCS`.

====================  ==========================================================
module                holds
====================  ==========================================================
``evaluator``         :class:`FastWCS`
``bank``              :class:`WcsBank`, many images at one position
``cards``             the light reading of WCS cards
``rotation``          native sphere to ICRS
``warps``             SIP and TPV; ``polynomial`` evaluates and inverts them
``pixels``            the linear part
====================  ==========================================================
"""
