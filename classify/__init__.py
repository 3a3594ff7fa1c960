"""What answers a person: videos are classified by a few examples of each class, with probabilities and "none of these".

In: videos, as files or frames; a support set, a few labelled videos of each class; a trained run, or nothing trained.
Out: ranked classes with the score of each level, a probability, and the supports that decided.
"""
