"""The commands of `match`, a file for each group: parse, one library call, print."""
