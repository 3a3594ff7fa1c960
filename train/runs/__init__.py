"""Training runs: planned, trained, embedded, kept in folders, loaded and described.

In: a cache of frame maps or several, the settings of a training, and a file of splits if the caches' are not wanted.
Out: the folder of a run (config.json, encoder.safetensors, metrics.jsonl, checkpoint.pt, embeddings.zarr, or
embeddings/SET.zarr of several caches; without val classes also choice/, a run within it that held base classes out),
and embedding stores of further caches.
"""
