"""The numbers and texts of the drawings. The page embeds them, and report.js has no copies of its own."""

MARGIN = 0.045
"""Places farther outside the image than this fraction of its side are drawn at this distance."""

BULGE = 0.95
"""Largest bulge of an arc, as a fraction of its length."""

DOT = "h.001"
"""Path data of a dot: a line so short that only its round caps are visible."""

DIGITS = 3
"""Decimals of coordinates."""

BAR_START = 0.08
"""Distance between a bar and the border of its token, in tokens."""

BAR_WIDTH = 0.84
"""Width of a bar in tokens."""

MIN_BAR = 0.002
"""Shortest bar that is drawn, as a fraction of the longest."""

MIN_BAR_SCALE = 1e-6
"""Smallest share that the longest bar stands for; avoids a division by zero."""

OFFSET_CODES = 127
"""Largest code of an offset, see ``Field.packed``."""

NAN_CODE = -128
"""Code of an offset that is not a number."""

BRANCHES = 3
"""Branches of the fusion. An arc is as many times as wide as with equal weights as its weight exceeds these."""

HEAT_LEVELS = 12
"""Number of opacities of a heat map."""

MIN_LINK = 0.002
"""Smallest amount of content that is drawn as a link from token to token."""

MAX_LINKS = 12
"""Maximum number of links of a block."""

SAVE_TIME = 60_000
"""Milliseconds after which the page forgets a file that it saved."""

TELL_TIME = 500
"""Milliseconds between the messages in which a page within another one tells its height."""

SINGLE_TOKEN = "This stage has a single token, so there is no other token to read."
READOUT = "Token in row {row} of {rows}, column {column} of {columns}: {places}."
NONE_OUTSIDE = "none of its places is outside"
SOME_OUTSIDE = "{outside} of its {total} places are outside"
READ_BY = "{count} tokens read it, and the one that reads most takes {most} of what it mixes from here"
ORIGIN = "half of its content came from {half} of {patches} patches of pixels, and {outside} from outside the picture"
NO_ORIGIN = "this layer is not one of the backbone's blocks, so that its content is not followed"

DRAWING: dict[str, float | str] = {
    "margin": MARGIN,
    "bulge": BULGE,
    "dot": DOT,
    "digits": DIGITS,
    "barStart": BAR_START,
    "barWidth": BAR_WIDTH,
    "minBar": MIN_BAR,
    "minBarScale": MIN_BAR_SCALE,
    "offsetCodes": OFFSET_CODES,
    "nanCode": NAN_CODE,
    "branches": BRANCHES,
    "heatLevels": HEAT_LEVELS,
    "minLink": MIN_LINK,
    "maxLinks": MAX_LINKS,
    "saveTime": SAVE_TIME,
    "tellTime": TELL_TIME,
    "singleToken": SINGLE_TOKEN,
    "readout": READOUT,
    "noneOutside": NONE_OUTSIDE,
    "someOutside": SOME_OUTSIDE,
    "readBy": READ_BY,
    "origin": ORIGIN,
    "noOrigin": NO_ORIGIN,
}
"""All of the above by their names in report.js."""
