"""Answers: queries are scored against a support set; scores become ranks, probabilities, or "none of these".

In: a support set, embeddings of queries, and how the run weighs its levels.
Out: for each query its ranked classes with the score of each level, and the supports that decided.
"""
