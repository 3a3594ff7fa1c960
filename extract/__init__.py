"""Videos to frames to frame maps to the cache: everything that runs once per video."""
