"""Methods that compare videos frame by frame, or by tuples of frames.

In: embeddings (..., T, D) of the frames of every query and support video of an episode, or of their tuples.
Out: scores of its classes, by alignment, set matching, attention or a recurrent comparison.
"""
