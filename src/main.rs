//! The `switchboard` command: reads the arguments, runs what they ask for, exits with its code.

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Err(error) = color_eyre::install() {
        eprintln!("switchboard: reports of faults will be plain: {error}");
    }
    switchboard::cli::run(std::env::args_os())
}
