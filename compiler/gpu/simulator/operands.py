"""Operands as functions of the registers of a group: how values are read under a type, and how results are
kept.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import ptx
from .state import Env, Group

Reader = Callable[[Env, Group], ptx.Array]
Writer = Callable[[Env, ptx.Array], None]


def value(env: Env, number: int) -> ptx.Array:
    found = env[number]
    assert found is not None  # a block is not begun before all that it needs is there
    return found


def reader(operand: ptx.Operand, kind: str) -> Reader:
    """An operand as an array of one value for each thread, or of one value for all."""
    dtype = ptx.DTYPES[kind]
    if isinstance(operand, ptx.Reg):
        number = operand.number
        if ptx.unsigned(operand.type).itemsize > dtype.itemsize:
            narrow = ptx.unsigned(kind)
            return lambda env, group: value(env, number).astype(narrow).view(dtype)
        return lambda env, group: value(env, number).view(dtype)
    if isinstance(operand, ptx.Not):
        number = operand.reg.number
        return lambda env, group: ~value(env, number)
    if isinstance(operand, ptx.Const):
        constant = np.array([operand.bits], ptx.unsigned(kind)).view(dtype)
        return lambda env, group: constant
    if isinstance(operand, ptx.Special):
        name = operand.name
        return lambda env, group: group.of(group.batch.special(name)).view(dtype)
    if isinstance(operand, ptx.Symbol):
        name = operand.name
        return lambda env, group: group.batch.addresses[name].view(dtype)
    raise AssertionError(operand)


def readers(typed: ptx.Typed) -> list[Reader]:
    return [reader(operand, typed.type) for operand in typed.items]


def joined(typed: ptx.Typed) -> Reader:
    """One value; of a vector, the bits of its items side by side, the first the lowest."""
    parts = readers(typed)
    if not typed.vector:
        return parts[0]
    size = ptx.DTYPES[typed.type].itemsize
    whole = ptx.BITS[size * len(parts)]

    def join(env: Env, group: Group) -> ptx.Array:
        total = parts[0](env, group).astype(whole)
        for n, part in enumerate(parts[1:], 1):
            total = total | part(env, group).astype(whole) << whole.type(8 * size * n)
        return total

    return join


def writer(operand: ptx.Operand, kind: str) -> Writer:
    """Keeps a result under its register; in a wider one, signed integers are extended by their sign."""
    if isinstance(operand, ptx.Sink):
        return lambda env, result: None
    assert isinstance(operand, ptx.Reg)
    number, dtype, target = operand.number, ptx.DTYPES[kind], ptx.unsigned(operand.type)
    if target.itemsize == dtype.itemsize:

        def keep(env: Env, result: ptx.Array) -> None:
            env[number] = result.view(target)

        return keep
    signed = np.dtype(f"i{target.itemsize}") if dtype.kind == "i" else target
    own = dtype if dtype.kind == "i" else ptx.unsigned(kind)

    def extend(env: Env, result: ptx.Array) -> None:
        env[number] = result.view(own).astype(signed).view(target)

    return extend


def split(typed: ptx.Typed) -> Writer:
    """The reverse of `joined`."""
    parts = [writer(operand, typed.type) for operand in typed.items]
    if not typed.vector:
        return parts[0]
    size = ptx.DTYPES[typed.type].itemsize
    part_type = ptx.BITS[size]

    def keep(env: Env, result: ptx.Array) -> None:
        whole = result.view(ptx.BITS[result.dtype.itemsize])
        for n, part in enumerate(parts):
            part(env, (whole >> whole.dtype.type(8 * size * n)).astype(part_type))

    return keep


def address(operand: ptx.Operand) -> Reader:
    """An address in brackets, as int64."""
    assert isinstance(operand, ptx.Address)
    offset = np.int64(operand.offset)
    base = operand.base
    if base is None:
        constant = np.array([offset])
        return lambda env, group: constant
    if isinstance(base, ptx.Symbol):
        name = base.name
        return lambda env, group: group.batch.addresses[name].view(np.int64) + offset
    number = base.number
    if ptx.DTYPES[base.type].itemsize == 8:
        return lambda env, group: value(env, number).view(np.int64) + offset
    return lambda env, group: value(env, number).astype(np.int64) + offset
