"""`compiled.explorer("out.html")`: every stage of a compile in one page, linked line by line.

`collect.py` makes plain data of it (`places.py`, `graph.py`, `code.py`: places, nodes, lines of code as
numbers), `page.py` one file of that and of `assets/`. `summary.py` is the short form that notebooks show.
Nothing here is imported before somebody asks.
"""
