"""The network: transformers' Qwen3-Next at a small size, and the multi-token-prediction head transformers leaves out."""

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import nn
from transformers import Qwen3NextConfig, Qwen3NextForCausalLM
from transformers.models.qwen3_next import modeling_qwen3_next as modeling

from gated_delta_rule import l2_normalised
from tokenization import END_OF_TEXT, MESSAGE_END

# Eight layers: three gated DeltaNet, one full attention, twice.
SIZES = {
    "vocab_size": 4224,  # the tokenizer's 4105, rounded up to a multiple of 128
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 128,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "moe_intermediate_size": 64,
    "shared_expert_intermediate_size": 128,
    "num_experts": 16,
    "num_experts_per_tok": 4,
    "max_position_embeddings": 32768,
}
ROPE_THETA = 1_000_000
PARTIAL_ROTARY_FACTOR = 0.25
FULL_ATTENTION_LAYER = 3  # the index of one: the head's layer is of that kind


def chunked_gated_delta_rule(
    query, key, value, g, beta, initial_state=None, output_final_state=False, use_qk_l2norm_in_kernel=True, chunk=64, **_
):
    """The gated delta rule over whole sequences that start from a zero state; takes the place of transformers' own.

    The same function, but where transformers loops over the rows of a chunk, one triangular solve gives the chunk's
    WY form. Shapes: query, key, value [batch, tokens, heads, head_dim], g, beta [batch, tokens, heads]; in float32.
    Returns the output in the type of the query, shaped like the value, and no state.
    """
    dtype = query.dtype
    q, k, v, g, beta = (x.transpose(1, 2).float() for x in (query, key, value, g, beta))

    q, k = l2_normalised(q) * q.shape[-1] ** -0.5, l2_normalised(k)
    batch, heads, tokens, key_dim = q.shape
    padding = -tokens % chunk
    if padding:
        q, k, v = (F.pad(x, (0, 0, 0, padding)) for x in (q, k, v))
        g, beta = (F.pad(x, (0, padding)) for x in (g, beta))
    q, k, v, g, beta = (x.reshape(batch, heads, -1, chunk, *x.shape[3:]) for x in (q, k, v, g, beta))

    # Inside the chunks, all at once: [U | W] = (I + A)^-1 [beta v | beta k exp(G)], G the running sum of g.
    g = g.cumsum(-1)
    decay = (g[..., :, None] - g[..., None, :]).tril().exp().tril()
    k_beta = k * beta[..., None]
    a = ((k_beta @ k.transpose(-1, -2)) * decay).tril(-1)
    right = torch.cat([v * beta[..., None], k_beta * g.exp()[..., None]], -1)
    identity = torch.eye(chunk, device=q.device)
    solution = torch.linalg.solve_triangular(a + identity, right, upper=False, unitriangular=True)
    u, w = solution.split([v.shape[-1], key_dim], -1)
    attention = ((q @ k.transpose(-1, -2)) * decay).tril()
    q_decayed = q * g.exp()[..., None]
    k_decayed = (k * (g[..., -1:] - g).exp()[..., None]).transpose(-1, -2)
    chunk_decay = g[..., -1].exp()

    # From chunk to chunk: the state, [batch, heads, key_dim, value_dim].
    state = torch.zeros(batch, heads, key_dim, v.shape[-1], device=q.device)
    outputs = []
    for i in range(q.shape[2]):
        v_new = u[:, :, i] - w[:, :, i] @ state
        outputs.append(q_decayed[:, :, i] @ state + attention[:, :, i] @ v_new)
        state = state * chunk_decay[:, :, i, None, None] + k_decayed[:, :, i] @ v_new
    output = torch.stack(outputs, 2).reshape(batch, heads, tokens + padding, -1)[:, :, :tokens]
    return output.transpose(1, 2).to(dtype), None


class MultiTokenPrediction(nn.Module):
    """Qwen3-Next's `mtp.*` module: from the hidden state at a token and the next token, the hidden state of the one after.

    Parameter names are those of published checkpoints. Embedding and output head are the model's.
    """

    def __init__(self, config: Qwen3NextConfig, model: Qwen3NextForCausalLM):
        super().__init__()
        self.fc = nn.Linear(2 * config.hidden_size, config.hidden_size, bias=False)
        self.layers = nn.ModuleList([modeling.Qwen3NextDecoderLayer(config, FULL_ATTENTION_LAYER)])
        self.norm = modeling.Qwen3NextRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.pre_fc_norm_hidden = modeling.Qwen3NextRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.pre_fc_norm_embedding = modeling.Qwen3NextRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        for module in self.modules():
            model._init_weights(module)

    def forward(self, hidden, next_embedding, position_embeddings):
        joined = torch.cat([self.pre_fc_norm_embedding(next_embedding), self.pre_fc_norm_hidden(hidden)], -1)
        hidden = self.layers[0](
            self.fc(joined), position_embeddings=position_embeddings, attention_mask=None, position_ids=None
        )
        return self.norm(hidden)


def build(tokenizer: Tokenizer) -> tuple[Qwen3NextForCausalLM, MultiTokenPrediction]:
    """The model and its head, freshly initialised from torch's random state, on the GPU in bfloat16."""
    config = Qwen3NextConfig(
        **SIZES,
        rope_parameters={
            "rope_type": "default",
            "rope_theta": float(ROPE_THETA),
            "partial_rotary_factor": PARTIAL_ROTARY_FACTOR,
        },
        eos_token_id=tokenizer.token_to_id(MESSAGE_END),
        pad_token_id=tokenizer.token_to_id(END_OF_TEXT),
    )
    model = Qwen3NextForCausalLM(config)
    modeling.torch_chunk_gated_delta_rule = chunked_gated_delta_rule
    mtp = MultiTokenPrediction(config, model)
    model.cuda().to(torch.bfloat16)
    mtp.cuda().to(torch.bfloat16)
    return model, mtp


def draft_logits(model, mtp, hidden, next_tokens):
    """The head's logits for the token after the next, at all positions of `hidden` but the last.

    hidden [batch, tokens, hidden_size] is the model's last hidden state, next_tokens [batch, tokens - 1] the ids that
    follow its positions.
    """
    position_embeddings = model.model.rotary_emb(hidden, torch.arange(hidden.shape[1] - 1, device="cuda")[None])
    return model.lm_head(mtp(hidden[:, :-1], model.model.embed_tokens(next_tokens), position_embeddings))
