"""Maps on their way from the cache to an encoder: batches for training, and maps by rows and views for embedding.

In: a cache of frame maps (`hcl.extract.cache`), or several that `JoinedCaches` shows as one, and the backbone's weights
where a cache ends before layer 4.
Out: `CachedMaps`, a torch Dataset; `MapSource`, the maps that an encoder takes; `BatchPrefetcher`, class-balanced
batches put together ahead of the steps that use them.
"""
