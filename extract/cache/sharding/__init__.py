"""Many chunks in one file, Zarr's shards: read one by one, written whole by one writer.

In: the MapRecords of the videos of a shard, in any order.
Out: the files of the shard, each replaced atomically, and a FinishedVideo per record; or one chunk of such a file.
"""
