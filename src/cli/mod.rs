//! The command line: reads the arguments, runs one command, and says how it ended.
//!
//! The commands themselves are in the files beside this one. It draws nothing: without a command it
//! hands over to the terminal program.

mod abilities;
mod args;
mod commands;
mod context;
mod exit;
mod info;
mod logging;
mod model;
mod output;
mod printer;
mod problem;
mod request;
mod serve;
mod settings;
mod terminal;
mod wall;
mod watch;

use std::ffi::OsString;
use std::future::Future;
use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command};
use context::Context;
pub use exit::{EXIT_CODES, Exit, Failure};

/// Runs what the arguments ask for; the first one is the program's name. Failures are told on standard
/// error.
#[must_use]
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and the version are "errors" too, with code 0 and on standard output.
            let _ = error.print();
            return u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    match execute(cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("switchboard: {}", output::sanitise(&failure.message));
            }
            failure.exit.into()
        }
    }
}

fn execute(cli: Cli) -> Result<Exit, Failure> {
    let Cli {
        common,
        ascii,
        color,
        linear,
        kiosk,
        lobby,
        command,
    } = cli;
    let Some(command) = command else {
        let looks = terminal::Looks { ascii, color, linear };
        return terminal::run(Context::load(common)?, looks, wall::WallFlags { kiosk, lobby });
    };
    match command {
        Command::Serve(args) => serve::serve(&Context::load(common)?, &args),
        Command::LocalServer => serve::local_server(&Context::load(common)?),
        Command::Dispatch(args) => client_command(async { commands::dispatch(&Context::load(common)?, &args).await }),
        Command::Watch(args) => client_command(async { watch::watch(&Context::load(common)?, &args).await }),
        Command::Complete(args) => client_command(async { watch::complete(&Context::load(common)?, &args).await }),
        Command::Publish(args) => client_command(async { commands::publish(&Context::load(common)?, &args).await }),
        Command::Cancel(args) => client_command(async { commands::cancel(&Context::load(common)?, &args).await }),
        Command::Runs(args) => client_command(async { commands::runs(&Context::load(common)?, &args).await }),
        Command::Server { command } => client_command(info::server(&common, &command)),
        Command::Config { command } => info::config(common, &command),
        Command::Completions { shell } => info::completions(shell),
        Command::Man => info::man(),
    }
}

/// Runs a command that talks to a server, on one thread. An interrupt ends the process at once: nothing
/// here needs to be put right first.
fn client_command(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    logging::to_standard_error("warn");
    one_thread()?.block_on(command)
}

/// A runtime of one thread.
fn one_thread() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(runtime_failure)
}

fn runtime_failure(error: std::io::Error) -> Failure {
    Failure::new(
        Exit::Other,
        format!("the system refuses what the program needs to run: {error}"),
    )
}
