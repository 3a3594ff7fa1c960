"""A frozen network turns frames into frame maps, on a CPU by fused operations, on a GPU compiled if that is asked for.

In: frames (N, size, size, 3) uint8, and the name and the weights of a ResNet or of a vision model of `hub/`.
Out: frame maps (N, P, C) float16, and the identity of the network, which the cache keeps.
"""
