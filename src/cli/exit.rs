//! How a command ends: its exit code, and what it says on standard error when it did not work.

use std::process::ExitCode;

use crate::client::ClientError;
use crate::config::ConfigError;
use crate::config::select::ChoiceError;
use crate::local::LocalError;

/// The exit codes, as `--help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It worked; a watched run ended by itself.
    Done = 0,
    /// Something else went wrong.
    Other = 1,
    /// The arguments, the input or the configuration are wrong.
    Usage = 2,
    /// The run failed.
    Failed = 3,
    /// The run was cancelled.
    Aborted = 4,
    /// The run ended with a function call that its caller is to handle.
    Activity = 5,
    /// The run reached its limit.
    Limit = 6,
    /// `--timeout` passed first.
    Timeout = 7,
    /// No server could be reached or started, or the local server ended.
    Unreachable = 8,
    /// The server refused.
    Refused = 9,
    /// Ctrl-C. Other commands than `watch` are ended by the signal itself, which shells show as the same.
    Interrupted = 130,
}

impl Exit {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Done,
        Self::Other,
        Self::Usage,
        Self::Failed,
        Self::Aborted,
        Self::Activity,
        Self::Limit,
        Self::Timeout,
        Self::Unreachable,
        Self::Refused,
        Self::Interrupted,
    ];
}

/// The table that `--help` ends with.
pub const EXIT_CODES: &str = "\
Exit codes:
    0  it worked; the watched run ended by itself (stop, length)
    1  something else went wrong
    2  the arguments, the input or the configuration are wrong
    3  the run failed
    4  the run was cancelled
    5  the run ended with a function call that its caller is to handle
    6  the run reached its limit of iterations or calls
    7  the time of --timeout passed first
    8  the server cannot be reached; the local server cannot be started, or has ended
    9  the server refused: the token, the channel, the request
  130  interrupted (Ctrl-C)";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not work: what happened and what to do, and the code to leave with.
#[derive(Debug)]
pub struct Failure {
    /// The code to leave with.
    pub exit: Exit,
    /// What happened and what to do.
    pub message: String,
}

impl Failure {
    /// A failure with its code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }

    /// Wrong arguments, input or configuration.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<ChoiceError> for Failure {
    fn from(error: ChoiceError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::Api { .. } | ClientError::Redirect { .. } | ClientError::BadAnswer { .. } => Exit::Refused,
            ClientError::Setup { .. } => Exit::Usage,
            ClientError::Connect { .. }
            | ClientError::Timeout { .. }
            | ClientError::Tls { .. }
            | ClientError::NoCertificates { .. }
            | ClientError::Lost { .. } => Exit::Unreachable,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<LocalError> for Failure {
    fn from(error: LocalError) -> Self {
        match error {
            LocalError::Client(error) => error.into(),
            LocalError::Busy { .. } => Self::new(Exit::Refused, error.to_string()),
            other => Self::new(Exit::Unreachable, other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_and_the_readme_list_every_code() {
        let readme = include_str!("../../README.md");
        for exit in Exit::ALL {
            assert!(EXIT_CODES.contains(&format!("\n{:>5}  ", exit as u8)), "{exit:?}");
            assert!(readme.contains(&format!("\n| {} | ", exit as u8)), "{exit:?}");
        }
    }
}
