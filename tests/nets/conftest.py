import torch

# Tiny nets are slower on two threads than on one, and far slower beside another test process.
torch.set_num_threads(1)
