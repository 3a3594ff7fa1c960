"""From stored embeddings to accuracies: pairs of videos are scored, episodes are drawn, and reports are written.

In: embeddings of videos, from an encoder or from a store, and the method that scores them.
Out: scores of videos and of classes, evaluations with their intervals, comparisons of runs, and reports.

The package can also be called: `hcl.match(query, support)` is `hcl.match.scoring.scores.match`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hcl.match.embeddings import Embeddings
    from hcl.match.scoring.scores import Scores


class _Match(ModuleType):
    """A package that is the function of its name, too: importing a part of it binds `hcl.match` to the package."""

    def __call__(
        self,
        query: Embeddings,
        support: Embeddings,
        *,
        top_clips: int = 10,
        top_patches: int = 10,
        attention_scale: str = "mean_one",
        patch_selection: str = "similarity",
    ) -> Scores:
        """Score each query video against each support video; see `hcl.match.scoring.scores.match`."""
        from hcl.match.scoring.scores import match

        return match(
            query,
            support,
            top_clips=top_clips,
            top_patches=top_patches,
            attention_scale=attention_scale,
            patch_selection=patch_selection,
        )


sys.modules[__name__].__class__ = _Match
