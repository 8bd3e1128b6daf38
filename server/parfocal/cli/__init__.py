"""The one command, `parfocal`. Every subcommand is a thin call; torch and gRPC load only where needed."""
