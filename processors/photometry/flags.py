"""Names of the bits in the flags of a source."""

from __future__ import annotations

from enum import IntFlag


class SourceFlag(IntFlag):
    """What is odd about a source; the first eight bits are those of sep, the first four SExtractor's meaning."""

    BLENDED = 1  # one of several that were told apart
    EDGE = 2  # its outline is cut by the edge of the image
    OVERFLOW = 4  # its outline was too large for the buffers
    SINGULAR = 8  # too thin to have a shape
    APERTURE_EDGE = 16  # its aperture is cut by the edge of the image
    MASKED = 32  # hidden pixels in its aperture; their light was filled in with the mean of the others
    ALL_MASKED = 64  # nothing but hidden pixels in its aperture
    NO_FLUX = 128  # less than no light around it
    SATURATED = 256  # a saturated pixel within its outline
    COARSE_SHAPE = 512  # adaptive moments did not settle: centre and shape are those of the outline, without a FWHM
