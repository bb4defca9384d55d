"""The channels of the files that a catalogue names, each file looked at once."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from snapdb.bulk.planning.recipe import Recipe
from snapdb.bulk.planning.selecting import select_channels
from snapdb.bulk.planning.sources import Channel, read_channels
from snapdb.bulk.planning.weights import channel_weights
from snapdb.errors import SnapdbError

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive

ImageSet = tuple[Channel, ...] | SnapdbError
"""The channels of a source, or why there are none."""


class FileImages(Sequence[ImageSet]):
    """The channels of a catalogue's lists of files, each looked at when it is first asked for.

    Parameters
    ----------
    filesets : list of tuple of str
        The lists; it may grow.
    recipe : Recipe
        Which channels.
    archive : Archive, optional
        That files may be registered in.
    """

    def __init__(
        self, filesets: Sequence[tuple[str, ...]], recipe: Recipe, archive: "Archive | None" = None
    ) -> None:
        self._filesets = filesets
        self._recipe = recipe
        self._book = ImageBook(recipe, archive)
        self._known: dict[int, ImageSet] = {}

    def __len__(self) -> int:
        return len(self._filesets)

    def __getitem__(self, index: Any) -> Any:
        if index not in self._known:
            self._known[index] = self._look(self._filesets[index])
        return self._known[index]

    def _look(self, paths: Sequence[str]) -> ImageSet:
        try:
            channels = self._book.channels_of(paths)
            return check_channels(channels, self._recipe)
        except SnapdbError as err:
            return err


def check_channels(channels: tuple[Channel, ...], recipe: Recipe) -> tuple[Channel, ...]:
    """See that channels and their weights go together, before anything is cut.

    Parameters
    ----------
    channels : tuple of Channel
        Of one source.
    recipe : Recipe
        With the weights.

    Raises
    ------
    UsageError, ConfigError
        If they do not.
    """
    if not recipe.raw:
        channel_weights(recipe, channels)
    return channels


class ImageBook:
    """What is known of files, each looked at once, and the channels of sets of them.

    Parameters
    ----------
    recipe : Recipe
        Of the run.
    archive : Archive, optional
        Whose zero points count where a file is registered.
    """

    def __init__(self, recipe: Recipe, archive: "Archive | None" = None) -> None:
        self._recipe = recipe
        self._archive = archive
        self._files: dict[str, tuple[Channel, ...] | SnapdbError] = {}

    def channels_of(self, paths: Sequence[str]) -> tuple[Channel, ...]:
        """Give the channels of a set of files, in their order.

        Parameters
        ----------
        paths : sequence of str
            One file a band.

        Raises
        ------
        SnapdbError
            The error of the first file that cannot be used.
        """
        found: list[Channel] = []
        for path in paths:
            known = self._files.get(path)
            if known is None:
                known = self._files[path] = self._read(path)
            if isinstance(known, SnapdbError):
                raise known
            found.extend(known)
        return tuple(select_channels(found, self._recipe.selected))

    def _read(self, path: str) -> tuple[Channel, ...] | SnapdbError:
        try:
            return read_channels(path, self._recipe, self._archive)
        except SnapdbError as err:
            return err
