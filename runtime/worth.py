"""Whether sharing a region is worth it (`language.py`): where a worker has lost its CPU, callers work alone.

A worker that another process has pushed from its CPU in the middle of a block can only be waited for, some
milliseconds: as long as hundreds of small regions take. So each region is accounted for, in ticks of the
core's clock: half of what the others did, at the caller's own rate (alone it would have all of the memory),
less what it took to call them and to wait for them. Once the balance, at most a credit of 16 ms, is negative,
regions run on the caller alone for four times as long as was lost; then a little is put at stake again.
Each time that is lost, too, they do so for twice as long, 64 times the loss or a second at most, until
sharing has earned the whole credit.
"""

from __future__ import annotations

CREDIT_SECONDS = 16e-3
TRIAL = 5  # log2 of the trials in a credit: half a millisecond
LONGEST = 6  # log2 of the most credits that regions are not shared for
LEAST, MOST = 4, 64  # times as long as was lost

NUMBERS = {"TRIAL": TRIAL, "LONGEST": LONGEST, "LEAST": LEAST, "MOST_TIMES": MOST}

TEXT = """
def settle(state: STATE, own, theirs, start, begun, ended, now):
    credit = state.credit
    balance = state.balance
    if own > 0:  # else the others did it all, at a rate that nobody knows
        spared = (ended - begun >> 1) * theirs // own
        balance += spared - (begun - start + now - ended)
    factor = state.factor
    if balance >= credit:
        balance = credit
        factor = LEAST
    if balance < 0:
        trial = credit >> TRIAL
        state.rest = min((trial - balance) * factor, credit << LONGEST)
        balance = trial
        factor = min(factor << 1, MOST_TIMES)
    state.balance = balance
    state.factor = factor
"""
