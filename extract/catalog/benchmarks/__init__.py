"""The published few-shot benchmarks by name: their lists of videos, found on disk in whatever layout.

In: the name of a benchmark, its lists (shipped, or in a folder), and a folder that holds the set's videos.
Out: a Catalog with the published splits; a Coverage, which says what is missing of what was published.
"""
