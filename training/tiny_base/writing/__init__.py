"""What documents are written with: words, scenes and the facts they state, records, chance."""
