"""Functions that find globals by name, in a module that has few: who asks for any may reach all of them."""

G1 = 1.0


def by_name(x):  # type: ignore[no-untyped-def]
    return x + globals()["G1"]


def by_a_computed_name(x):  # type: ignore[no-untyped-def]
    return x + globals()["G" + str(1)]


def inside(x):  # type: ignore[no-untyped-def]
    return x + ("NEW" in globals())


def evaluated(x):  # type: ignore[no-untyped-def]
    return x + eval("G1 * 1")


def of_a_function(x):  # type: ignore[no-untyped-def]
    return x + by_name.__globals__["G1"]
