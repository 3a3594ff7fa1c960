"""Models of transformers are found or downloaded, loaded without running their code, and put to use.

In: a folder, or a name on the model hub.
Out: a frozen vision model as a backbone, or the embeddings of class texts by a BERT.
"""
