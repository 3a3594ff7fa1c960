"""The quick way to score long lists of video pairs by HCL: int8 products propose patches, float32 ranks them.

In: the embeddings of all videos and the pairs of a query and a support that are to be scored.
Out: global, temporal and spatial score of each pair, equal to those of `hcl.match.scoring` but for rounding.
"""
