//! How much of a transcript is shown, and which times stand beside it: choices, and what follows from them.

use serde::{Deserialize, Serialize};

use crate::transcript::{Block, BlockKind, CallState};

/// How much of a transcript is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Detail {
    /// Everything; reasoning and calls are folded until they are opened.
    #[default]
    Full,
    /// What was asked and answered; reasoning and calls on one line each, no usage, no operations.
    Summary,
    /// What the bot wrote, and what must not be missed.
    Answers,
}

impl Detail {
    /// The next choice in the circle.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Full => Self::Summary,
            Self::Summary => Self::Answers,
            Self::Answers => Self::Full,
        }
    }

    /// Its name for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Summary => "summary",
            Self::Answers => "answers only",
        }
    }

    /// Whether a block is shown. What failed, what waits and what is missing always is.
    #[must_use]
    pub fn shows(self, block: &Block) -> bool {
        match &block.kind {
            BlockKind::Failure { .. } | BlockKind::Gap { .. } | BlockKind::Trimmed { .. } => true,
            BlockKind::Call {
                state: CallState::Waiting { .. },
                ..
            } => true,
            BlockKind::Answer { .. } => self == Self::Full || !block.superseded,
            BlockKind::End { reason, .. } => self != Self::Answers || reason != "stop",
            BlockKind::Prompt { .. } | BlockKind::Reasoning { .. } | BlockKind::Call { .. } => {
                self == Self::Full || self == Self::Summary && !block.superseded
            }
            BlockKind::Abort { .. } | BlockKind::Published { .. } => self != Self::Answers,
            BlockKind::Usage { .. } | BlockKind::Operation { .. } | BlockKind::Note { .. } => self == Self::Full,
        }
    }

    /// Whether a folded block is one line and no more.
    #[must_use]
    pub fn is_brief(self) -> bool {
        self != Self::Full
    }
}

/// Which times stand beside the parts of a transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Times {
    /// When each prompt was written.
    #[default]
    Prompts,
    /// How long ago every part began.
    Relative,
    /// When every part began.
    Absolute,
    /// None.
    Off,
}

impl Times {
    /// The next choice in the circle.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Prompts => Self::Relative,
            Self::Relative => Self::Absolute,
            Self::Absolute => Self::Off,
            Self::Off => Self::Prompts,
        }
    }

    /// Its name for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Prompts => "of prompts",
            Self::Relative => "relative",
            Self::Absolute => "absolute",
            Self::Off => "off",
        }
    }
}
