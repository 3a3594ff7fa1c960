"""Cross-validate over the classes of a cache and repeat the paper's tables, its ablations on folds and its methods on
published splits or across sets; each run is trained with each seed and evaluated. In: a cache and settings of the
training. Out: accuracies and paired differences over folds and seeds, with intervals, as values, plain types, tables or
text; the runs stay in a folder.
"""
