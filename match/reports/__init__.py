"""Evaluations and comparisons for a person: tables in GitHub's Markdown, and pictures.

In: an evaluation or a comparison.
Out: text, and the files that the user named: Markdown, JSON, episodes and PNG pictures.
"""
