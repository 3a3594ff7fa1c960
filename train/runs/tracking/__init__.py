"""The record of a training: a bar, a line an epoch, metrics.jsonl, and curves for TensorBoard, W&B or MLflow.

In: the records of steps and epochs as `hcl.train.fitting` hands them out.
Out: files in the run's folder, or values in the run of a tracker; nothing is written twice when a run resumes.
"""
