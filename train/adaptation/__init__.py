"""Adaptation: the encoder of a run learns further classes, those of a few labelled clips.

In: a run, the cache that it was trained on where it is still there, and a cache of the clips.
Out: the folder of another run, that was trained on the base classes and on those of the clips.
"""
