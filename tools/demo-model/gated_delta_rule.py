"""The gated delta rule alone, token by token in float64, from an initial state."""

import torch

TOKENS, KEY_HEADS, VALUE_HEADS, HEAD_DIM = 200, 2, 4, 32
SAVED_AFTER = 128  # tokens: the state in the middle that is kept too


def l2_normalised(x: torch.Tensor) -> torch.Tensor:
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)


def reference() -> dict[str, torch.Tensor]:
    """Random inputs, the outputs, and the state at the start, after 128 tokens and at the end, rounded to float32.

    q, k [tokens, key heads, head_dim]; v, out [tokens, value heads, head_dim]; a, b [tokens, value heads];
    A_log, dt_bias [value heads]; states [value heads, key head_dim, value head_dim].
    """
    torch.manual_seed(11)
    q = torch.randn(TOKENS, KEY_HEADS, HEAD_DIM, dtype=torch.float64)
    k = torch.randn(TOKENS, KEY_HEADS, HEAD_DIM, dtype=torch.float64)
    v = torch.randn(TOKENS, VALUE_HEADS, HEAD_DIM, dtype=torch.float64)
    a = torch.randn(TOKENS, VALUE_HEADS, dtype=torch.float64)
    b = torch.randn(TOKENS, VALUE_HEADS, dtype=torch.float64)
    a_log = torch.rand(VALUE_HEADS, dtype=torch.float64) * 2
    dt_bias = torch.randn(VALUE_HEADS, dtype=torch.float64)
    initial_state = torch.randn(VALUE_HEADS, HEAD_DIM, HEAD_DIM, dtype=torch.float64) * 0.3

    g = -a_log.exp() * torch.nn.functional.softplus(a + dt_bias)
    beta = b.sigmoid()
    state = initial_state.clone()
    state_in_the_middle = None
    out = torch.zeros(TOKENS, VALUE_HEADS, HEAD_DIM, dtype=torch.float64)
    for t in range(TOKENS):
        for h in range(VALUE_HEADS):
            key_head = h // (VALUE_HEADS // KEY_HEADS)
            key = l2_normalised(k[t, key_head])
            query = l2_normalised(q[t, key_head]) * HEAD_DIM**-0.5
            state[h] = state[h] * g[t, h].exp()
            delta = (v[t, h] - state[h].T @ key) * beta[t, h]
            state[h] = state[h] + key[:, None] * delta[None]
            out[t, h] = state[h].T @ query
        if t + 1 == SAVED_AFTER:
            state_in_the_middle = state.clone()

    tensors = {
        "q": q,
        "k": k,
        "v": v,
        "a": a,
        "b": b,
        "A_log": a_log,
        "dt_bias": dt_bias,
        "initial_state": initial_state,
        "out": out,
        "state_after_128": state_in_the_middle,
        "final_state": state,
    }
    return {name: tensor.float().contiguous() for name, tensor in tensors.items()}
