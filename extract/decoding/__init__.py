"""Worker processes read videos ahead of the backbone; one that crashes, hangs or swells costs its video alone.

In: (row, path) of each video, and a DecodeTask.
Out: per video, in order, the images of its views (Decoded) or the reason why there are none (Failed).
"""
