"""What `parfocal bench` is made of: a random base and adapters, the server under load, PEFT beside it."""
