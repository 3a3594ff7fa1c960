"""The encoders: from the frame maps of videos to embeddings, one network a method.

In: maps (B, T, P, C) of a cache; those of layer 3 go through a layer 4 that the encoder owns.
Out: `Embeddings` on three levels for HCL, named arrays for the baselines; untrained stand-ins give the same.
"""
