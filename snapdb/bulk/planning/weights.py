"""Which weight each channel of a source has in each output channel."""

from collections.abc import Sequence

import numpy as np

from snapdb.bulk.planning.recipe import Recipe
from snapdb.bulk.planning.sources import Channel
from snapdb.errors import UsageError
from snapdb.types import FloatArray


def channel_weights(recipe: Recipe, channels: Sequence[Channel]) -> FloatArray:
    """Give the weights of a source's channels, shape (channels, outputs).

    Parameters
    ----------
    recipe : Recipe
        With the weights by name.
    channels : sequence of Channel
        In the order of the source's files.

    Raises
    ------
    UsageError
        If names and channels do not go together.
    """
    from snapdb.bulk.shape.mix import match_channel_weights

    return np.asarray(match_channel_weights(recipe.weights, [c.label for c in channels]), np.float64)


def name_outputs(recipe: Recipe, channels: Sequence[Channel]) -> list[str]:
    """Name the channels of a stamp: after the image that makes up one alone, else by number.

    Parameters
    ----------
    recipe : Recipe
        With the weights by name.
    channels : sequence of Channel
        As :func:`channel_weights` takes them; where they do not fit the weights, there is no stamp.
    """
    if recipe.raw:
        return [channel.label for channel in channels]
    try:
        weights = channel_weights(recipe, channels)
    except UsageError:
        return [f"channel_{number}" for number in range(recipe.outputs)]
    found: list[str] = []
    for number, column in enumerate(weights.T):
        used = np.flatnonzero(column).tolist()
        label = channels[used[0]].label if len(used) == 1 else f"channel_{number}"
        found.append(f"channel_{number}" if label in found else label)
    return found
