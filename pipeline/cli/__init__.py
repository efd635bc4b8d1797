"""The command line: stages for DVC, commands for people, benchmarks."""
