//! The arguments of the command line, as clap reads them. What they do is said elsewhere.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use super::exit::EXIT_CODES;
use crate::config::{ColorChoice, LogFormat, LogLevel};
use crate::wire::Scope;

/// Watch, start and answer AI runs that go on in the background.
#[derive(Debug, Parser)]
#[command(name = "switchboard", version, help_template = TEMPLATE, after_help = after_help())]
pub struct Cli {
    /// Which configuration and which server.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Draw with ASCII characters alone
    #[arg(long)]
    pub ascii: bool,
    /// Print labelled lines and read commands instead of drawing a screen, for screen readers and pipes
    #[arg(long)]
    pub linear: bool,
    /// When to use colours [default: auto]
    #[arg(long, value_name = "WHEN", value_parser = color)]
    pub color: Option<ColorChoice>,
    /// Show a read-only dashboard of all runs, for a screen on the wall; Ctrl-C twice leaves it
    #[arg(long)]
    pub kiosk: bool,
    /// Announce runs on this channel, and watch those that others announce there
    #[arg(long, value_name = "ID", env = "SWITCHBOARD_LOBBY", hide_env_values = true)]
    pub lobby: Option<String>,
    /// What to do; without it the terminal program.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The help's first screen, for someone who sees the program for the first time.
const TEMPLATE: &str = "\
{about}

Nothing needs to be set up: commands start a server of your own on this machine when they need one,
and its built-in demo model answers when no other is found.

First steps:
  switchboard                              open the terminal program
  id=$(switchboard dispatch \"Plan a trip\")  start a run; it goes on by itself
  switchboard watch $id                    see it from its beginning to its end
  switchboard runs                         list the runs

{usage-heading} {usage}

{all-args}{after-help}";

/// Which server a command talks to.
const WHICH_SERVER: &str = "\
Which server, the first that is given:
  --url, --profile or --local
  SWITCHBOARD_URL with SWITCHBOARD_TOKEN
  CHATBOTKIT_API_SECRET, CHATBOTKIT_API_TOKEN or CHATBOTKIT_API_KEY: the hosted service
  the profile that the configuration names
  the local server: started when it is needed, it goes on by itself (see `switchboard server`)";

fn after_help() -> String {
    format!("{WHICH_SERVER}\n\n{EXIT_CODES}")
}

/// An example, and the exit codes after it.
fn with_codes(example: &str) -> String {
    format!("{example}\n\n{EXIT_CODES}")
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// The configuration file; SWITCHBOARD_CONFIG names it too
    #[arg(
        long,
        global = true,
        env = "SWITCHBOARD_CONFIG",
        hide_env = true,
        value_name = "FILE"
    )]
    pub config: Option<PathBuf>,
    /// Talk to the server at this address; its token is in SWITCHBOARD_TOKEN
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,
    /// Talk to the server of this profile of the configuration
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// Talk to the local server, whatever the environment and the configuration say
    #[arg(long, global = true)]
    pub local: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a run in the background and print the id of its channel
    #[command(after_help = "Example:\n  id=$(switchboard dispatch \"Compare three vector databases\")")]
    Dispatch(DispatchArgs),
    /// Show a run from its beginning and follow it to its end
    #[command(after_help = with_codes("Example:\n  switchboard watch $id --timeout 5m"))]
    Watch(WatchArgs),
    /// Run a prompt and print its answer as it comes
    #[command(after_help = with_codes("Example:\n  git diff | switchboard complete - --backstory \"Write a commit message\""))]
    Complete(CompleteArgs),
    /// Publish a JSON message on a channel, such as the answer to a function call
    #[command(
        after_help = "Example:\n  switchboard publish $id '{\"data\": {\"approved\": true}}'\n\nThe answer to a call goes to the \
                      channel that the call names; `watch` and `runs` show it."
    )]
    Publish(PublishArgs),
    /// Stop the run of a channel
    #[command(after_help = "Example:\n  switchboard cancel $id")]
    Cancel(CancelArgs),
    /// List the runs of the server, newest first
    #[command(after_help = "Example:\n  switchboard runs --json | jq -r 'select(.status == \"waiting\") | .channelId'")]
    Runs(RunsArgs),
    /// Serve the API to others
    #[command(after_help = "Example:\n  SWITCHBOARD_SECRET=change-me switchboard serve --listen 127.0.0.1:8787")]
    Serve(ServeArgs),
    /// Look at the local server, or stop it
    #[command(after_help = "Example:\n  switchboard server status")]
    Server {
        /// What to do with it.
        #[command(subcommand)]
        command: ServerCommand,
    },
    /// Find and check the configuration
    #[command(after_help = "Example:\n  switchboard config check")]
    Config {
        /// What to do with it.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print a shell's completion script
    #[command(
        after_help = "Example:\n  switchboard completions bash > ~/.local/share/bash-completion/completions/switchboard"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = "Example:\n  switchboard man > switchboard.1")]
    Man,
    /// The local server's own process; started by the other commands.
    #[command(hide = true)]
    LocalServer,
}

/// What a run is asked for.
#[derive(Debug, Args)]
pub struct RequestArgs {
    /// The prompt; `-` reads it from standard input
    #[arg(required_unless_present = "body", conflicts_with = "body")]
    pub prompt: Option<String>,
    /// The model to use; the server's own without it
    #[arg(long, conflicts_with = "body")]
    pub model: Option<String>,
    /// Who the model is and what it should do
    #[arg(long, value_name = "TEXT", conflicts_with = "body")]
    pub backstory: Option<String>,
    /// The whole request as JSON (messages, functions, limits, …) from a file; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub body: Option<String>,
}

