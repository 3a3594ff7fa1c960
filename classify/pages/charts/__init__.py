"""Charts and figures as SVG, drawn by our own code so that a page needs no library of others.

In: numbers, names and pictures.
Out: drawings, whose texts are escaped and whose colours are classes of the page's style sheet.
"""
