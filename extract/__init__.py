"""Videos become frames, frames become frame maps, and frame maps stand in a cache: all that runs once per video.

In: a folder of class folders or a manifest, and the weights of a frozen network.
Out: a cache of frame maps (cache_schema.md), which `hcl.extract.cache.formats.open_cache` opens.
"""
