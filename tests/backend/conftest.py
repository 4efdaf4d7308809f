"""The backend ring computes with torch: one thread, so that results and timings do not depend on what else runs."""

import torch

torch.set_num_threads(1)
