"""The local page: classes are made, clips filmed or dropped, answers seen and corrected, and long videos searched.

In: clips from a browser on this machine; a support set to go on with; a run, or nothing trained.
Out: ranked answers with the matched frames, the self-test, segments; the support set, kept in its folder or exported.
"""
