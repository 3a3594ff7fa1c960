"""An extraction is planned, forecast, run and summed up; one that was interrupted resumes.

In: a catalog of videos, an ExtractConfig, and a cache that may hold some of the videos already.
Out: the cache with all videos that can be read, and a Summary that names those that cannot.
"""
