"""What the native call path takes, in LLVM text: the arrays of its arguments, whether they overlap, numbers,
and arrays that outputs may be written to."""

from __future__ import annotations

_ARRAY_OF = """
; The array that the input `rule` finds at `start`, if it is what the plan needs; else null.
define internal ptr @array_of(ptr %start, ptr %rule, ptr %array.type) nounwind {
entry:
  %chain = ldp %rule, INPUT.chain
  %links = ldi %rule, INPUT.n_chain
  %descr = ldp %rule, INPUT.descr
  %nd = ldi %rule, INPUT.nd
  %dims = ldp %rule, INPUT.dims
  %exclusive.word = ldi %rule, INPUT.exclusive
  %shared.is.fine = icmp eq i64 %exclusive.word, 0
  br label %look
look:
  %obj = phi ptr [ %start, %entry ], [ %inner, %follow ]
  %k = phi i64 [ 0, %entry ], [ %k.next, %follow ]
  %link = phi ptr [ %chain, %entry ], [ %link.next, %follow ]
  %type = ldp %obj, TYPE
  %is.array = icmp eq ptr %type, %array.type
  br i1 %is.array, label %check, label %more
more:
  %ended = icmp sge i64 %k, %links
  br i1 %ended, label %wrong, label %step
step:
  %expected = ldp %link, LINK.type
  %offset = ldi %link, LINK.offset
  %same.type = icmp eq ptr %type, %expected
  br i1 %same.type, label %inside, label %wrong
inside:
  ; where the chain starts is known to many; what is on the way, perhaps to nobody else
  %refs = ldw %obj, 0
  %one.holder = icmp eq i64 %refs, 1
  %first = icmp eq i64 %k, 0
  %fine = or i1 %first, %shared.is.fine
  %passes = or i1 %fine, %one.holder
  br i1 %passes, label %lead, label %wrong
lead:
  %at.inner = getelementptr i8, ptr %obj, i64 %offset
  %inner = load ptr, ptr %at.inner
  %empty = icmp eq ptr %inner, null
  %k.next = add i64 %k, 1
  %link.next = getelementptr i64, ptr %link, i64 2
  br i1 %empty, label %wrong, label %follow
follow:
  br label %look
check:
  ; arrays that were pickled or swapped have dtypes that are equal, but other objects
  %obj.descr = ldp %obj, DESCR
  %obj.dtype = ldi %obj.descr, DTYPE
  %dtype = ldi %descr, DTYPE
  %obj.nd = ldw %obj, ND
  %obj.flags = ldw %obj, FLAGS
  %obj.dims = ldp %obj, DIMS
  %a = icmp eq i64 %obj.dtype, %dtype
  %b = icmp eq i64 %obj.nd, %nd
  %strides = ldp %rule, INPUT.strides
  %row.major = icmp eq ptr %strides, null
  %needed = select i1 %row.major, i64 READABLE, i64 ALIGNED
  %masked = and i64 %obj.flags, %needed
  %c = icmp eq i64 %masked, %needed
  %ab = and i1 %a, %b
  %abc = and i1 %ab, %c
  br i1 %abc, label %extents, label %wrong
extents:
  %same = call i1 @equal(ptr %obj.dims, ptr %dims, i64 %nd)
  br i1 %same, label %order, label %wrong
order:
  br i1 %row.major, label %right, label %stepped
stepped:
  %obj.strides = ldp %obj, STRIDES
  %same.strides = call i1 @equal(ptr %obj.strides, ptr %strides, i64 %nd)
  br i1 %same.strides, label %right, label %wrong
right:
  ret ptr %obj
wrong:
  ret ptr null
}
"""

_APART = """
; Whether the bytes from `lo` on lie outside of all inputs but `array` itself.
define internal i1 @apart(ptr %inputs, ptr %arrays, i64 %n, i64 %lo, i64 %size, ptr %array) nounwind {
entry:
  %hi = add i64 %lo, %size
loop: each %k in %n from entry, loop.body, compare else yes
  %other = ldp %arrays, %k
  %self = icmp eq ptr %other, %array
  br i1 %self, label %loop, label %compare
compare:
  %row.k = row %inputs, %k, INPUT
  %other.size = ldi %row.k, INPUT.nbytes
  %other.lo = ldi %other, DATA
  %other.hi = add i64 %other.lo, %other.size
  %before = icmp ule i64 %hi, %other.lo
  %after = icmp ule i64 %other.hi, %lo
  %is.apart = or i1 %before, %after
  br i1 %is.apart, label %loop, label %no
yes:
  ret i1 1
no:
  ret i1 0
}
"""

