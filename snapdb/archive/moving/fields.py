"""The mandatory columns of ObsCore 1.1, by table 1 and appendix C.2 of REC-ObsCore-v1.1-20170509."""

from typing import Literal, NamedTuple


class Column(NamedTuple):
    """One column, as appendix C.2 of the standard describes it."""

    name: str
    type: Literal["text", "int", "long", "double"]
    unit: str | None
    utype: str
    """Without its prefix ``obscore:``."""
    ucd: str
    description: str
    nullable: bool = True
    xtype: str | None = None
    """What a text is, for VOTable."""


_SPACE, _TIME, _SPECTRUM = "Char.SpatialAxis.", "Char.TimeAxis.", "Char.SpectralAxis."
_PLACE = _SPACE + "Coverage.Location.Coord.Position2D.Value2."

COLUMNS: tuple[Column, ...] = (
    Column(
        "dataproduct_type",
        "text",
        None,
        "ObsDataset.dataProductType",
        "meta.code.class",
        "Logical data product type",
    ),
    Column(
        "calib_level",
        "int",
        None,
        "ObsDataset.calibLevel",
        "meta.code;obs.calib",
        "Calibration level, 0 to 4",
        nullable=False,
    ),
    Column(
        "obs_collection",
        "text",
        None,
        "DataID.collection",
        "meta.id",
        "Name of the data collection",
        nullable=False,
    ),
    Column("obs_id", "text", None, "DataID.observationID", "meta.id", "Observation ID", nullable=False),
    Column(
        "obs_publisher_did",
        "text",
        None,
        "Curation.publisherDID",
        "meta.ref.ivoid",
        "Dataset identifier given by the publisher",
        nullable=False,
    ),
    Column("access_url", "text", None, "Access.reference", "meta.ref.url", "URL of the file"),
    Column("access_format", "text", None, "Access.format", "meta.code.mime", "File format, a MIME type"),
    Column("access_estsize", "long", "kbyte", "Access.size", "phys.size;meta.file", "Size of the file"),
    Column("target_name", "text", None, "Target.name", "meta.id;src", "Object observed, if any"),
    Column("s_ra", "double", "deg", _PLACE + "C1", "pos.eq.ra", "Central right ascension, ICRS"),
    Column("s_dec", "double", "deg", _PLACE + "C2", "pos.eq.dec", "Central declination, ICRS"),
    Column(
        "s_fov",
        "double",
        "deg",
        _SPACE + "Coverage.Bounds.Extent.diameter",
        "phys.angSize;instr.fov",
        "Diameter of the covered region",
    ),
    Column(
        "s_region",
        "text",
        None,
        _SPACE + "Coverage.Support.Area",
        "pos.outline;obs.field",
        "Region covered, STC-S in ICRS",
        xtype="adql:REGION",
    ),
    Column("s_xel1", "long", None, _SPACE + "numBins1", "meta.number", "Pixels along x"),
    Column("s_xel2", "long", None, _SPACE + "numBins2", "meta.number", "Pixels along y"),
    Column(
        "s_resolution",
        "double",
        "arcsec",
        _SPACE + "Resolution.Refval.value",
        "pos.angResolution",
        "Spatial resolution, FWHM",
    ),
    Column(
        "t_min",
        "double",
        "d",
        _TIME + "Coverage.Bounds.Limits.StartTime",
        "time.start;obs.exposure",
        "Start, MJD UTC",
    ),
    Column(
        "t_max",
        "double",
        "d",
        _TIME + "Coverage.Bounds.Limits.StopTime",
        "time.end;obs.exposure",
        "End, MJD UTC",
    ),
    Column(
        "t_exptime",
        "double",
        "s",
        _TIME + "Coverage.Support.Extent",
        "time.duration;obs.exposure",
        "Total exposure time",
    ),
    Column(
        "t_resolution",
        "double",
        "s",
        _TIME + "Resolution.Refval.value",
        "time.resolution",
        "Temporal resolution",
    ),
    Column("t_xel", "long", None, _TIME + "numBins", "meta.number", "Elements along time"),
    Column(
        "em_min",
        "double",
        "m",
        _SPECTRUM + "Coverage.Bounds.Limits.LoLimit",
        "em.wl;stat.min",
        "Shortest wavelength, in vacuum",
    ),
    Column(
        "em_max",
        "double",
        "m",
        _SPECTRUM + "Coverage.Bounds.Limits.HiLimit",
        "em.wl;stat.max",
        "Longest wavelength, in vacuum",
    ),
    Column(
        "em_res_power",
        "double",
        None,
        _SPECTRUM + "Resolution.ResolPower.refVal",
        "spect.resolution",
        "Resolving power",
    ),
    Column("em_xel", "long", None, _SPECTRUM + "numBins", "meta.number", "Elements along wavelength"),
    Column("o_ucd", "text", None, "Char.ObservableAxis.ucd", "meta.ucd", "UCD of the pixels"),
    Column(
        "pol_states",
        "text",
        None,
        "Char.PolarizationAxis.stateList",
        "meta.code;phys.polarization",
        "Polarization states, if observed",
    ),
    Column(
        "pol_xel",
        "long",
        None,
        "Char.PolarizationAxis.numBins",
        "meta.number",
        "Number of polarization states",
    ),
    Column(
        "facility_name",
        "text",
        None,
        "Provenance.ObsConfig.Facility.name",
        "meta.id;instr.tel",
        "Name of the facility",
    ),
    Column(
        "instrument_name",
        "text",
        None,
        "Provenance.ObsConfig.Instrument.name",
        "meta.id;instr",
        "Name of the instrument",
    ),
)
"""The mandatory columns, in the order of table 1 of the standard."""
