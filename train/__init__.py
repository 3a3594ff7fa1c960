"""Train an encoder on the base videos of a cache of frame maps, by HCL or a baseline, embed videos by it, and study by
cross-validation what methods, losses and settings bring. In: a cache of frame maps, with splits and class texts. Out: a
run, the folder of a trained encoder with its metrics and the embedding store of its val and novel videos.
"""
