"""Work on many machines by Ray: extraction shard by shard, and lists of tasks for the stages that follow.

In: a ClusterConfig that says which cluster, and the work: the shards of a cache, or a function and its tasks.
Out: the same bytes as on one machine; a worker, a node or the driver that dies costs what was in flight.
"""
