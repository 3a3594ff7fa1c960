"""The training of an encoder: steps, epochs, validation and checkpoints; exact to the bit when a run resumes.

In: an encoder (`hcl.train.encoders`), batches of maps (`hcl.train.data`) and a TrainConfig.
Out: `Fitted`: the weights of the best epoch by validation, else of the last, and the records of all epochs.
"""
