"""What can go wrong while an image is built; each text says what to do."""

from __future__ import annotations

from ahc_agent.errors import AhcError, UsageError


class BuildError(AhcError):
    """The image cannot be made from what is there."""


class ImageIncomplete(BuildError):
    """Something that is in the image needs something that is not."""


class RecipeError(UsageError):
    """An option asks for something that does not exist."""
