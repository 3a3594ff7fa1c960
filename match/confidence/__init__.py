"""Confidence: scores of classes become probabilities, and a line below which a query is none of these classes.

In: scores of classes, and which class was right, or which queries were of no class of their episode.
Out: a temperature and a threshold, and how far both can be believed: calibration error, AUROC, rates of false answers.
"""
