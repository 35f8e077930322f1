#!/usr/bin/env python3
"""make_tiny_model.py DIR LAYERS: a Llama config and a byte-level tokenizer; serve it with --load-format dummy."""
import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, PreTrainedTokenizerFast

out, layers = sys.argv[1], int(sys.argv[2])
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
tokenizer.train_from_iterator(["hello world " * 50], trainers.BpeTrainer(
    vocab_size=320, special_tokens=["<s>", "</s>", "<pad>"],
    initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>").save_pretrained(out)
LlamaConfig(hidden_size=256, intermediate_size=512, num_hidden_layers=layers, num_attention_heads=4,
            num_key_value_heads=4, vocab_size=512, max_position_embeddings=512,
            architectures=["LlamaForCausalLM"], torch_dtype="bfloat16",
            bos_token_id=0, eos_token_id=1).save_pretrained(out)
