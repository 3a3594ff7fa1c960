"""Methods that compare videos by one embedding each.

In: an embedding (..., D) of every query and support video of an episode.
Out: scores of its classes, by prototypes, attention, a memory, or a classifier that learns the episode.
"""
