"""The op registry: every fact about an op stands in its one record here.

Elementwise ops take operands of one shape and one dtype (the front end promotes and broadcasts,
with nodes of their own); so a graph says what really happens. Gradients are written in graph ops
and can be differentiated again. `compiled equals evaluate` bit for bit where `exact`, else within
`ulp` units in the last place (reductions and contractions: within the bound that
`docs/architecture.md` states).
"""

from __future__ import annotations

# An op is named in its family, and nowhere else. What a family with helpers gives, its `__all__` says.
from .complex import *
from .complex_functions import *
from .contract import *
from .elementwise import *
from .functions import *
from .index import *
from .joined import *
from .leaves import *
from .random import *
from .record import *
from .reduce import *
from .scan import *
from .sort import *
from .squares import *
from .view import *
from .window import *