/// `dispatch`.
#[derive(Debug, Args)]
pub struct DispatchArgs {
    /// What is asked for.
    #[command(flatten)]
    pub request: RequestArgs,
    /// The channel's id, of at least 16 characters; a new one is made without it
    #[arg(long, value_name = "ID")]
    pub channel: Option<String>,
}

/// `watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// The channel's id
    pub channel: String,
    /// Print the events as JSON lines, as they came. A published message is
    /// `{"type":"published","data":…}`; `gap` and `reset` lines say that events are missing
    #[arg(long)]
    pub json: bool,
    /// Leave after this time, such as 30s or 5m, with exit code 7
    #[arg(long, value_name = "TIME", value_parser = time_span)]
    pub timeout: Option<Duration>,
    /// Stay when the run has ended, for what is published
    #[arg(long)]
    pub stay: bool,
}

/// `complete`.
#[derive(Debug, Args)]
pub struct CompleteArgs {
    /// What is asked for.
    #[command(flatten)]
    pub request: RequestArgs,
    /// Print the events as JSON lines, as they came
    #[arg(long)]
    pub json: bool,
    /// Stop the run after this time, such as 30s or 5m, and leave with exit code 7
    #[arg(long, value_name = "TIME", value_parser = time_span)]
    pub timeout: Option<Duration>,
}

/// `publish`.
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// The channel's id
    pub channel: String,
    /// The message as JSON, such as '{"data": 42}'; `-` reads it from standard input
    pub message: String,
}

/// `cancel`.
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// The channel's id
    pub channel: String,
}

/// `runs`.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// Print JSON lines
    #[arg(long)]
    pub json: bool,
}

/// `serve`.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// Where to listen [default: 127.0.0.1:7280]
    #[arg(long, env = "SWITCHBOARD_LISTEN", value_name = "ADDRESS:PORT", value_parser = address)]
    pub listen: Option<SocketAddr>,
    /// Where runs are kept: a directory that is this server's alone [default: in the platform's place for data]
    #[arg(long, env = "SWITCHBOARD_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// How much to log [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
    /// The form of the log [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Read everything that a start reads, say what is wrong with it, and do not start
    #[arg(long)]
    pub check: bool,
    /// The model to use.
    #[command(flatten)]
    pub model: ModelArgs,
}

/// Which model a server uses.
#[derive(Debug, Clone, Default, Args)]
pub struct ModelArgs {
    /// A model's endpoint that speaks OpenAI's protocol; its key is in SWITCHBOARD_MODEL_KEY
    #[arg(long, env = "SWITCHBOARD_MODEL_URL", value_name = "URL")]
    pub model_url: Option<String>,
    /// The model's name there
    #[arg(long = "model", env = "SWITCHBOARD_MODEL", value_name = "NAME")]
    pub model_name: Option<String>,
    /// Use the built-in demo model and ask no endpoint
    #[arg(long, conflicts_with_all = ["model_url", "model_name"])]
    pub demo: bool,
}

/// `server`.
#[derive(Debug, Subcommand)]
pub enum ServerCommand {
    /// Say whether it runs, and how
    #[command(after_help = "Example:\n  switchboard server status")]
    Status,
    /// Stop it
    #[command(after_help = "Example:\n  switchboard server stop --force")]
    Stop {
        /// Also with runs that go on, and when it does not answer
        #[arg(long)]
        force: bool,
    },
    /// Print its log
    #[command(after_help = "Example:\n  switchboard server logs | tail")]
    Logs,
    /// Print the hash of a secret, for [server.accounts.NAME] of the configuration
    #[command(
        after_help = "Example:\n  switchboard server hash-secret --new --scope watch\n\nWithout --new the secret is read \
                      from standard input. The first line that --new prints is the secret: it is kept nowhere."
    )]
    HashSecret {
        /// Make a new secret, and print it first
        #[arg(long)]
        new: bool,
        /// What it may do: full, watch (subscribe and list) or answer (publish)
        #[arg(long, default_value = "full", value_parser = scope)]
        scope: Scope,
    },
}

/// `config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the place of the configuration file
    #[command(after_help = "Example:\n  $EDITOR \"$(switchboard config path)\"")]
    Path,
    /// Read the configuration and say what is wrong with it
    #[command(after_help = "Example:\n  switchboard config check --config other.toml")]
    Check,
    /// Print which keys do what, as the section [keys] of the configuration
    #[command(after_help = "Example:\n  switchboard config keys | grep Ctrl-")]
    Keys,
}

fn color(text: &str) -> Result<ColorChoice, String> {
    match text {
        "auto" => Ok(ColorChoice::Auto),
        "always" => Ok(ColorChoice::Always),
        "never" => Ok(ColorChoice::Never),
        other => Err(format!("`{other}` is not one of auto, always, never")),
    }
}

fn scope(text: &str) -> Result<Scope, String> {
    [Scope::Full, Scope::Watch, Scope::Answer]
        .into_iter()
        .find(|scope| scope.as_str() == text)
        .ok_or_else(|| format!("`{text}` is not one of full, watch, answer"))
}

fn time_span(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "expected a number with a unit, such as 30s, 5m or 1h30m".to_owned())
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "expected an IP address with a port, such as 127.0.0.1:7280 or 0.0.0.0:7280".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn every_command_shows_an_example() {
        fn check(command: &clap::Command) {
            for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.starts_with("Example:\n  "), "{}", command.get_name());
                assert!(help.contains("switchboard"), "{}", command.get_name());
                check(command);
            }
        }
        check(&Cli::command());
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }
}
