"""Every form of every instruction that the simulator knows, with each modifier: ptxas knows it, too."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from lucid.compiler.gpu.simulator import forms, parse
from tests.compiler.test_ptx import ptxas

HEADER = ".version 9.0\n.target sm_100\n.address_size 64\n"  # where there is most
REGISTERS = """
.reg .pred %p<20>;
.reg .b16 %h<20>;
.reg .b32 %r<20>;
.reg .b64 %l<20>;
"""
WIDER = {"u16": "u32", "s16": "s32", "u32": "u64", "s32": "s64"}


def register(kind: str, number: int) -> str:
    if kind == "pred":
        return f"%p{number}"
    bits = int(re.sub(r"\D", "", kind))
    return f"%{'l' if bits == 64 else 'r' if bits == 32 else 'h'}{number}"


def operand(form: forms.Form, spec: str, modifiers: dict[str, str], number: int) -> str:
    kind = spec.strip("~*+")
    fixed = {"mem": "[%l9]", "label": "END", "number": "3"}
    if kind in fixed:
        return fixed[kind]
    if kind.startswith("number"):
        return kind.split(":")[-1]
    kind = WIDER[modifiers["T"]] if kind == "2T" else modifiers.get(kind, kind)
    if "*" in spec and modifiers.get("vec"):
        count = int(modifiers["vec"][1:])
        return "{" + ", ".join(register(kind, number + n) for n in range(count)) + "}"
    return register(kind, number)


def instruction(form: forms.Form, modifiers: dict[str, str]) -> str:
    words = [form.opcode, *(modifiers[slot.key] for slot in form.slots if modifiers[slot.key])]
    text = ""
    for number, spec in enumerate((*form.dests, *form.sources), 1):
        text += (", " if text else "") + operand(form, spec, modifiers, number)
    guard = "@%p9 " if form.opcode in ("bra", "ret", "exit", "trap") else ""
    return f"{guard}{'.'.join(words)} {text};"


def choices(form: forms.Form) -> Iterator[dict[str, str]]:
    """Each modifier at least once, beside the first and the last of the others."""
    every = [("", *slot.choices) if slot.optional else slot.choices for slot in form.slots]
    for end in (0, -1):
        usual = [slot[0 if slot[0] in ("", "global") else end] for slot in every]
        for n in range(len(every)):
            for choice in every[n]:
                words = [*usual[:n], choice, *usual[n + 1 :]]
                modifiers = {slot.key: word for slot, word in zip(form.slots, words, strict=True)}
                yield modifiers
    if not every:
        yield {}


def test_ptxas_knows_every_form(tmp_path: Path) -> None:
    every = [form for same in forms.table().values() for form in same]
    lines = dict.fromkeys(instruction(form, modifiers) for form in every for modifiers in choices(form))
    assert len(lines) > 600
    text = f"{HEADER}.visible .entry k()\n{{\n{REGISTERS}{chr(10).join(lines)}\nEND: ret;\n}}\n"
    module = parse(text)
    assert {i.form for i in module.entries["k"].code} == {*every}
    (tmp_path / "k.ptx").write_text(text)
    command = [ptxas(), "-arch=sm_100", "-O0", "k.ptx", "-o", "k.cubin"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    refused = [f"{module.lines[int(n) - 1]}: {why}" for n, why in re.findall(r"line (\d+); (.*)", run.stderr)]
    assert run.returncode == 0, "\n".join(refused) or run.stderr
