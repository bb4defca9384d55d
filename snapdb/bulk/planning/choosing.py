"""Which images serve which sources: the files that a catalogue names, or what an archive holds."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from snapdb.archive.flagging import bad_flags_of
from snapdb.bulk.planning.file_images import FileImages, ImageSet, check_channels
from snapdb.bulk.planning.plan import NO_IMAGE, Plan, Refusal, SourceBlock, make_plan
from snapdb.bulk.planning.recipe import Recipe
from snapdb.bulk.planning.sources import Channel, PlaneFile, get_wcs
from snapdb.bulk.planning.zeropoints import find_zeropoint_of, flux_factor
from snapdb.errors import ConfigError, NotFoundError, SnapdbError, UsageError
from snapdb.types import FloatArray, IntArray

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.bulk.catalogue.catalogue import Catalogue
    from snapdb.bulk.catalogue.piece import Piece
    from snapdb.model.image import ImageRecord


def plan_run(catalogue: "Catalogue", recipe: Recipe, archive: "Archive | None" = None) -> Plan:
    """Decide what a run does with a catalogue.

    Parameters
    ----------
    catalogue : Catalogue
        The sources; where it names files, these are cut.
    recipe : Recipe
        How stamps are made, and which images of an archive serve.
    archive : Archive, optional
        Where images are looked for when the catalogue names no files; of files that are
        registered in it, its zero points count.

    Returns
    -------
    Plan
        With every row of the catalogue either in it or among the refused.

    Raises
    ------
    UsageError
        If the catalogue names no files, and there is no archive; or names files, and there are criteria.
    """
    refused: list[Refusal] = []
    _check_criteria(catalogue, recipe)
    if catalogue.names_files:
        sets: Sequence[ImageSet] = FileImages(catalogue.filesets, recipe, archive)
        blocks: Iterator[SourceBlock] = (
            _to_block(piece, piece.fileset) for piece in _sound(catalogue, refused)
        )
    elif archive is None:
        msg = (
            f"catalogue {catalogue.name} has no column fits_file_paths, and there is no archive to find "
            "images in; add the column, or give an archive"
        )
        raise UsageError(msg, catalogue=catalogue.name)
    else:
        found = ArchiveImages(archive, recipe)
        sets, blocks = found.sets, found.blocks(_sound(catalogue, refused), refused)
    # Problems of the rows are found while blocks are taken, so that they are joined at the end.
    plan = make_plan(blocks, sets, recipe, rows=0)
    everyone = tuple(sorted((*plan.refused, *refused), key=lambda r: r.row))
    from dataclasses import replace

    return replace(plan, refused=everyone, rows=catalogue.row_count, image_sets=_usable(sets))


def _check_criteria(catalogue: "Catalogue", recipe: Recipe) -> None:
    """Refuse criteria that would have no say."""
    if catalogue.names_files and recipe.criteria:
        given = ", ".join(recipe.criteria)
        msg = (
            f"catalogue {catalogue.name} names its files in fits_file_paths, so that search criteria "
            f"({given}) choose nothing; leave them out, or drop the column to have images of the archive"
        )
        raise UsageError(msg, catalogue=catalogue.name, criteria=given)


def _usable(sets: Sequence[ImageSet]) -> tuple[tuple[Channel, ...], ...]:
    """Give the sets that can be used, an empty one in the place of each other."""
    return tuple(s if isinstance(s, tuple) else () for s in (sets[i] for i in range(len(sets))))


def _sound(catalogue: "Catalogue", refused: list[Refusal]) -> Iterator["Piece"]:
    """Give the catalogue's pieces, and note what is wrong with the other rows."""
    for piece in catalogue.pieces():
        by_row: dict[int, Refusal] = {}
        for problem in piece.problems:
            known = by_row.get(problem.row)
            text = problem.text if known is None else f"{known.text}; {problem.text}"
            code = str(problem.code) if known is None else known.code
            by_row[problem.row] = Refusal(row=problem.row, source_id=problem.source_id, code=code, text=text)
        refused.extend(by_row.values())
        if len(piece):
            yield piece


def _to_block(piece: "Piece", image_set: IntArray, index: IntArray | None = None) -> SourceBlock:
    """Give rows of a piece as the plan takes them."""
    block = SourceBlock(
        row=np.asarray(piece.row, np.int64),
        source_id=piece.source_id,
        ra=piece.ra,
        dec=piece.dec,
        pixels=piece.diameter_pixel,
        arcsec=piece.diameter_arcsec,
        image_set=np.asarray(piece.fileset, np.int64),
    )
    from dataclasses import replace

    return replace(block if index is None else block.take(index), image_set=np.asarray(image_set, np.int64))


