"""Stored embeddings to scores, episodes and reports."""
