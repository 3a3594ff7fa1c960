"""A synthetic set of videos of invented actions is generated, so that everything can be tried without a download.

In: a DemoConfig: how many classes and videos, and a seed.
Out: class folders of H.264 files and the manifest that lists them.
"""
