"""Few-shot action recognition from cached frame maps: extract, train, match."""