_MAY_OVERWRITE = """
; Whether the array of input `mine` may be overwritten: writeable, held by nobody else, and apart
; from the other inputs.
define internal i1 @may_overwrite(ptr %inputs, ptr %arrays, i64 %n, ptr %row, ptr %array) nounwind {
entry:
  %most = ldi %row, INPUT.max_refs
  %size = ldi %row, INPUT.nbytes
  %flags = ldw %array, FLAGS
  %refs = ldw %array, 0
  %lo = ldi %array, DATA
  %writeable.bit = and i64 %flags, WRITEABLE
  %a = icmp ne i64 %writeable.bit, 0
  %b = icmp ule i64 %refs, %most
  %ab = and i1 %a, %b
  br i1 %ab, label %memory, label %no
memory:
  ; its own memory, which nobody else can see; or that of an array of the same kind, or of one of our
  ; blocks, which nobody else holds
  %holder = phi ptr [ %array, %entry ], [ %base, %base.array ]
  %base = ldp %holder, BASE
  %based = icmp ne ptr %base, null
  br i1 %based, label %base.refs, label %own
own:
  %own.flags = ldw %holder, FLAGS
  %own.bit = and i64 %own.flags, OWNED
  %owned = icmp ne i64 %own.bit, 0
  br i1 %owned, label %yes, label %no
base.refs:
  %base.count = ldw %base, 0
  %base.alone = icmp eq i64 %base.count, 1
  br i1 %base.alone, label %base.type, label %no
base.type:
  %type = ldp %base, TYPE
  %ours = ldp %row, INPUT.owner
  %is.ours = icmp eq ptr %type, %ours
  br i1 %is.ours, label %others, label %base.other
base.other:
  %array.type = ldp %array, TYPE
  %is.array = icmp eq ptr %type, %array.type
  br i1 %is.array, label %base.array, label %no
base.array:
  br label %memory
others:
  %free = call i1 @apart(ptr %inputs, ptr %arrays, i64 %n, i64 %lo, i64 %size, ptr %array)
  ret i1 %free
yes:
  ret i1 1
no:
  ret i1 0
}
"""

_NUMBER = """
; The Python number `object`, of the type that `conversion` takes, at `word`. 0 if it is of another type,
; or has more than 64 bits.
define internal i1 @number(ptr %object, i64 %conversion, ptr %word, ptr %env) nounwind {
entry:
  %at.beyond = alloca i32
  %type = ldp %object, TYPE
  %float.type = ldp %env, ENV.float_type
  %int.type = ldp %env, ENV.int_type
  %from.float = icmp ule i64 %conversion, FLOAT_SINGLE
  %wanted = select i1 %from.float, ptr %float.type, ptr %int.type
  %same.type = icmp eq ptr %type, %wanted
  br i1 %same.type, label %which, label %no
which:
  br i1 %from.float, label %float, label %int
float:
  %at.value = getelementptr i64, ptr %object, i64 FLOAT_VALUE
  %real = load double, ptr %at.value
  br label %store
int:
  store i32 0, ptr %at.beyond
  %whole = call i64 @PyLong_AsLongLongAndOverflow(ptr %object, ptr %at.beyond)
  %beyond = load i32, ptr %at.beyond
  %fits = icmp eq i32 %beyond, 0
  br i1 %fits, label %int.fits, label %no
int.fits:
  %as.real = sitofp i64 %whole to double
  br label %store
store:
  %value = phi double [ %real, %float ], [ %as.real, %int.fits ]
  switch i64 %conversion, label %no [
    i64 FLOAT_DOUBLE, label %as.f64  i64 INT_DOUBLE, label %as.f64
    i64 FLOAT_SINGLE, label %as.f32  i64 INT_SINGLE, label %as.f32
  ]
as.f64:
  store double %value, ptr %word
  ret i1 1
as.f32:
  %short = fptrunc double %value to float
  store float %short, ptr %word
  ret i1 1
no:
  ret i1 0
}
"""

_GATHER = """
; The arrays of all inputs, and where their data lies: of numbers, in `words`. 0 if one is not what the plan
; needs.
define internal i1 @gather(ptr %spec, ptr %args, ptr %arrays, ptr %buffers, ptr %words) nounwind {
entry:
  %inputs = ldp %spec, SPEC.inputs
  %n = ldi %spec, SPEC.n_inputs
  %env = ldp %spec, SPEC.env
  %array.type = ldp %env, ENV.array_type
input: each %i in %n from entry, placed else alias.start
  %row.i = row %inputs, %i, INPUT
  %from = call ptr @start(ptr %row.i, ptr %args)
  %array = call ptr @array_of(ptr %from, ptr %row.i, ptr %array.type)
  %missing = icmp eq ptr %array, null
  br i1 %missing, label %no, label %input.ok
input.ok:
  stp %array, %arrays, %i
  %data = ldp %array, DATA
  %buffer = ldi %row.i, INPUT.buffer
  %conversion = ldi %row.i, INPUT.number
  %is.array = icmp eq i64 %conversion, 0
  br i1 %is.array, label %placed, label %number
number:
  %which = ldi %row.i, INPUT.argument
  %given = ldp %args, %which
  %word = getelementptr i64, ptr %words, i64 %i
  %converted = call i1 @number(ptr %given, i64 %conversion, ptr %word, ptr %env)
  br i1 %converted, label %placed, label %no
placed:
  %address = phi ptr [ %data, %input.ok ], [ %word, %number ]
  stp %address, %buffers, %buffer
  br label %input
alias.start:
alias: each %v in %n from alias.start, alias.body, alias.check else yes
  %row.v = row %inputs, %v, INPUT
  %most = ldi %row.v, INPUT.max_refs
  %is.alias = icmp ne i64 %most, 0
  br i1 %is.alias, label %alias.check, label %alias
alias.check:
  %taken = ldp %arrays, %v
  %may = call i1 @may_overwrite(ptr %inputs, ptr %arrays, i64 %n, ptr %row.v, ptr %taken)
  br i1 %may, label %alias, label %no
yes:
  ret i1 1
no:
  ret i1 0
}
"""

