"""A synthetic survey with known truth, for tests, for benchmarks and for the demonstration."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from snapdb.errors import UsageError
from snapdb.testing.detectors import (
    HEIGHT,
    WIDTH,
    Exposure,
    ImageTruth,
    find_separation_arcsec,
    make_wcs_header,
)
from snapdb.testing.sources import BANDS, Galaxy, Source, Star, Supernova, make_galaxies, make_stars

SURVEY_VERSION = 1
"""Raised whenever the same seed gives other files."""

_MJD0 = 60_600.0
_FIELDS = {"equinox": (0.0, -17.5), "deep": (52.9, -27.8)}
"""Name -> middle of each field, ICRS degrees; the first lies across right ascension 0."""
_EPOCH_DAYS = (-30.0, -14.0, -5.0, 1.0, 4.0, 11.0, 24.0, 41.0, 58.0, 77.0, 95.0, 120.0)
"""Nights of the survey, from the t0 of the supernova."""
_EXPTIME_S = {"g": 90.0, "r": 60.0, "i": 75.0}
_ZEROPOINT_PER_S = {"g": 25.2, "r": 25.4, "i": 25.1}
_SKY_PER_S = {"g": 6.0, "r": 11.0, "i": 15.0}
_TRUTH_FILE = "truth.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """A folder of images, and everything that is true of them."""

    folder: Path
    seed: int
    files: tuple[Path, ...]
    """Sound files, in order of time."""
    bad_files: tuple[Path, ...]
    """Files beside them that hold no usable image."""
    images: tuple[ImageTruth, ...]
    """What is known of each image; a file may hold more than one."""
    stars: tuple[Star, ...]
    galaxies: tuple[Galaxy, ...]
    """The first is the host of the supernova."""
    supernova: Supernova
    written: int = 0
    """How many files this call had to write; 0 when all were there."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """All that shines."""
        return (*self.stars, *self.galaxies, self.supernova)

    def counts_of(self, source: Source, image: ImageTruth) -> float:
        """Give the counts that a source has in an image, over all its pixels and before noise.

        Parameters
        ----------
        source
            A star, a galaxy or the supernova.
        image
            One of :attr:`images`.
        """
        return image.counts_of(source)

    def images_of(self, source: Source, *, band: str | None = None) -> tuple[ImageTruth, ...]:
        """List the images on whose pixels the place of a source falls, in order of time.

        Parameters
        ----------
        source
            A star, a galaxy or the supernova.
        band
            Only images of this band.
        """
        near = (i for i in self.images if band in (None, i.band) and i.is_near(source))
        return tuple(sorted((i for i in near if i.contains(source.ra, source.dec)), key=lambda i: i.mjd))

    def make_truth_table(self) -> Any:
        """Make an :class:`astropy.table.Table`, one row for each source on each image.

        Columns: ``source``, ``path``, ``hdu``, ``band``, ``mjd`` (start), ``ra``, ``dec``, ``x``, ``y``
        (0-based pixels), ``mag`` (AB), ``counts`` (before noise).
        """
        from astropy.table import Table

        names = ("source", "path", "hdu", "band", "mjd", "ra", "dec", "x", "y", "mag", "counts")
        return Table(rows=list(self._truth_rows()), names=names)

    def _truth_rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of the truth table, image by image."""
        for image in self.images:
            near = [s for s in self.sources if image.is_near(s)]
            xs, ys = image.to_pixels(np.array([s.ra for s in near]), np.array([s.dec for s in near]))
            for source, x, y in zip(near, xs.tolist(), ys.tolist(), strict=True):
                if -0.5 <= x < image.width - 0.5 and -0.5 <= y < image.height - 0.5:
                    yield (
                        getattr(source, "name", ""), str(image.path), image.hdu, image.band, image.mjd,
                        source.ra, source.dec, x, y,
                        source.mag(image.band, image.mjd_middle), image.counts_of(source),
                    )  # fmt: skip


