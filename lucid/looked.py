"""What a compiled function shows of itself: texts, costs, times, and why it is what it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, cast

from lucid.compiler.gpu.target import ARCH

from .cost import Cost, cost_of
from .engine import KernelInfo
from .errors import bounded, bounds, here, located, user_loc
from .story import Story

if TYPE_CHECKING:
    from pathlib import Path

    from .compiled import Compiled
    from .gpu import Ptx
    from .nans import Made
    from .recording import Recording
    from .report.profile import Profile
    from .report.records import Explanation
    from .residence import Device
    from .testing.certificates import Certificate

P = ParamSpec("P")

Stage = Literal["graph", "gradient", "simplified", "kernel", "loop", "llvm", "llvm-opt", "asm", "ptx"]


@bounds
class Looked(Generic[P]):
    """What `Compiled` inherits."""

    __slots__ = ()
    if TYPE_CHECKING:
        __wrapped__: Any
        device: Device | None
        _story: Story
        _name: Callable[[], str]
        _recent: Callable[[], Recording | None]
        _last: Callable[[], Recording]
        _record: Callable[[Any], Recording]
        _described: Callable[[Any, Any], Any]
        _object: Callable[[], object]
        _takes: Callable[[Any, Any], None]

    def _whole(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments of a call; of a method, which is asked as `model.step.profile(x)`, its object too."""
        owner = self._object()
        return args if owner is None or (args and args[0] is owner) else (owner, *args)

    def _asked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._described(self._whole(args), kwargs)

    def ir(self, stage: Stage = "kernel", arch: str | None = None, *, kernel: str | None = None) -> str:
        """The text of one stage of the latest call: "graph" (what the function's lines say), "gradient" (with
        what differentiation adds), "simplified", "kernel", "loop", "llvm", "llvm-opt", "asm", or "ptx" for an
        architecture of NVIDIA's ("sm_90" by default). "kernel" and "loop" end in the program that they are
        part of: `lucid run` runs the text, as it does that of a graph. `kernel`: of this kernel alone, by the
        name that "kernel" shows; of a graph the part that became the kernel. ValueError for another stage or
        architecture, for one that is given with another stage, for an unknown kernel, and for a part that
        simplifying has left nothing of."""
        if arch is not None and stage != "ptx":
            raise ValueError(here(f"ir: arch is for the stage 'ptx'; {stage!r} is this machine's"))
        try:
            return self._last().executable.ir(stage, arch or ARCH, kernel)
        except ValueError as error:
            raise located(error, user_loc()) from None

    def diff(self, stage: str = "simplify") -> str:
        """What a pass has changed of the latest call, as a unified diff of texts: "autodiff" (what gradients
        add), "pairs" (complex numbers to pairs of real ones) and "simplify" of the graph; "fuse", of each
        kernel the nodes that became it, and its text; "lower", of each its text, and its loops; "replace", of
        the kernels, by `replace`. Nodes keep their names, so that what is the same reads the same. ValueError
        for another pass."""
        from .edited import diff  # few ask for it

        try:
            return diff(self._last(), stage)
        except ValueError as error:
            raise located(error, user_loc()) from None

    def replace(self, text: str, *, all: bool = False) -> None:
        """Run `text` in place of the kernels of its names, from now on. `text`: one kernel or several, as
        `ir("kernel")` prints them, edited, with or without the program at their end; names, operands and
        results stay. `restore` takes all of it back.

            text = step.ir("kernel")
            step.replace(text.replace("exp(", "expm1("))

        Of several kernels with the same text the one of that name is replaced, and a warning names the
        others; `all=True` replaces all of them. The text serves all sizes: other traces of the function,
        those of later calls too, run it where they have a kernel of this name that was the same text, and a
        warning says where one has not. Loops are not taken: nothing proves that their accesses lie inside of
        arrays.

        It is verified, and each access proven to lie inside of its array, before anything changes.
        ValueError, with the line and column of the text or with the statement, for one that is malformed or
        illegal, for another signature or program and an unknown name, TypeError unless it is text; nothing
        has changed then. A later call raises ValueError if its sizes are none that the text may have."""
        from .edited import replace  # few ask for it

        try:
            replace(cast("Compiled[..., Any]", self), text, all)
        except (TypeError, ValueError) as error:
            raise located(error, user_loc()) from None

    def restore(self) -> None:
        """Take back all that `replace` has changed."""
        from .edited import restore

        restore(cast("Compiled[..., Any]", self))

    def ptx(self, arch: str = ARCH) -> Ptx:
        """What the latest call would be on a GPU: the text of its kernels, and how they are launched for its
        sizes. ValueError for an unknown architecture, and for what kernels there cannot do."""
        try:
            return self._last().executable.ptx(arch)
        except ValueError as error:
            raise located(error, user_loc()) from None

    @property
    @bounded
    def kernels(self) -> list[KernelInfo]:
        """The kernels of the latest call, each with `name`, `bytes` (what it moves) and `text`."""
        return self._last().executable.kernels

    def cost(self, *args: P.args, **kwargs: P.kwargs) -> Cost:
        """What a call with these arguments takes: `kernels`, `bytes`, `flops`, `temp_bytes`, and `calls` of
        libraries. It is compiled, if it was not yet, and not run. Errors are those of a call."""
        return cost_of(self._record(self._asked(args, kwargs)).executable)

    def certify(self, *args: Any, causes: bool = True, **kwargs: Any) -> Certificate:
        """A rigorous bound on the error of each element of each output for these arguments, against exact
        real arithmetic, and the measured error; of integers and bools whether they are exact: see
        docs/testing.md. ValueError if it changes tensors, or returns none."""
        from .testing.certificates import certify  # few ask for it

        self._takes(args, kwargs)
        return certify(self.__wrapped__, self._whole(args), kwargs, causes)

    def profile(self, *args: P.args, **kwargs: P.kwargs) -> Profile:
        """The time of each kernel of a call with these arguments, beside the least that this machine could do
        it in. It runs on copies: no parameter, gradient or random state changes. Printed, a table;
        `as_dict()` is plain data, `trace("file.json")` writes a file for Perfetto. On "cuda" times are those
        of events, and limits those that clocks and widths tell. ValueError on "ptx-sim"; errors are those of
        a call."""
        from .report.profile import profile  # few ask for it

        asked = self._asked(args, kwargs)
        recording = self._record(asked)
        if recording.device == "ptx-sim":
            raise ValueError(here("profile: device 'ptx-sim' is a simulator, which has no times"))
        inputs = recording.inputs(asked.arrays, asked.numbers)
        return profile(self._name(), recording.executable, inputs)

    def first_nan(self, *args: P.args, **kwargs: P.kwargs) -> Made | None:
        """Which operation makes the first NaN of the results of a call with these arguments, gradients and
        what it assigns included: its line, kernel, statement and operands; printed, a report. None if none
        does: there is no NaN, or an input had it before, which a warning names. Nothing changes: no
        parameter, gradient or random state. Errors are those of a call. LUCID_NAN=1 looks at all calls, and
        at eager work."""
        from .nans import first_of  # few ask for it

        asked = self._asked(args, kwargs)
        recording = self._record(asked)
        return first_of(recording.executable, recording.inputs(asked.arrays, asked.numbers))

    def repro(self, path: str | os.PathLike[str], *args: P.args, **kwargs: P.kwargs) -> list[Path]:
        """Writes a script that makes a call with these arguments again, anywhere, without this function: the
        texts of its graph and kernels, and its inputs, parameters included (what is large in a .npz file
        beside it). It runs the kernels, compares their results with NumPy's, and prints what differs. Nothing
        is run here, and nothing changes. The files that were written. OSError where one cannot be; errors are
        those of a call."""
        from .repro import write  # few ask for it

        asked = self._asked(args, kwargs)
        recording = self._record(asked)
        return write(path, self._name(), recording, recording.inputs(asked.arrays, asked.numbers))

    def explorer(
        self, path: str | os.PathLike[str], *, profile: Profile | None = None, arch: str | None = None
    ) -> None:
        """Writes a page for a browser, one file of at most 2 MB that needs nothing else: your source, the
        graph, kernels, loops, LLVM and assembly of the latest call side by side. Where one points, what that
        comes from and what comes from it lights up. `profile`: what `profile(...)` has measured of this call,
        for the time of each kernel; `arch`: PTX for this architecture of NVIDIA's too. The page holds the
        whole text of the files that the function's lines are in. OSError where it cannot be written,
        ValueError for the profile of other kernels and an unknown architecture."""
        from .explorer.write import write  # few ask for it
        from .report.profile import Profile

        given: object = profile
        if given is not None and not isinstance(given, Profile):
            what = f"what {self._name()}.profile(...) gave, not {type(given).__name__}"
            raise TypeError(here(f"explorer: profile must be {what}"))
        try:
            write(path, self._name(), self._last().executable, profile, arch)
        except ValueError as error:
            raise located(error, user_loc()) from None

    def _repr_html_(self) -> str:
        """What notebooks show."""
        from html import escape

        recording = self._recent()
        if recording is None:
            return f"<code>{escape(repr(self))}</code>"
        from .explorer.summary import summary

        return summary(self._name(), recording.executable)

    def explain(self, *, sort_by: str = "bytes", row_limit: int | None = 20) -> Explanation:
        """Why it was traced each time, and why the latest plan is made of these kernels: what each does, what
        was fused, what was not and what that costs, memory, and the time of each pass. A text, which begins
        with a summary; as records its `report`, and as plain data its `as_dict()`, hold all of it.

        `sort_by`: kernels by "bytes", "flops", "intensity" (flops a byte), "count" (of equal ones, which are
        told together), "seconds" (of their compilation), "order" (of the plan) or "name"; `row_limit`: so
        many of them, and of arrays and steps, at most; None for all. ValueError for others."""
        from .report.explain import explanation  # few ask for it

        try:
            return explanation(self._name(), self._story, self._recent(), sort_by, row_limit)
        except ValueError as error:
            raise located(error, user_loc()) from None
