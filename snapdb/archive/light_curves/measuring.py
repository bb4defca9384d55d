"""What an archive measures: the photometric side of :class:`snapdb.Archive`."""

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.archive.light_curves.catalog import CatalogPhotometry
    from snapdb.archive.light_curves.light_curve import LightCurve


class Measuring:
    """Forced fluxes of targets on all images that hold them."""

    def light_curve(self, ra: Any = None, dec: Any = None, **options: Any) -> "LightCurve":
        """Measure a target's flux on every image that holds it, and keep it.

        Parameters
        ----------
        ra, dec : float, str, Quantity or SkyCoord
            The position, ICRS; left out with ``ephemeris``.
        **options : object
            ``psf``, ``method``, ``ap_r``, ``fit_shape``, ``annulus``, ``bands``, ``proper_motion``,
            ``ephemeris``, ``refine``, ``reference``, ``keep``, ``tag`` and more, and which images: see
            :func:`snapdb.archive.light_curves.light_curve.find_light_curve`.

        Returns
        -------
        LightCurve
            ``table``, a row an image, measured or with the reason why not; ``nightly()``, ``write()``,
            ``plot()``.

        Raises
        ------
        UsageError, SearchError
            If a value cannot be.
        NotFoundError
            If there is no such provenance or reference.
        """
        from snapdb.archive.light_curves.light_curve import find_light_curve

        return find_light_curve(cast("Archive", self), ra, dec, **options)

    def phot(self, table: Any, **options: Any) -> "CatalogPhotometry":
        """Measure the flux of each target of a table on every image that holds it, and keep it.

        Parameters
        ----------
        table : Table, path, SkyCoord or pair of arrays
            The targets, as :meth:`snapdb.Archive.match` takes them.
        **options : object
            ``ra``, ``dec`` and ``name`` (columns), ``psf``, ``method``, ``ap_r`` and more, and which
            images: see :func:`snapdb.archive.light_curves.catalog.find_phot`.

        Returns
        -------
        CatalogPhotometry
            ``table``, a row a target on an image; ``write()``.

        Raises
        ------
        UsageError, SearchError
            If a value cannot be.
        """
        from snapdb.archive.light_curves.catalog import find_phot

        return find_phot(cast("Archive", self), table, **options)
