"""Adapting a run to one's own classes, and the test by left-out clips whether that pays.

In: a run and a few labelled clips of each class.
Out: the folder of another run, and what both and no training recognise of clips that are left out.
"""
