"""A fact of an image as an attribute: None when unknown, looked up when first asked for."""

from typing import TYPE_CHECKING, Generic, Self, TypeVar, overload

if TYPE_CHECKING:
    from snapdb.archive.described import DescribedImage

T = TypeVar("T")


class Fact(Generic[T]):
    """An attribute that is served from what the image knows; setting it changes memory only.

    Parameters
    ----------
    doc : str
        What it is, with unit and frame.
    """

    def __init__(self, doc: str) -> None:
        self.__doc__ = doc
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, image: None, owner: type) -> Self: ...
    @overload
    def __get__(self, image: "DescribedImage", owner: type) -> T: ...
    def __get__(self, image: "DescribedImage | None", owner: type) -> "T | Self":
        if image is None:
            return self
        value: T = image.fact(self.name)
        return value

    def __set__(self, image: "DescribedImage", value: T) -> None:
        image.set_fact(self.name, value)
