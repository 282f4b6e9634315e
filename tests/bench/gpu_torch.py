"""PyTorch's figures for tests/bench/gpu.sh: the same products and pass, of random numbers, on the same device."""
import time

import torch

WARM, TIMES = 3, 20


def seconds(once):
    for _ in range(WARM):
        once()
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(TIMES):
        once()
    torch.cuda.synchronize()
    return (time.perf_counter() - begin) / TIMES


def random(*shape, dtype=torch.float32):
    return torch.rand(*shape, device="cuda").mul_(2).sub_(1).to(dtype)


def linear(name, dtype, tf32, n, i, o):
    torch.backends.cuda.matmul.allow_tf32 = tf32
    x, w = random(n, i, dtype=dtype), random(o, i, dtype=dtype)
    rate = 2e-12 * n * i * o / seconds(lambda: torch.nn.functional.linear(x, w))
    print(f"linear_{name}_{n}x{i}x{o} {rate:.1f} TFLOP/s")


def attention(name, dtype, n, length, heads):
    q, k, v = (random(n, heads, length, 64, dtype=dtype).requires_grad_() for _ in range(3))
    dy = random(n, heads, length, 64, dtype=dtype)

    def forward():
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)

    y = forward()
    flops = 1e-12 * n * heads * length * length * 64
    shape = f"{name}_{n}x{length}x{heads}"
    print(f"attention_{shape} {2 * flops / seconds(forward):.1f} TFLOP/s")
    backward = seconds(lambda: torch.autograd.grad(y, (q, k, v), dy, retain_graph=True))
    print(f"attention_grad_{shape} {5 * flops / backward:.1f} TFLOP/s")


def main():
    n = 124_000_000
    a, b = random(n), random(n)
    print(f"copy_bandwidth {2 * 4 * n / seconds(lambda: a.copy_(b)) / 1e9:.1f} GB/s")
    p = torch.nn.Parameter(random(n))
    p.grad = random(n)
    adamw = torch.optim.AdamW([p], lr=1e-3, fused=True)
    print(f"adamw_bandwidth {7 * 4 * n / seconds(adamw.step) / 1e9:.1f} GB/s")
    for shape in [(4096, 4096, 4096), (8192, 8192, 8192), (4096, 768, 3072), (1024, 512, 512)]:
        linear("fp32", torch.float32, False, *shape)
        linear("tf32", torch.float32, True, *shape)
        linear("bf16", torch.bfloat16, False, *shape)
    attention("fp32", torch.float32, 8, 1024, 12)
    attention("bf16", torch.bfloat16, 8, 1024, 12)
    print("torch", torch.__version__, torch.cuda.get_device_name())


main()