class ArchiveImages:
    """The images of an archive that serve sources, by the recipe's rule.

    Parameters
    ----------
    archive : Archive
        Where to look.
    recipe : Recipe
        Criteria, and which of several images are taken.
    """

    def __init__(self, archive: "Archive", recipe: Recipe) -> None:
        self._archive = archive
        self._recipe = recipe
        self._bands = tuple(recipe.weights) if len(recipe.weights) > 1 else ()
        if self._bands and recipe.choose == "all":
            msg = "choose = 'all' with several channels: a stamp has one image of each; choose another rule"
            raise ConfigError(msg, choose=recipe.choose)
        self._images: dict[UUID, int] = {}
        self._channels: list[Channel | SnapdbError] = []
        self._records: list[ImageRecord] = []
        self._set_numbers: dict[tuple[int, ...], int] = {}
        self.sets: list[ImageSet] = []
        """Channels by the number that blocks give; grows while blocks are taken."""

    def blocks(self, pieces: Iterator["Piece"], refused: list[Refusal]) -> Iterator[SourceBlock]:
        """Give sources with their images, piece by piece.

        Parameters
        ----------
        pieces : iterator of Piece
            Of the catalogue.
        refused : list of Refusal
            Sources without an image are added to it.
        """
        for piece in pieces:
            rows, images = self._match(piece)
            rows, sets = self._choose(piece, rows, images)
            for place in np.setdiff1d(np.arange(len(piece)), rows).tolist():
                text = "no image of the archive that meets the criteria contains the position"
                if self._bands:
                    text += f", one of each of {', '.join(self._bands)}"
                refused.append(
                    Refusal(
                        row=int(piece.row[place]),
                        source_id=str(piece.source_id[place]),
                        code=NO_IMAGE,
                        text=text,
                    )
                )
            if len(rows):
                yield _to_block(piece, sets, rows)

    def _match(self, piece: "Piece") -> tuple[IntArray, IntArray]:
        """Find the pairs of a source and an image that contains it."""
        result = self._archive.match((piece.ra, piece.dec), on_error="skip", **dict(self._recipe.criteria))
        rows: list[IntArray] = []
        ids: list[Any] = []
        for block in result.iter_blocks():
            rows.append(block.row)
            ids.append(np.ascontiguousarray(block.images.ids[block.image]).view("V16")[:, 0])
        if not rows:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        found, places = np.unique(np.concatenate(ids), return_inverse=True)
        numbers = self._add_images([UUID(bytes=one.tobytes()) for one in found])
        return np.concatenate(rows).astype(np.int64), numbers[places]

    def _add_images(self, ids: Sequence[UUID]) -> IntArray:
        """Give images numbers, and look at those that are new."""
        new = [one for one in ids if one not in self._images]
        planes = self._archive.registry.get_planes(new) if new else {}
        for one in new:
            record = self._archive.registry.get_image(one)
            self._images[one] = len(self._channels)
            self._records.append(record)
            try:
                self._channels.append(make_channel(record, planes.get(one, ()), self._archive, self._recipe))
            except SnapdbError as err:
                self._channels.append(err)
        return np.array([self._images[one] for one in ids], np.int64)

    def _choose(self, piece: "Piece", rows: IntArray, images: IntArray) -> tuple[IntArray, IntArray]:
        """Choose the images of each source, and number the sets of them."""
        keep = np.array([self._records[i].kind != "cutout" for i in images.tolist()], np.bool_)
        rows, images = rows[keep], images[keep]
        rank = self._rank(piece, rows, images)
        if not self._bands:
            order = np.lexsort((rank, rows))
            rows, images = rows[order], images[order]
            if self._recipe.choose != "all":
                rows, first = np.unique(rows, return_index=True)
                images = images[first]
            return rows, self._number(images[:, None])
        chosen = [self._best_of(band, rows, images, rank) for band in self._bands]
        common = chosen[0][0]
        for own, _ in chosen[1:]:
            common = np.intersect1d(common, own)
        columns = [own_images[np.searchsorted(own, common)] for own, own_images in chosen]
        return common, self._number(np.stack(columns, axis=1))

    def _best_of(
        self, band: str, rows: IntArray, images: IntArray, rank: FloatArray
    ) -> tuple[IntArray, IntArray]:
        """Give the best image of one band of each source that has one."""
        is_band = [_same_band(self._records[i].band, band) for i in range(len(self._records))]
        keep = np.array(is_band, np.bool_)[images] if len(images) else np.empty(0, np.bool_)
        rows, images, rank = rows[keep], images[keep], rank[keep]
        order = np.lexsort((rank, rows))
        rows, first = np.unique(rows[order], return_index=True)
        return rows, images[order][first]

    def _rank(self, piece: "Piece", rows: IntArray, images: IntArray) -> FloatArray:
        """Give each pair its place by the rule, the best the least; ties go by time, then by id."""
        early = sorted(
            set(images.tolist()), key=lambda i: (_or_last(self._records[i].mjd), self._records[i].id)
        )
        place = np.zeros(len(self._records))
        place[early] = np.arange(len(early))
        own = place[images]
        if self._recipe.choose == "deepest":
            depth = np.array([r.exptime or 0.0 for r in self._records])[images]
            own = _place_of(np.lexsort((own, -depth)))
        elif self._recipe.choose == "best_centred":
            own = _place_of(np.lexsort((own, -self._margins(piece, rows, images))))
        return own

    def _margins(self, piece: "Piece", rows: IntArray, images: IntArray) -> FloatArray:
        """Give the distance of each source from its image's nearest edge, arcseconds, to a hundredth."""
        margin = np.zeros(len(rows))
        for number in np.unique(images).tolist():
            channel = self._channels[number]
            if not isinstance(channel, Channel):
                continue
            own = np.flatnonzero(images == number)
            x, y = get_wcs(channel).world_to_pixel(piece.ra[rows[own]], piece.dec[rows[own]])
            width, height = channel.size
            nearest = np.minimum(np.minimum(x, width - 1 - x), np.minimum(y, height - 1 - y))
            margin[own] = np.round(np.nan_to_num(nearest, nan=-1.0) * channel.scale_arcsec, 2)
        return margin

    def _number(self, sets: IntArray) -> IntArray:
        """Give the sets of images numbers, one a source."""
        if not len(sets):
            return np.empty(0, np.int64)
        unique, places = np.unique(sets, axis=0, return_inverse=True)
        numbers = []
        for images in map(tuple, unique.tolist()):
            if images not in self._set_numbers:
                self._set_numbers[images] = len(self.sets)
                self.sets.append(self._make_set(images))
            numbers.append(self._set_numbers[images])
        return np.array(numbers, np.int64)[places.ravel()]

    def _make_set(self, images: tuple[int, ...]) -> ImageSet:
        """Join the channels of a source."""
        channels: list[Channel] = []
        for number in images:
            channel = self._channels[number]
            if not isinstance(channel, Channel):
                return channel
            channels.append(channel)
        try:
            return check_channels(tuple(channels), self._recipe)
        except SnapdbError as err:
            return err


