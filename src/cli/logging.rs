//! Where the program's own log goes: standard error for commands and servers, a file for the terminal
//! program. `SWITCHBOARD_LOG` chooses what is logged, in the form of tracing's filters.

use std::io::IsTerminal as _;
use std::path::Path;

use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat, LogLevel};

/// How many days of the terminal program's log are kept.
const DAYS: usize = 3;

fn filter(default: &str) -> EnvFilter {
    let asked = std::env::var("SWITCHBOARD_LOG").ok();
    asked
        .and_then(|directives| EnvFilter::try_new(directives).ok())
        .unwrap_or_else(|| EnvFilter::new(default))
}

/// Logs to standard error.
pub(super) fn to_standard_error(default: &str) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // A second call, as in tests, changes nothing.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter(default))
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .try_init();
}

/// Logs to standard error as a server's configuration says, if `SWITCHBOARD_LOG` says nothing else. Other crates are
/// heard when they warn.
pub(super) fn of_server(config: LogConfig) {
    let default = match config.level {
        LogLevel::Error => "error".to_owned(),
        LogLevel::Warn => "warn".to_owned(),
        level => format!("warn,switchboard={}", level.as_str()),
    };
    if config.format == LogFormat::Text {
        return to_standard_error(&default);
    }
    // A second call, as in tests, changes nothing.
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_env_filter(filter(&default))
        .with_writer(std::io::stderr)
        .try_init();
}

/// Logs to files in a directory, one a day, a few kept. What is not written yet is written when the guard
/// is dropped. Without a usable directory nothing is logged.
#[must_use]
pub(super) fn to_files(dir: &Path, default: &str) -> Option<WorkerGuard> {
    std::fs::create_dir_all(dir).ok()?;
    let appender = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("terminal")
        .filename_suffix("log")
        .max_log_files(DAYS)
        .build(dir)
        .ok()?;
    let (writer, guard) = tracing_appender::non_blocking(appender);
    tracing_subscriber::fmt()
        .with_env_filter(filter(default))
        .with_writer(writer)
        .with_ansi(false)
        .try_init()
        .ok()?;
    Some(guard)
}
