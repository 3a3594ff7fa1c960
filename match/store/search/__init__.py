"""Videos like a given one in an embedding store far larger than memory, and the near-duplicates that it holds.

In: an embedding store; a video's embeddings, or a row of the store.
Out: the most similar rows with the score of each level, found in two stages: all global embeddings propose a short
list, exactly or by an index on disk, and all levels are compared on it.
"""
