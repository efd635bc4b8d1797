import os

# Test tensors are tiny: a second thread would spend its time waiting for the first. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
