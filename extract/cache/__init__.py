"""Frame maps are written to a store that survives any kill, read back whole or refused, and converted.

In: a MapRecord per video, with its maps and the state of its source.
Out: a FrameMapCache, in Zarr or HDF5: the maps of any row, and tables of videos, classes and settings.
"""
