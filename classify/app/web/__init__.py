"""The page as a browser on this machine sees it: who may ask, what may be sent, and what is shown.

In: requests with the token, from this page alone; clips as the bodies of requests, bounded in size and time.
Out: the page and its parts as HTML that shows every name as text; pictures; files to save.
"""
