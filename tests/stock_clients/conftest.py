"""What stock clients run are programs, each in a venv with its own client: nothing to collect."""

collect_ignore = [
    "adapter.py",
    "curl_client.py",
    "grpc_client.py",
    "hub_client.py",
    "hub_endpoint.py",
    "hub_peft.py",
    "langchain_client.py",
    "llama_cpp_lora.py",
    "openai_client.py",
    "requirements_of.py",
    "scores.py",
    "vllm_lora.py",
]
