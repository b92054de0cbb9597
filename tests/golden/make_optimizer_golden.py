"""Prints the numbers of tests/golden/optimizer.h: torch.optim.AdamW, Adam and SGD in float64 on a fixed sequence of gradients.

python tests/golden/make_optimizer_golden.py > tests/golden/optimizer.h
"""
import torch

torch.set_default_dtype(torch.float64)
STEPS, COUNT = 20, 4


def gradient(step):
    """The same rule as optimizer_test.cpp: multiples of 1/8 between -1 and 1, exact in float32."""
    return torch.tensor([((step * 7 + i * 5) % 17 - 8) / 8 for i in range(COUNT)])


def trajectory(make):
    weights = torch.nn.Parameter(torch.tensor([0.5, -0.25, 0.125, 1.0]))
    optimizer = make([weights])
    for step in range(STEPS):
        weights.grad = gradient(step)
        torch.nn.utils.clip_grad_norm_([weights], 0.75)
        optimizer.step()
    return ", ".join(f"{value:.17g}" for value in weights.tolist())


# Settings that float32 holds exactly, so that both sides compute with the same numbers.
adamw = trajectory(lambda p: torch.optim.AdamW(p, lr=0.03125, betas=(0.875, 0.96875), eps=2.0**-20, weight_decay=0.0625))
adam = trajectory(lambda p: torch.optim.Adam(p, lr=0.03125, betas=(0.875, 0.96875), eps=2.0**-20, weight_decay=0.0625))
sgd = trajectory(lambda p: torch.optim.SGD(p, lr=0.03125, momentum=0.875, weight_decay=0.0625))
print("#pragma once")
print(f"// The weights after {STEPS} steps, from tests/golden/make_optimizer_golden.py with torch {torch.__version__}.")
print("#include <array>\n\nnamespace gridspot::golden {\n")
print(f"inline constexpr std::array adamw_weights{{{adamw}}};")
print(f"inline constexpr std::array adam_weights{{{adam}}};")
print(f"inline constexpr std::array sgd_weights{{{sgd}}};")
print("\n}  // namespace gridspot::golden")
