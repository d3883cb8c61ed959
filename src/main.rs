//! The `switchboard` command: reads the arguments, runs what they ask for, exits with its code.

fn main() {}
