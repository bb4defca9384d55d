"""An image whose fluxes can be measured."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from snapdb.archive.picture import PicturedImage

if TYPE_CHECKING:
    from astropy.table import QTable

    from snapdb.photometry.curve_of_growth import GrowthCurve


class PhotometricImage(PicturedImage):
    """An image with photometry: apertures, PSFs, curves of growth."""

    def ap_phot(
        self,
        coords: Any = None,
        ap_r: Any = 9,
        method: str = "subpixel",
        subpixels: int = 5,
        bgsize: int = 511,
        **kwargs: Any,
    ) -> "QTable":
        """Measure fluxes within apertures; all of it: :func:`snapdb.archive.photometry.ap_phot.ap_phot`.

        Parameters
        ----------
        coords : Table, mapping, array or SkyCoord
            Positions: ``x`` and ``y`` (0-based pixels), or ``ra`` and ``dec`` (ICRS degrees).
        ap_r : float, shape or list
            Radius of the aperture, pixels; a shape; several of these.
        method : str
            ``subpixel``, ``exact`` or ``center``: how the overlap with pixels is found.
        subpixels : int
            Points a side of a pixel for ``subpixel``.
        bgsize : int
            Side of the boxes of the image's background, pixels; 0 or less for none.
        **kwargs : object
            ``background``, ``annulus``, ``masked``, ``psf``, ``bad_bits``, ``error``, ``mask`` and more. Of
            photutils' own there are ``error`` and ``mask``; ``wcs`` is the image's.

        Returns
        -------
        QTable
            A row a position: photutils' columns, and errors, nJy, AB magnitudes, limits and quality.

        Raises
        ------
        UsageError, ShapeError, ProjectionError, NotFoundError, ConfigError
            As the function says.
        """
        from snapdb.archive.photometry.ap_phot import ap_phot

        return ap_phot(self, coords, ap_r, method, subpixels, bgsize, **kwargs)

    def psf_phot(
        self,
        init_params: Any,
        psf: Any,
        forced_phot: bool = True,  # noqa: FBT001, FBT002  # the seed's signature
        fit_shape: Any = (5, 5),
        bginner: float = 15,
        bgouter: float = 25,
        return_resid_image: bool = False,  # noqa: FBT001, FBT002  # the seed's signature
        **kwargs: Any,
    ) -> Any:
        """Measure fluxes with a PSF; all of it: :func:`snapdb.archive.photometry.psf_phot.psf_phot`.

        Parameters
        ----------
        init_params : Table, mapping, array or SkyCoord
            Positions, as :meth:`ap_phot` takes them, also as ``x_init`` and ``y_init``; columns
            ``local_bkg`` (the sky under each) and ``group_id`` (which are fitted together) count.
        psf : PSF
            From :mod:`snapdb.photometry.psf`, or any object with snappl's ``get_stamp``.
        forced_phot : bool
            Whether positions are fixed; False fits them too.
        fit_shape : (int, int)
            Height and width of what is fitted, pixels, odd.
        bginner, bgouter : float
            Radii of the ring that gives the background, pixels.
        return_resid_image : bool
            Whether the image without its sources is given too.
        **kwargs : object
            ``group``, ``weights``, ``background``, ``estimator``, ``bad_bits`` and more.

        Returns
        -------
        Table, or Table and array
            A row a position: photutils' columns, and nJy, AB magnitudes, limits and quality.

        Raises
        ------
        UsageError, ShapeError, ProjectionError, NotFoundError
            As the function says.
        """
        from snapdb.archive.photometry.psf_phot import psf_phot

        more: dict[str, Any] = {"return_resid_image": return_resid_image, **kwargs}
        return psf_phot(self, init_params, psf, forced_phot, fit_shape, bginner, bgouter, **more)

    def curve_of_growth(self, coords: Any, radii: Sequence[float], **settings: Any) -> "GrowthCurve":
        """Measure how the light of stars grows with the radius; see :mod:`snapdb.archive.photometry.growth`.

        Parameters
        ----------
        coords : Table, mapping, array or SkyCoord
            Positions of stars, as :meth:`ap_phot` takes them.
        radii : sequence of float
            Of the apertures, pixels, ascending.
        **settings : object
            As :meth:`ap_phot` takes them.
        """
        from snapdb.archive.photometry.growth import curve_of_growth

        return curve_of_growth(self, coords, radii, **settings)
