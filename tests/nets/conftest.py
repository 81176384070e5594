import pytest
import torch

# Tiny nets are slower on two threads than on one, and far slower beside another test process.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded_weights():
    """Modules that a test builds by itself have the same weights in each run."""
    torch.manual_seed(0)
