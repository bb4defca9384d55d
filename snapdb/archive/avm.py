"""What a picture says of itself: Astronomy Visualization Metadata 1.2, in the XMP packet of its file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import numpy as np

from snapdb.types import FloatArray

if TYPE_CHECKING:
    from snapdb.archive.planar import PlanarImage

_FULL_PX = 1.0
"""Coordinates are called complete where the plain projection is nowhere further off."""
_HEAD = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:avm="http://www.communicatingastronomy.org/avm/1.0/" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/">'
)
_TAIL = '</rdf:Description></rdf:RDF></x:xmpmeta>\n<?xpacket end="r"?>'


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where the pixels of a picture lie: a gnomonic projection about one of them."""

    ra: float
    """Of the reference pixel, ICRS degrees."""
    dec: float
    x: float
    """Reference pixel, 0-based from the lower left."""
    y: float
    matrix: tuple[tuple[float, float], tuple[float, float]]
    """Degrees to the east and to the north for a step along x and along y: CD of FITS."""
    width: int
    height: int
    quality: str = "Full"
    """``Full``, or ``Position`` where distortions make the projection an approximation."""

    def resized(self, width: int, height: int) -> "Frame":
        """Give the frame of the same picture in other pixels."""
        fx, fy = width / self.width, height / self.height
        (a, b), (c, d) = self.matrix
        return Frame(
            ra=self.ra,
            dec=self.dec,
            x=(self.x + 0.5) * fx - 0.5,
            y=(self.y + 0.5) * fy - 0.5,
            matrix=((a / fx, b / fy), (c / fx, d / fy)),
            width=width,
            height=height,
            quality=self.quality,
        )


def find_frame(image: "PlanarImage") -> Frame | None:
    """Find the projection that fits an image best at its centre; None without coordinates.

    Parameters
    ----------
    image : Image
        With its pixels' own grid.
    """
    if not image.has_wcs:
        return None
    width, height = image.width, image.height
    x0, y0 = (width - 1) / 2, (height - 1) / 2
    ra0, dec0 = image.coord_center
    x = np.array([x0 - 0.5, x0 + 0.5, x0, x0, -0.5, width - 0.5, -0.5, width - 0.5])
    y = np.array([y0, y0, y0 - 0.5, y0 + 0.5, -0.5, -0.5, height - 0.5, height - 0.5])
    east, north = project(*image.pixel_to_world(x, y), ra0, dec0)
    matrix = np.array([[east[1] - east[0], east[3] - east[2]], [north[1] - north[0], north[3] - north[2]]])
    if not np.isfinite(matrix).all() or np.linalg.det(matrix) == 0.0:
        return None
    dx, dy = np.linalg.solve(matrix, np.array([east[4:], north[4:]]))
    off = np.hypot(dx + x0 - x[4:], dy + y0 - y[4:]).max()
    return Frame(
        ra=ra0,
        dec=dec0,
        x=x0,
        y=y0,
        matrix=((float(matrix[0, 0]), float(matrix[0, 1])), (float(matrix[1, 0]), float(matrix[1, 1]))),
        width=width,
        height=height,
        quality="Full" if off < _FULL_PX else "Position",
    )


def project(ra: Any, dec: Any, ra0: float, dec0: float) -> tuple[FloatArray, FloatArray]:
    """Project positions onto the plane that touches the sky at a point.

    Parameters
    ----------
    ra, dec : array
        ICRS degrees.
    ra0, dec0 : float
        Where the plane touches.

    Returns
    -------
    east, north : array
        Degrees (Calabretta & Greisen 2002, A&A 395, 1077, equations 2, 12, 13 and 54); NaN
        for positions 90 degrees away or more.
    """
    a, d, d0 = np.radians(np.asarray(ra) - ra0), np.radians(dec), np.radians(dec0)
    depth = np.sin(d) * np.sin(d0) + np.cos(d) * np.cos(d0) * np.cos(a)
    depth = np.where(depth > 0.0, depth, np.nan)
    east = np.cos(d) * np.sin(a) / depth
    north = (np.sin(d) * np.cos(d0) - np.cos(d) * np.sin(d0) * np.cos(a)) / depth
    return np.degrees(east), np.degrees(north)


