"""Pages that a browser shows: one file each, whole without the network, that a person can send to another.

In: a run or an embedding store, how its episodes are drawn, and the videos where they are still there.
Out: a page of HTML with its style, script, drawings and pictures inside.
"""
