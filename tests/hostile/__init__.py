"""A standing adversary of the command line.

It makes cases of four kinds and judges how the program ends in each:

values    hostile values of every option of every command, from the parser itself
files     damaged runs, bundles, sites, comparisons and data
faults    an operation on a file fails, or a signal or SIGKILL arrives there
server    requests to `demo`

`scripts/torture` runs it for as long as one likes, `test_hostile.py` for a fixed number of
cases. A case is plain JSON (`case.py`): any one of them can be repeated alone.
"""