_GIFTS = """
; The caller's arrays for outputs: references in `outs`, where they must be those that are there
; already. 0 if one is not what the plan needs, or shares memory with an input or with another.
define internal i1 @gifts(ptr %spec, ptr %args, ptr %arrays, ptr %outs, ptr %buffers) nounwind {
entry:
  %gifts = ldp %spec, SPEC.gifts
  %n = ldi %spec, SPEC.n_gifts
  %inputs = ldp %spec, SPEC.inputs
  %n.inputs = ldi %spec, SPEC.n_inputs
  %env = ldp %spec, SPEC.env
  %array.type = ldp %env, ENV.array_type
  %list.type = ldp %env, ENV.list_type
  %none = ldp %env, ENV.none
gift: each %g in %n from entry, nothing, keep else yes
  %row.g = row %gifts, %g, GIFT
  %path = ldp %row.g, GIFT.path
  %n.path = ldi %row.g, GIFT.n_path
  %output = ldi %row.g, GIFT.output
  %place = call ptr @start(ptr %row.g, ptr %args)
  br label %walk
walk:
  %object = phi ptr [ %place, %gift.body ], [ %inner, %into ]
  %k = phi i64 [ 0, %gift.body ], [ %k.next, %into ]
  %deeper = icmp slt i64 %k, %n.path
  br i1 %deeper, label %step, label %leaf
step:
  %row.k = row %path, %k, STEP
  %wanted = ldp %row.k, STEP.type
  %size = ldi %row.k, STEP.size
  %index = ldi %row.k, STEP.index
  %type = ldp %object, TYPE
  %k.next = add i64 %k, 1
  %same.type = icmp eq ptr %type, %wanted
  br i1 %same.type, label %sized, label %no
sized:
  %have.size = ldi %object, SIZE_OF
  %same.size = icmp eq i64 %size, %have.size
  br i1 %same.size, label %items, label %no
items:
  %in.tuple = getelementptr i64, ptr %object, i64 TUPLE_ITEMS
  %is.list = icmp eq ptr %type, %list.type
  br i1 %is.list, label %list, label %into
list:
  %in.list = ldp %object, LIST_ITEMS
  br label %into
into:
  %all = phi ptr [ %in.tuple, %items ], [ %in.list, %list ]
  %inner = ldp %all, %index
  br label %walk
leaf:
  %takes.none = icmp slt i64 %output, 0
  br i1 %takes.none, label %nothing, label %given
nothing:
  %is.none = icmp eq ptr %object, %none
  br i1 %is.none, label %gift, label %no
given:
  %array = call ptr @array_of(ptr %object, ptr %row.g, ptr %array.type)
  %unfit = icmp eq ptr %array, null
  br i1 %unfit, label %no, label %writeable
writeable:
  %flags = ldw %array, FLAGS
  %lo = ldi %array, DATA
  %nbytes = ldi %row.g, INPUT.nbytes
  %writeable.bit = and i64 %flags, WRITEABLE
  %may.write = icmp ne i64 %writeable.bit, 0
  %alone = call i1 @apart(ptr %inputs, ptr %arrays, i64 %n.inputs, i64 %lo, i64 %nbytes, ptr null)
  %fits = and i1 %may.write, %alone
  %hi = add i64 %lo, %nbytes
  br i1 %fits, label %apart.of, label %no
apart.of:
others: each %o in %g from apart.of, others.body, compare else settle
  %row.o = row %gifts, %o, GIFT
  %other.output = ldi %row.o, GIFT.output
  %is.nothing = icmp slt i64 %other.output, 0
  br i1 %is.nothing, label %others, label %compare
compare:
  %other = ldp %outs, %other.output
  %other.size = ldi %row.o, INPUT.nbytes
  %other.lo = ldi %other, DATA
  %other.hi = add i64 %other.lo, %other.size
  %before = icmp ule i64 %hi, %other.lo
  %after = icmp ule i64 %other.hi, %lo
  %apart = or i1 %before, %after
  br i1 %apart, label %others, label %no
settle:
  %buffer = ldi %row.g, INPUT.buffer
  %data = ldp %array, DATA
  %known = ldp %outs, %output
  %first = icmp eq ptr %known, null
  br i1 %first, label %take, label %again
take:
  call void @Py_IncRef(ptr %array)
  br label %keep
again:
  %still = icmp eq ptr %known, %array
  br i1 %still, label %keep, label %no
keep:
  stp %array, %outs, %output
  stp %data, %buffers, %buffer
  br label %gift
yes:
  ret i1 1
no:
  ret i1 0
}
"""

TEXT = "".join((_ARRAY_OF, _APART, _MAY_OVERWRITE, _NUMBER, _GATHER, _GIFTS))
