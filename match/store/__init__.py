"""The embedding store: the arrays of every video and all that is known of it, in one Zarr group.

In: batches of embedded videos on their way from an encoder, or the name of a run whose store is looked for.
Out: an open store that gives the embeddings of any videos, and an identity that is the same for the same embeddings.
"""