def make_channel(record: "ImageRecord", planes: Sequence[Any], archive: "Archive", recipe: Recipe) -> Channel:
    """Give a registered image as stamps are cut from it.

    Parameters
    ----------
    record : ImageRecord
        The image.
    planes : sequence of PlaneRecord
        Its planes.
    archive : Archive
        That it is in.
    recipe : Recipe
        Which planes, and whether flux is converted.

    Raises
    ------
    NotFoundError
        If it has no data plane.
    MissingKeywordError
        If flux shall be converted and it has no zero point.
    """
    from snapdb.model.url import is_url

    files = {}
    for plane in planes:
        path = plane.file_key if is_url(plane.file_key) else str(archive.store.path_of(plane.file_key))
        files[plane.layout.name] = PlaneFile(
            path=path, layout=plane.layout, record=plane, store=str(archive.store.base)
        )
    if "data" not in files:
        msg = f"image {record.id} has no data plane"
        raise NotFoundError(msg, image_id=record.id)
    data = files["data"]
    known = find_zeropoint_of(record, data.path, data.layout.hdu, recipe)
    return Channel(
        label=record.band or record.filepath.rsplit("/", 1)[-1].split(".fits")[0],
        data=data,
        wcs_text=record.wcs_header,
        has_tables=bool(record.properties.get("wcs_needs_file")),
        scale_arcsec=record.pixel_scale or 1.0,
        factor=flux_factor(known, recipe, f"image {record.id} ({record.filepath})"),
        zeropoint=known,
        image_id=str(record.id),
        planes={name: files[name] for name in recipe.planes if name in files},
        bad_bits=record.bad_bits,
        bad=bad_flags_of(record),
        flag_bits=dict(record.flag_bits),
    )


def _same_band(band: str | None, wanted: str) -> bool:
    """Say whether a band is the one that a channel's name means."""
    plain = (band or "").upper().replace("-", "_")
    return bool(plain) and f"_{plain}_" in f"_{wanted.upper().replace('-', '_')}_"


def _or_last(mjd: float | None) -> float:
    return np.inf if mjd is None else mjd


def _place_of(order: IntArray) -> FloatArray:
    """Turn an order into each one's place in it."""
    place = np.empty(len(order))
    place[order] = np.arange(len(order))
    return place
