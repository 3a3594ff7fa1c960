"""A video file, or a folder of images, is read: exactly the frames that a view needs, and no others.

In: a path, and the numbers of the frames that are needed, as a function of how many the video shows.
Out: VideoFrames, upright RGB, the same bits as a full sequential decode; or a VideoError with the reason.
"""
