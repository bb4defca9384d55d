"""World coordinates of cutouts as cards, without building them."""

import re

from snapdb.pixels.box import Box

CARD_LENGTH = 80
_NUMBER = re.compile(r"(CRPIX|NAXIS)([12]) *= *([^/]+?) *(?:/.*)?")


def move_cards(text: str, box: Box) -> str:
    """Give the cards of a cutout of an image: its reference pixel is moved, its size its own.

    That is exact for tangent projections, with or without SIP or TPV polynomials, and for
    nothing that has lookup tables or plate polynomials.

    Parameters
    ----------
    text : str
        Cards of the image, with newlines between them.
    box : Box
        The cutout, in the image's pixels.

    Returns
    -------
    str
        Cards of 80 characters, with newlines between them.
    """
    sizes, moves = {"1": box.width, "2": box.height}, {"1": box.x0, "2": box.y0}
    cards: list[str] = []
    for card in text.split("\n"):
        match = _NUMBER.fullmatch(card.rstrip())
        if card.rstrip() == "END":
            break
        if match is None:
            cards.append(card.rstrip().ljust(CARD_LENGTH))
        elif match[1] == "NAXIS":
            cards.append(_make_card(match[1] + match[2], sizes[match[2]]))
        else:
            value = float(match[3].replace("D", "E").replace("d", "e"))
            cards.append(_make_card(match[1] + match[2], value - moves.pop(match[2])))
    cards += [_make_card(f"CRPIX{axis}", 0.0 - by) for axis, by in moves.items()]
    return "\n".join(cards)


def _make_card(name: str, value: float) -> str:
    """Write a number's card."""
    return f"{name:8}= {value!r:>20}".ljust(CARD_LENGTH)
