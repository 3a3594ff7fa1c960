"""Spotting: where in a long video are the actions of a support set, and where is none of them.

In: long videos, decoded once; a support set; how windows are weighed against each other.
Out: segments with class, start, end, score and probability, as a table, CSV, subtitles or tasks for Label Studio.
"""
