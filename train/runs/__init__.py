"""Training runs: planned, trained, embedded, kept in folders, loaded and described.

In: a cache of frame maps, the settings of a training, and a file of splits if the cache's are not wanted.
Out: the folder of a run (config.json, encoder.safetensors, metrics.jsonl, checkpoint.pt, embeddings.zarr), and
embedding stores of further caches.
"""
