"""lucid measured against its peers and against the machine, side by side in one run.

    python -m benchmarks                  every case: tables in results/README.md, figures in results/*.json
    python -m benchmarks huber --quick    one case, fewer samples
"""
