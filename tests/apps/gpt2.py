# SPDX-License-Identifier: MIT
"""transformers: a GPT-2 of random weights writes 32 tokens."""
from torch_app import host, torch
from app import finish, need, result

transformers = need("transformers")
torch.backends.cuda.enable_flash_sdp(False)
torch.backends.cuda.enable_mem_efficient_sdp(False)
model = transformers.GPT2LMHeadModel(transformers.GPT2Config()).cuda().eval()
prompt = torch.randint(0, 50000, (2, 16), device="cuda")
with torch.no_grad():
    result("logits", host(model(prompt).logits))
    for beams in (1, 3):
        text = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=32, do_sample=False,
                              num_beams=beams, pad_token_id=0)
        result(f"tokens, {beams} beams", text.tolist())
finish()
