"""lucid measured against its peers and against the machine, side by side in one run.

    python -m benchmarks                  every case
    python -m benchmarks huber --quick    one case, few samples

The figures go to results/*.json, a table and a chart of them to results/README.md.
"""
