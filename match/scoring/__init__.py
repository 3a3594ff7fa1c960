"""The definition of HCL's scores, Eq. 2 to 6, with gradients: what training learns and evaluation computes.

In: embeddings of query and support videos on three levels (`hcl.match.embeddings.Embeddings`).
Out: global, temporal and spatial scores of every query with every support; higher is better.
"""