def make_survey(folder: str | Path, *, seed: int = 20_240, epochs: int = 8, stars: int = 120) -> Survey:
    """Make a survey on disk, or recognise the one that is there.

    Three bands, two detectors an exposure, dithered and rolled from night to night,
    TAN-SIP distortion; one field across right ascension 0 with a supernova beside its
    host, and a second field seen twice in r, both detectors in one file. Data, noise
    and flags in every file; some are gzipped or tile-compressed, some beside them are broken.

    Parameters
    ----------
    folder
        Made when it does not exist; nothing is written elsewhere.
    seed
        Of all random numbers: the same arguments give the same bytes.
    epochs
        Nights on the field of the supernova, 1 to 12.
    stars
        In each field.

    Returns
    -------
    Survey

    Raises
    ------
    UsageError
        Other than 1 to 12 epochs, or the folder holds a survey made from other arguments.
    """
    survey = plan_survey(folder, seed=seed, epochs=epochs, stars=stars)
    spec = {"version": SURVEY_VERSION, "seed": seed, "epochs": epochs, "stars": stars}
    truth_path = survey.folder / _TRUTH_FILE
    known = _read_truth(truth_path, spec)
    paths = (*survey.files, *survey.bad_files)
    missing = [path for path in paths if _size(path) != known.get(path.name)]
    if not missing:
        return survey
    _write_files(survey, missing)
    sizes = {path.name: _size(path) for path in paths}
    truth_path.write_text(json.dumps({"spec": spec, "sizes": sizes}, indent=1) + "\n", encoding="utf-8")
    return replace(survey, written=len(missing))


def plan_survey(folder: str | Path, *, seed: int = 20_240, epochs: int = 8, stars: int = 120) -> Survey:
    """Say what :func:`make_survey` would make, without touching the disk.

    Parameters
    ----------
    folder, seed, epochs, stars
        As there.

    Raises
    ------
    UsageError
        Other than 1 to 12 epochs.
    """
    if not 1 <= epochs <= len(_EPOCH_DAYS):
        msg = f"a survey of {epochs} epochs; expected 1 to {len(_EPOCH_DAYS)}"
        raise UsageError(msg, epochs=epochs)
    base = Path(folder)
    images = tuple(_plan_images(base / "images", _plan_exposures(seed, epochs)))
    rng = np.random.default_rng([seed, 1])
    all_stars: list[Star] = []
    galaxies: list[Galaxy] = []
    for name, (ra, dec) in _FIELDS.items():
        # 0.055 degrees reach the corners of the focal plane at every roll and dither.
        patch = {"ra": ra, "dec": dec, "radius_deg": 0.055}
        all_stars += make_stars(rng, prefix=f"{name}-s", count=stars, **patch)
        galaxies += make_galaxies(rng, prefix=f"{name}-g", count=20, **patch)
    host, supernova = _plan_supernova()
    return Survey(
        folder=base,
        seed=seed,
        files=tuple(dict.fromkeys(i.path for i in images)),
        bad_files=tuple(base / "broken" / name for name in _BROKEN),
        images=images,
        stars=tuple(s for s in all_stars if find_separation_arcsec(s, supernova) > 12.0),
        galaxies=(host, *(g for g in galaxies if find_separation_arcsec(g, supernova) > 12.0)),
        supernova=supernova,
    )


_BROKEN = ("cut_short.fits", "error_page.fits", "table_only.fits", "claims_149_gb.fits", "empty.fits")


def _plan_supernova() -> tuple[Galaxy, Supernova]:
    """Place the supernova where most nights see it, and its host 1.7 arcseconds beside it."""
    host = Galaxy(
        name="host",
        ra=0.0212,
        dec=-17.4963,
        mags={"g": 19.6, "r": 18.9, "i": 18.6},
        sigma_arcsec=1.2,
    )
    supernova = Supernova(
        name="SN synth",
        ra=host.ra + 1.4 / 3600.0,
        dec=host.dec + 1.0 / 3600.0,
        mjd0=_MJD0,
        peak_mags={"g": 18.3, "r": 18.0, "i": 18.2},
        rise_days=3.0,
        fall_days={"g": 14.0, "r": 19.0, "i": 25.0},
    )
    return host, supernova


