"""The explorer: a local page on which a person looks at a model's maps."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vis.explorer.opening import explore

__all__ = ["explore"]


if not TYPE_CHECKING:  # the page answers before Keras is imported

    def __getattr__(name: str) -> object:
        if name == "explore":
            from vis.explorer.opening import explore

            return explore
        raise AttributeError(f"module 'vis.explorer' has no attribute {name!r}")
