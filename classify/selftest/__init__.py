"""The self-test of one's clips: what is recognised of each when it is left out, and which clips or classes to mend.

In: a support set, and the frames of its clips where their files are there.
Out: accuracies with intervals, confusions, suspicious clips, advice; as text, JSON and a page.
"""
