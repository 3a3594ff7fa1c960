"""How the methods beside HCL recognise a query: one file a method, with its scores, its arrays and its head.

In: named arrays of query and support videos, from an embedding store or from a training batch.
Out: scores of classes, higher is better; and the part of the encoder that makes these arrays of frame embeddings.
`registry.find_method` finds the shipped methods and those of other packages. `video` has those that know one embedding
of a video, `frames` those that compare frames, tuples of frames or patches.
"""
