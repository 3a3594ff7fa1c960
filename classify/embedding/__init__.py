"""Videos to embeddings at once, without a cache: decoded, mapped and embedded as an extraction and a run would do it.

In: paths of videos or arrays of frames; a run, or the settings of an extraction where nothing was trained.
Out: the embeddings of each video, or the reason why it has none, one after the other in bounded memory.
"""
