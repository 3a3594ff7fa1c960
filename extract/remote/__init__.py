"""Places in a bucket: how a URL is reached, read, written by one writer at a time, and streamed to this machine.

In: a URL such as s3://bucket/cache.zarr, and the usual environment variables and profiles for credentials.
Out: a RemotePath, which stores, runs and videos are read from and written to as they are in a local folder.
"""
