//! How things look: styles of the 16 terminal colours (or none) and glyphs (or ASCII).
//!
//! Colour carries nothing that a glyph or a word does not also carry.

use ratatui::style::{Color, Modifier, Style};

use crate::app::ChannelState;
use crate::text::Role;

use super::UiOptions;

/// Styles and glyphs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Theme {
    color: bool,
    /// Between panes that have not the focus.
    pub rule: &'static str,
    /// The title bar of the pane in focus.
    pub heavy: &'static str,
    /// Between panes side by side.
    pub bar: &'static str,
    /// Where `bar` begins.
    pub tee_down: &'static str,
    /// Where `bar` ends.
    pub tee_up: &'static str,
    /// Where `bar` crosses a rule.
    pub cross: &'static str,
    /// Where a rule begins at `bar`.
    pub tee_right: &'static str,
    /// Where a rule ends at `bar`.
    pub tee_left: &'static str,
    /// In front of what is selected, and behind what is still streaming.
    pub mark: &'static str,
    /// In front of what was not looked at.
    pub unread: &'static str,
    /// Something was cut off here.
    pub ellipsis: &'static str,
}

impl Theme {
    pub fn new(options: UiOptions) -> Self {
        if options.ascii {
            Self {
                color: options.color,
                rule: "-",
                heavy: "=",
                bar: "|",
                tee_down: "+",
                tee_up: "+",
                cross: "+",
                tee_right: "+",
                tee_left: "+",
                mark: "|",
                unread: "o",
                ellipsis: "~",
            }
        } else {
            Self {
                color: options.color,
                rule: "─",
                heavy: "━",
                bar: "│",
                tee_down: "┬",
                tee_up: "┴",
                cross: "┼",
                tee_right: "├",
                tee_left: "┤",
                mark: "▌",
                unread: "•",
                ellipsis: "…",
            }
        }
    }

    fn colored(&self, color: Color) -> Style {
        if self.color {
            Style::new().fg(color)
        } else {
            Style::new()
        }
    }

    pub fn plain(&self) -> Style {
        Style::new()
    }

    pub fn bold(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Secondary text.
    pub fn dim(&self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// The one accent: what has the focus, what is marked.
    pub fn accent(&self) -> Style {
        self.colored(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    pub fn error(&self) -> Style {
        self.colored(Color::Red)
    }

    pub fn warning(&self) -> Style {
        self.colored(Color::Yellow)
    }

    pub fn good(&self) -> Style {
        self.colored(Color::Green)
    }

    /// A channel of the merged tail, told apart from its neighbours by colour beside its number.
    pub fn lane(&self, number: u32) -> Style {
        let colors = [Color::Cyan, Color::Green, Color::Yellow, Color::Magenta, Color::Blue];
        self.colored(colors[number as usize % colors.len()])
    }

    /// The cell that the next character is typed into.
    pub fn cursor(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// A pane's title bar.
    pub fn bar_style(&self, focused: bool) -> Style {
        if focused { self.accent() } else { self.dim() }
    }

    /// The glyph and the style of a channel's state.
    pub fn state(&self, state: ChannelState) -> (&'static str, Style) {
        match state {
            ChannelState::Connecting | ChannelState::Quiet => (".", self.dim()),
            ChannelState::NotKept => ("_", self.dim()),
            ChannelState::Queued => (":", self.plain()),
            ChannelState::Live => ("*", self.good()),
            ChannelState::Waiting => ("!", self.warning().add_modifier(Modifier::BOLD)),
            ChannelState::Done => ("+", self.colored(Color::Blue)),
            ChannelState::Failed => ("x", self.error()),
            ChannelState::Cancelled => ("-", self.dim()),
            ChannelState::Reconnecting { .. } => ("~", self.warning()),
        }
    }

    /// The style of a piece of laid-out text.
    pub fn role(&self, role: Role) -> Style {
        match role {
            Role::Plain | Role::Link => self.plain(),
            Role::Heading(_) | Role::Strong | Role::TableHeader => self.bold(),
            Role::Emphasis => Style::new().add_modifier(Modifier::ITALIC),
            Role::StrongEmphasis => Style::new().add_modifier(Modifier::BOLD | Modifier::ITALIC),
            Role::Strike => Style::new().add_modifier(Modifier::CROSSED_OUT),
            Role::Code | Role::CodeBlock => self.colored(Color::Yellow),
            Role::CodeInfo
            | Role::QuoteBar
            | Role::Quote
            | Role::LinkTarget
            | Role::Rule
            | Role::TableBorder
            | Role::Muted => self.dim(),
            Role::ListMarker => self.colored(Color::Cyan),
        }
    }
}

/// Turns the glyphs that the program and its layout of text draw into ASCII; what the text itself says stays.
pub(super) fn to_ascii(buffer: &mut ratatui::buffer::Buffer) {
    for cell in &mut buffer.content {
        let ascii = match cell.symbol() {
            "…" => "~",
            "•" | "◦" | "▪" => "*",
            "│" | "▌" | "▏" => "|",
            "─" => "-",
            "━" => "=",
            "┼" | "┬" | "┴" | "├" | "┤" => "+",
            "⏎" => "/",
            // What is not to be shown as it is; the text's own letters stay.
            "\u{fffd}" => "?",
            _ => continue,
        };
        cell.set_symbol(ascii);
    }
}
