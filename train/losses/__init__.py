"""What a training step minimises: the six terms of HCL's objective, the paper's Eq. 7 to 11, or the episodic loss of a
baseline. In: the embeddings, class scores and labels of a batch. Out: the losses by name, with gradients from "total".
"""
