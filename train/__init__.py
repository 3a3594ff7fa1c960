"""Cached frame maps to a trained encoder and its embeddings."""
