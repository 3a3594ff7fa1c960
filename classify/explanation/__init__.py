"""Explanation: two videos side by side, and what of them was matched with what.

In: a query, one support or a whole support set, and a run or nothing trained.
Out: one picture or page: the clip pairs and patch pairs that count with their scores, and the semantic attention.
"""
