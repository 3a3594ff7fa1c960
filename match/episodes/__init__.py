"""Few-shot episodes: which videos are queries and supports, and how scores of their pairs become scores of classes.

In: the labels, groups and splits of videos, and how many classes, supports and queries an episode has.
Out: episodes as row numbers, drawn from a seed or read from a list that other systems share; and scores of classes.
"""
