"""Makes types.safetensors and state.safetensors with the reference library: python make_safetensors.py

state.safetensors is a state_dict as torchvision's networks have it: a linear layer, a batch norm that has seen 7 batches,
and the tensors of window attention, whose index is torchvision's own.
"""
import pathlib

import torch
from safetensors.torch import save_file
from torchvision.models.swin_transformer import ShiftedWindowAttention

here = pathlib.Path(__file__).parent

save_file(
    {
        "single": torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 2.0**-149]]),
        "half": torch.tensor([1.5, -2.0, 65504.0, 2.0**-24], dtype=torch.float16),
        "brain": torch.tensor([1.0, -3.14159, 2.0**-126], dtype=torch.bfloat16),
        "double": torch.tensor([0.1, 1e30], dtype=torch.float64),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
        "counts": torch.tensor([1, 2, 3], dtype=torch.int32),
        "bn.num_batches_tracked": torch.tensor(9),
    },
    here / "types.safetensors",
    metadata={"format": "pt"},
)

torch.manual_seed(0)
norm = torch.nn.BatchNorm1d(3)
for _ in range(7):
    norm(torch.randn(4, 3))
attention = ShiftedWindowAttention(4, [2, 2], [0, 0], 2)
state = {f"bn.{name}": t for name, t in norm.state_dict().items()}
state |= {f"attn.{name}": t for name, t in attention.state_dict().items() if name.startswith("relative_position")}
state |= {"fc.weight": torch.randn(2, 3), "fc.bias": torch.randn(2)}
save_file(state, here / "state.safetensors", metadata={"format": "pt"})
