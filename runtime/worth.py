"""Whether sharing a region is worth it, in LLVM text: where a worker has lost its CPU, callers work alone.

A worker that another process has pushed from its CPU in the middle of a block can only be waited for, some
milliseconds: as long as hundreds of small regions take. So each region is accounted for, in ticks of the
core's clock: half of what the others did, at the caller's own rate (alone it would have all of the memory),
less what it took to call them and to wait for them. Once the balance, at most a credit of 16 ms, is negative,
regions run on the caller alone for four times as long as was lost; then a little is put at stake again.
Each time that is lost, too, they do so for twice as long, 64 times the loss or a second at most, until
sharing has earned the whole credit.
"""

from __future__ import annotations

from .region import BALANCE, CREDIT, FACTOR, REST

CREDIT_SECONDS = 16e-3
TRIAL = 5  # log2 of the trials in a credit: half a millisecond
LONGEST = 6  # log2 of the most credits that regions are not shared for
LEAST, MOST = 4, 64  # times as long as was lost

TEXT = f"""
define void @settle(ptr %state, i64 %own, i64 %theirs, i64 %start, i64 %begun, i64 %ended,
                     i64 %now) nounwind {{
entry:
  %before = ldi %state, {BALANCE}
  %credit = ldi %state, {CREDIT}
  %known = ldi %state, {FACTOR}
  %worked = sub i64 %ended, %begun
  %half = lshr i64 %worked, 1
  %product = mul i64 %half, %theirs
  %some.own = call i64 @llvm.umax.i64(i64 %own, i64 1)
  %spared = udiv i64 %product, %some.own
  %called = sub i64 %begun, %start
  %waited = sub i64 %now, %ended
  %cost = add i64 %called, %waited
  %gained = sub i64 %spared, %cost
  %unknown = icmp eq i64 %own, 0  ; the others did it all, at a rate that nobody knows
  %gain = select i1 %unknown, i64 0, i64 %gained
  %sum = add i64 %before, %gain
  %earned = icmp sge i64 %sum, %credit
  %balance = select i1 %earned, i64 %credit, i64 %sum
  %factor = select i1 %earned, i64 {LEAST}, i64 %known
  %lost = icmp slt i64 %balance, 0
  br i1 %lost, label %stop, label %done
stop:
  %trial = lshr i64 %credit, {TRIAL}
  %loss = sub i64 %trial, %balance
  %long = mul i64 %loss, %factor
  %longest = shl i64 %credit, {LONGEST}
  %rest = call i64 @llvm.umin.i64(i64 %long, i64 %longest)
  sti %rest, %state, {REST}
  %double = shl i64 %factor, 1
  %longer = call i64 @llvm.umin.i64(i64 %double, i64 {MOST})
  br label %done
done:
  %balance.next = phi i64 [ %balance, %entry ], [ %trial, %stop ]
  %factor.next = phi i64 [ %factor, %entry ], [ %longer, %stop ]
  sti %balance.next, %state, {BALANCE}
  sti %factor.next, %state, {FACTOR}
  ret void
}}
"""
