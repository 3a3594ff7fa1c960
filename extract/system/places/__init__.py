"""Where stores are: a folder of this machine, or a place in a bucket that is used like one; and how each is opened.

In: a path, or a URL such as s3://bucket/cache.zarr, with the usual environment variables and profiles for credentials.
Out: a place that is read and written wherever it is, the Zarr groups in it, and the videos of a bucket on this machine.
"""
