"""Portrait datasets: schema, shards, and the arrays that training reads."""
