//! The commands about the program itself: the local server's state, the configuration, completions, the
//! manual page.

use std::io::{BufRead as _, Read as _};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD;
use clap::CommandFactory as _;

use super::args::{Cli, CommonArgs, ConfigCommand, ServerCommand};
use super::exit::{Exit, Failure};
use super::output::{Output, sanitise};
use super::settings::{keys_section, settings};
use crate::config::{self, Places};
use crate::local::{self, Files};
use crate::wire::{Scope, SecretHash, access};

/// The most of the local server's log that is printed, in bytes.
const LONGEST_LOG: u64 = 1024 * 1024;
/// The most that is read of a secret, in bytes.
const LONGEST_SECRET: u64 = 4096;

/// Looks at the local server, or stops it. No configuration is read: a broken one must not keep anybody from
/// stopping the server.
pub(super) async fn server(common: &CommonArgs, command: &ServerCommand) -> Result<Exit, Failure> {
    if let ServerCommand::HashSecret { new, scope } = *command {
        return hash_secret(new, scope);
    }
    if common.url.is_some() || common.profile.is_some() {
        return Err(Failure::usage(
            "`server` is about the local server of this machine: it takes no --url and no --profile",
        ));
    }
    let files = Files::in_dir(Places::find()?.state_dir());
    let mut out = Output::new();
    match command {
        ServerCommand::Status => match local::status(&files).await? {
            None => out.line(b"the local server does not run; the next command that needs it starts it")?,
            Some(status) => {
                let model = if status.info.demo {
                    "the built-in demo"
                } else {
                    &status.info.model
                };
                let text = format!(
                    "the local server runs\n  process  {}\n  address  http://127.0.0.1:{}\n  version  {}\n  model    {model}\n  runs     {} live, {} kept\n  log      {}\n",
                    status.pid,
                    status.port,
                    status.info.version,
                    status.info.live_runs.unwrap_or_default(),
                    status.runs.len(),
                    files.log().display()
                );
                out.text(&text)?;
            }
        },
        ServerCommand::Stop { force } => {
            let stopped = local::stop(&files, *force).await?;
            out.note(if stopped {
                "the local server has stopped; an open terminal program starts a new one"
            } else {
                "the local server does not run"
            });
        }
        // It asks no server; it was carried out above.
        ServerCommand::HashSecret { .. } => {}
        ServerCommand::Logs => match files.read_log(0, LONGEST_LOG) {
            Ok(log) => out.text(&log)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                out.note("there is no log; the local server was never started");
            }
            Err(error) => {
                let place = files.log();
                return Err(Failure::new(
                    Exit::Other,
                    format!("cannot read {}: {error}", place.display()),
                ));
            }
        },
    }
    Ok(Exit::Done)
}

/// Prints what the configuration keeps of a secret: one that is read, or a new one.
fn hash_secret(new: bool, scope: Scope) -> Result<Exit, Failure> {
    let mut out = Output::new();
    let secret = if new {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)
            .map_err(|error| Failure::new(Exit::Other, format!("the system gives no random numbers: {error}")))?;
        // What it begins with lets tools that look for secrets in the wrong places find it.
        let secret = format!("sb_{}", URL_SAFE_NO_PAD.encode(bytes));
        out.line(secret.as_bytes())?;
        secret
    } else {
        let mut text = String::new();
        // More than any secret, and not without end.
        let mut input = std::io::stdin().lock().take(LONGEST_SECRET);
        input
            .read_line(&mut text)
            .map_err(|error| Failure::usage(format!("the secret cannot be read from standard input: {error}")))?;
        let secret = text.trim().to_owned();
        access::check_strength(&secret).map_err(Failure::usage)?;
        secret
    };
    let hash = SecretHash::of(secret.as_bytes());
    let line = format!("secrets = [{{ hash = \"{hash}\", scope = \"{}\" }}]", scope.as_str());
    out.line(line.as_bytes())?;
    if new {
        out.note("the first line is the secret, for its owner; the second belongs under [server.accounts.NAME]");
    }
    Ok(Exit::Done)
}

/// Looks at the configuration.
pub(super) fn config(common: CommonArgs, command: &ConfigCommand) -> Result<Exit, Failure> {
    let mut out = Output::new();
    match command {
        // The place is told even when what is there is refused.
        ConfigCommand::Path => {
            let path = match &common.config {
                Some(path) => path.clone(),
                None => Places::find()?.config_file(),
            };
            out.line(path.as_os_str().as_encoded_bytes())?;
        }
        ConfigCommand::Check => {
            let loaded = config::load(common.config.as_deref(), &Places::find()?)?;
            let (_, warnings) = settings(&loaded)?;
            for warning in warnings {
                out.note(&warning.to_string());
            }
            let place = loaded.path.display();
            let text = if loaded.found {
                format!("{place} is good")
            } else {
                format!("there is no file {place}; everything has its default")
            };
            out.line(sanitise(&text).as_bytes())?;
        }
        ConfigCommand::Keys => {
            let loaded = config::load(common.config.as_deref(), &Places::find()?)?;
            let (settings, _) = settings(&loaded)?;
            out.text(&keys_section(&settings.keymap))?;
        }
    }
    Ok(Exit::Done)
}

/// Prints a shell's completion script.
pub(super) fn completions(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "switchboard", &mut script);
    Output::new().line(script.trim_ascii_end())?;
    Ok(Exit::Done)
}

/// Prints the manual page.
pub(super) fn man() -> Result<Exit, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut page)
        .map_err(|error| Failure::new(Exit::Other, format!("the manual page cannot be made: {error}")))?;
    Output::new().line(page.trim_ascii_end())?;
    Ok(Exit::Done)
}
