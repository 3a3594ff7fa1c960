"""From stored embeddings to accuracies: pairs of videos are scored, episodes are drawn, and reports are written.

In: embeddings of videos, from an encoder or from a store, and the method that scores them.
Out: scores of videos and of classes, evaluations with their intervals, comparisons of runs, and reports.
"""
