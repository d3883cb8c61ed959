//! The section `[notifications]`: what is told beside the screen, and how.

use serde::Deserialize;

/// How each kind of news is told while nobody looks at the terminal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotificationsConfig {
    /// A run ended by itself.
    pub finished: NotifyChoice,
    /// A run failed.
    pub failed: NotifyChoice,
    /// A run waits for an answer.
    pub waiting: NotifyChoice,
}

/// How something is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotifyChoice {
    /// Not at all.
    Off,
    /// The terminal's bell.
    Bell,
    /// OSC 9.
    Osc9,
    /// OSC 777.
    Osc777,
    /// OSC 99.
    Osc99,
    /// What the terminal is known to take, else the bell.
    #[default]
    Auto,
}
