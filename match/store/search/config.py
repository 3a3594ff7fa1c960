"""What a search does; free of heavy imports."""

from __future__ import annotations

from dataclasses import dataclass

from hcl.extract.system.settings import ADVANCED, SPEED, check_settings, setting

AUTO, EXACT = "auto", "exact"
GRAPHS = ("f16", "i8")  # kinds of an index on disk: what a number of a vector is stored as
INDEXES = (AUTO, EXACT, *GRAPHS)
SHORT_LISTS = (200, 1000)  # shortest and longest, where none is asked for: nearly all of the best 20 are on it
VIDEOS_PER_LISTED = 1000
EXACT_VIDEOS = 1_000_000  # of which "auto" compares all; of more it asks the index on disk


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How the videos of a store are searched."""

    top: int = setting(20, "Videos listed for each query; with --pairs, pairs that are printed.", at_least=1)
    short_list: int = setting(
        0,
        "Videos that the global embeddings propose for each query; all levels are compared on these. 0: 200, of more"
        " than 200,000 videos a thousandth of them, 1000 at most.",
        at_least=0,
    )
    threshold: float = setting(
        0.9,
        "With --pairs: the least score of a pair, the mean over its levels; a copy has 1.",
        at_least=-1,
        at_most=1,
    )
    neighbours: int = setting(
        20, "With --pairs: the nearest videos of each one by global embeddings that it is compared with.", at_least=1
    )
    index: str = setting(
        AUTO,
        "How the first stage finds the nearest global embeddings: exact compares all of them; f16 and i8 ask an index"
        " on disk (extra search), made when it is first needed; auto: exact up to a million videos, f16 beyond.",
        group=SPEED,
        choices=INDEXES,
    )
    device: str = setting("auto", "auto, cpu or cuda.", group=SPEED)
    semantic_attention: bool = setting(
        False,
        "Weigh patches by the class text of the stored video (Eq. 5), as hcl evaluate does; a copy then has no spatial"
        " score of 1.",
        group=ADVANCED,
    )

    def __post_init__(self) -> None:
        check_settings(self)

    def short_list_for(self, videos: int) -> int:
        """The length of the short list in a store of some videos: a longer one holds the best of a larger archive."""
        shortest, longest = SHORT_LISTS
        return self.short_list or min(longest, max(shortest, videos // VIDEOS_PER_LISTED))

    def kind_for(self, videos: int) -> str:
        """The kind of index for a store of some videos: "exact", "f16" or "i8"."""
        if self.index != AUTO:
            return self.index
        return EXACT if videos <= EXACT_VIDEOS else GRAPHS[0]