def _plan_exposures(seed: int, epochs: int) -> Iterator[Exposure]:
    """Yield the exposures in order of time."""
    rng = np.random.default_rng([seed, 2])
    number = 100
    for epoch, days in enumerate(_EPOCH_DAYS[:epochs]):
        # From the sixth night on the camera is turned over: the detectors change sides.
        roll = 3.0 + 4.5 * epoch + (180.0 if epoch >= 5 else 0.0)
        bands: Sequence[str] = BANDS if epoch % 2 == 0 else BANDS[::-1]
        for slot, band in enumerate(bands):
            number += 1
            start = _MJD0 + days + 0.1 + 0.004 * slot
            yield _plan_exposure(rng, number, "equinox", band, start, roll)
        if epoch in (0, 3):
            number += 1
            yield _plan_exposure(rng, number, "deep", "r", _MJD0 + days + 0.2, roll + 60.0)


def _plan_exposure(
    rng: np.random.Generator, number: int, field: str, band: str, mjd: float, roll: float
) -> Exposure:
    """Dither one exposure, and give it the weather of its moment."""
    ra, dec = _FIELDS[field]
    east, north = rng.uniform(-9.0, 9.0, 2) / 3600.0
    exptime, clouds = _EXPTIME_S[band], float(rng.uniform(0.0, 0.25))
    return Exposure(
        number=number,
        field=field,
        band=band,
        mjd=round(mjd, 6),
        exptime=exptime,
        ra=round(float((ra + east / np.cos(np.radians(dec))) % 360.0), 7),
        dec=round(dec + float(north), 7),
        roll_deg=(roll + float(rng.normal(0.0, 0.3))) % 360.0,
        zeropoint=round(_ZEROPOINT_PER_S[band] + 2.5 * float(np.log10(exptime)) - clouds, 4),
        sky_level=round(_SKY_PER_S[band] * exptime * float(rng.uniform(0.9, 1.3)), 2),
        psf_sigma_pix=round(float(rng.uniform(1.05, 1.5)), 4),
    )


def _plan_images(folder: Path, exposures: Iterator[Exposure]) -> Iterator[ImageTruth]:
    """Give each detector of each exposure its file and HDU."""
    for exposure in exposures:
        for sca in (1, 2):
            together = exposure.field == "deep"
            stem = f"{exposure.observation_id}_{exposure.band}"
            name = f"{stem}.fits" if together else f"{stem}_d{sca}{_suffix(exposure)}"
            yield ImageTruth(
                path=folder / name,
                hdu=1 + 3 * (sca - 1) if together else 1,
                sca=sca,
                width=WIDTH,
                height=HEIGHT,
                exposure=exposure,
                wcs_text=make_wcs_header(exposure, sca).tostring(sep="\n", endcard=False, padding=False),
            )


def _suffix(exposure: Exposure) -> str:
    """Name the container: every third i exposure is tile-compressed, every fifth g gzipped."""
    if exposure.band == "i":
        return ".fits.fz" if exposure.number % 3 == 0 else ".fits"
    return ".fits.gz" if exposure.band == "g" and exposure.number % 5 == 0 else ".fits"


def _write_files(survey: Survey, missing: Sequence[Path]) -> None:
    """Render and write the files that are not there."""
    from snapdb.testing.files import write_broken, write_images
    from snapdb.testing.rendering import expose, render_sources

    for name in ("images", "broken"):
        (survey.folder / name).mkdir(parents=True, exist_ok=True)
    wanted = set(missing)
    for path, group in groupby(survey.images, key=lambda image: image.path):
        if path not in wanted:
            continue
        planes = [
            (image, expose(render_sources(image, survey.sources), image, seed=survey.seed)) for image in group
        ]
        write_images(path, planes)
    if wanted.intersection(survey.bad_files):
        plain = next(p for p in survey.files if p.suffix == ".fits")
        write_broken(survey.folder / "broken", plain)


def _read_truth(path: Path, spec: dict[str, int]) -> dict[str, int]:
    """Read the sizes of the files of an earlier run, {} when there was none."""
    if not path.exists():
        return {}
    known = json.loads(path.read_text(encoding="utf-8"))
    if known["spec"] != spec:
        msg = (
            f"{path.parent} holds a survey made from {known['spec']}, asked for {spec}; "
            "choose another folder, or remove that one"
        )
        raise UsageError(msg, folder=str(path.parent), found=known["spec"], expected=spec)
    return {str(name): int(size) for name, size in known["sizes"].items()}


def _size(path: Path) -> int:
    """Bytes of a file, -1 when it is not there."""
    return path.stat().st_size if path.exists() else -1
