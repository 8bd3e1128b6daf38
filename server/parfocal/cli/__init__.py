"""The one command, `parfocal`. Every subcommand is a thin call; torch and gRPC come only where needed."""
