"""The support set: a few labelled videos of each class, kept as embeddings so that no video of it is read again.

In: a folder of class folders, a manifest or videos with labels, and what embeds them.
Out: a support set in memory, and in a folder of an open format (cache_schema.md) that is written atomically.
"""
