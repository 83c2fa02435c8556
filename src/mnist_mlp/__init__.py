"""A 3-layer neural network on MNIST, twice: from scratch in NumPy and in PyTorch."""

import numpy as np  # noqa: F401  loads the BLAS library that is limited here
from threadpoolctl import threadpool_limits

# One BLAS thread a training run, and independent runs side by side. A minibatch of 100 gains little
# from a second thread, and on a core that is busy two threads wait for each other: measured 10 to
# 40 times slower. Set here, once, through threadpoolctl, because an environment variable comes too
# late in a kernel (Colab's) that has imported NumPy already. PyTorch's own threads: framework.py.
threadpool_limits(1, user_api="blas")
