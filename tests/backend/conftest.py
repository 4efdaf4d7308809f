"""The backend ring computes with torch: one thread, so that results and timings do not depend on what else runs."""

import pytest
import torch

torch.set_num_threads(1)
pytest.register_assert_rewrite("tests.backend.conformance")
