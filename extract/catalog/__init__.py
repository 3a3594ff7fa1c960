"""Which videos there are, with their class, split and group; what was not taken for a video is named.

In: a folder of class folders, a CSV manifest, and files of class names and splits.
Out: a Catalog; the frames of a folder of images, in their order.
"""