def make_xmp(frame: Frame | None, tags: Mapping[str, str | Sequence[str] | None]) -> str:
    """Write an XMP packet.

    Parameters
    ----------
    frame : Frame or None
        Where the picture lies.
    tags : mapping
        Name of AVM without prefix -> text, or a list of texts; None is left out. ``Title`` is
        Dublin Core's.
    """
    known: dict[str, str | Sequence[str] | None] = {"MetadataVersion": "1.2", **tags}
    known |= _spatial(frame) if frame is not None else {}
    body = "".join(_element(name, value) for name, value in known.items() if value is not None)
    return f"{_HEAD}{body}{_TAIL}"


def make_texts(image: "PlanarImage", said: Mapping[str, str]) -> dict[str, str]:
    """Give what a picture's file says in text chunks, for programs and people that read those.

    Parameters
    ----------
    image : Image
        In the picture.
    said : mapping
        What else is said of it.

    Returns
    -------
    dict
        ``Title``, ``Software``, and ``snapdb:`` before id, parent_id, box (first column, first
        row, width and height in the parent), facts that are known, and ``snapdb:wcs``: the
        coordinates of the image's own pixels as FITS cards.
    """
    from importlib.metadata import version

    names = ("kind", "band", "mjd", "exptime", "zeropoint", "observation_id")
    known: dict[str, Any] = {name: image.fact(name) for name in names}
    known |= {"id": image.id, "file": image.filename, **said}
    cutout: Any = image
    if getattr(image, "parent", None) is not None:
        x0, y0 = cutout.origin
        known |= {"parent_id": cutout.parent_id, "box": f"{x0} {y0} {image.width} {image.height}"}
    header = image.wcs_header()
    known["wcs"] = None if header is None else header.tostring(sep="\n", endcard=False, padding=False)
    texts = {"Title": _title(image), "Software": f"snapdb {version('snapdb')}"}
    return texts | {f"snapdb:{name}": str(value) for name, value in known.items() if value is not None}


def make_tags(image: "PlanarImage") -> dict[str, str | Sequence[str] | None]:
    """Give the tags of Astronomy Visualization Metadata that an image's facts fill."""
    start = None if image.mjd is None else datetime(1858, 11, 17, tzinfo=UTC) + timedelta(days=image.mjd)
    return {
        "Title": _title(image),
        "Type": "Observation",
        "ID": None if image.id is None else str(image.id),
        "Spectral.Bandpass": None if image.band is None else [image.band],
        "Temporal.StartTime": None if start is None else [start.strftime("%Y-%m-%dT%H:%M:%S.%f")],
        "Temporal.IntegrationTime": None if image.exptime is None else [repr(image.exptime)],
    }


def _title(image: "PlanarImage") -> str:
    """Name an image without the folders that it lies in."""
    return image.label if image.id is not None or image.filename is None else image.filename


def _spatial(frame: Frame) -> dict[str, str | Sequence[str]]:
    """Give the tags of coordinates; a mirrored picture has a matrix, since a scale cannot say it."""
    (a, b), (c, d) = frame.matrix
    tags: dict[str, str | Sequence[str]] = {
        "Spatial.CoordinateFrame": "ICRS",
        "Spatial.ReferenceValue": [repr(frame.ra), repr(frame.dec)],
        "Spatial.ReferenceDimension": [str(frame.width), str(frame.height)],
        "Spatial.ReferencePixel": [repr(frame.x + 1.0), repr(frame.y + 1.0)],
        "Spatial.CoordsystemProjection": "TAN",
        "Spatial.Equinox": "2000.0",
        "Spatial.Quality": frame.quality,
    }
    if a * d - b * c < 0.0:
        tags["Spatial.Scale"] = [repr(-float(np.hypot(a, c))), repr(float(np.hypot(b, d)))]
        tags["Spatial.Rotation"] = repr(float(np.degrees(np.arctan2(-b, d))))
    else:
        tags["Spatial.CDMatrix"] = [repr(v) for v in (a, b, c, d)]
    return tags


def _element(name: str, value: str | Sequence[str]) -> str:
    """Write one tag."""
    if name == "Title":
        item = f'<rdf:li xml:lang="x-default">{escape(str(value))}</rdf:li>'
        return f"<dc:title><rdf:Alt>{item}</rdf:Alt></dc:title>"
    if isinstance(value, str):
        return f"<avm:{name}>{escape(value)}</avm:{name}>"
    items = "".join(f"<rdf:li>{escape(item)}</rdf:li>" for item in value)
    return f"<avm:{name}><rdf:Seq>{items}</rdf:Seq></avm:{name}>"
