"""Trees as lines, and as JSON values in which everything stands once."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from snapdb.model.ancestry import Ancestry, Offspring
    from snapdb.model.image import ImageRecord
    from snapdb.model.provenance import Provenance

T = TypeVar("T")

_WIDTH = 60
"""Characters of parameters on a line."""


def draw_tree(
    first: T, below: Callable[[T], Iterable[T]], key: Callable[[T], object], write: Callable[[T], str]
) -> Iterator[str]:
    """Draw a tree as lines; a branch that was drawn is named again, with a mark, and not drawn twice.

    Parameters
    ----------
    first
        The top.
    below
        Gives what hangs below one.
    key
        Tells what is the same.
    write
        Writes one on a line.
    """
    seen = set()
    waiting = [(first, "", "")]
    while waiting:
        one, lead, indent = waiting.pop()
        children = list(below(one))
        again = key(one) in seen and bool(children)
        yield lead + write(one) + (" (see above)" if again else "")
        if again:
            continue
        seen.add(key(one))
        last = len(children) - 1
        for number in range(last, -1, -1):
            corner, line = ("└── ", "    ") if number == last else ("├── ", "│   ")
            waiting.append((children[number], indent + corner, indent + line))


def draw_ancestry(ancestry: "Ancestry") -> Iterator[str]:
    """Draw what an image was made from.

    Parameters
    ----------
    ancestry
        Of the image.
    """
    return draw_tree(ancestry, lambda one: one.inputs, lambda one: one.image.id, _image_line)


def draw_offspring(offspring: "Offspring") -> Iterator[str]:
    """Draw what was made from an image.

    Parameters
    ----------
    offspring
        Of the image.
    """
    return draw_tree(offspring, lambda one: one.products, lambda one: one.image.id, _image_line)


def one_line(one: "Provenance") -> str:
    """Write a provenance on one line.

    Parameters
    ----------
    one
        Which; of long parameters only the beginning is shown.
    """
    params = json.dumps(one.spec_dict()["params"], sort_keys=True, ensure_ascii=False)
    short = params if len(params) <= _WIDTH else f"{params[: _WIDTH - 3]}..."
    return f"{one.process} {one.major}.{one.minor} {'' if params == '{}' else short + ' '}{one.id}"


def _image_line(one: "Ancestry | Offspring") -> str:
    """Write an image and its provenance on one line."""
    image, made = one.image, one.provenance
    name = f"{image.kind} {image.filepath}[{image.hdu}] {image.id}"
    return f"{name}  by {made.process} {made.major}.{made.minor} {str(made.id)[:8]}"


def describe_ancestry(ancestry: "Ancestry") -> dict[str, Any]:
    """Give what an image was made from as JSON values: images and provenances by their ids.

    Parameters
    ----------
    ancestry
        Of the image.
    """
    nodes = list(ancestry.walk())
    images = [
        {**_describe_image(one.image), "inputs": [str(source.image.id) for source in one.inputs]}
        for one in nodes
    ]
    return _describe_graph(images, [one.provenance for one in nodes])


def describe_offspring(offspring: "Offspring") -> dict[str, Any]:
    """Give what was made from an image as JSON values: images and provenances by their ids.

    Parameters
    ----------
    offspring
        Of the image.
    """
    nodes = list(offspring.walk())
    images = [
        {**_describe_image(one.image), "products": [str(made.image.id) for made in one.products]}
        for one in nodes
    ]
    return _describe_graph(images, [one.provenance for one in nodes])


def _describe_image(image: "ImageRecord") -> dict[str, Any]:
    """Give what names an image, and its provenance, as JSON values."""
    return {
        "id": str(image.id),
        "kind": image.kind,
        "filepath": image.filepath,
        "hdu": image.hdu,
        "provenance_id": str(image.provenance_id),
    }


def _describe_graph(images: list[dict[str, Any]], made_by: "Iterable[Provenance]") -> dict[str, Any]:
    """Put images, and their provenances with everything upstream, side by side."""
    tops = {one.id: one for one in made_by}
    provenances = {one.id: one for top in tops.values() for one in top.walk()}
    return {
        "image": images[0]["id"],
        "images": images,
        "provenances": [{"id": str(one.id), **one.spec_dict()} for one in provenances.values()],
    }
