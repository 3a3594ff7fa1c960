"""A person's search of an archive: queries are videos of any kind or of the archive itself, answers are ranked videos.

In: an embedding store or a run, and queries: files, folders, frames, or what the store calls its videos.
Out: for each query the most similar stored videos with the score of each level; or the near-duplicates of the archive.
"""
