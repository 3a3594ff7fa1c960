"""Evaluation: episodes over an embedding store become accuracies with their intervals.

In: an open embedding store, how episodes are drawn or a list of them, and the method that scores them.
Out: the accuracy of every score, what was taken for what, and paired differences between runs over the same queries.
"""
