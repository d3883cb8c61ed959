//! How things look: styles in the theme's colours, as far as the terminal has them (or none), and glyphs (or ASCII).
//!
//! Which theme is on is the state's matter. Colour carries nothing that a glyph or a word does not also carry.

use ratatui::style::{Color, Modifier, Style};

use crate::app::{App, ChannelState};
use crate::config::theme::{Paint, Palette};
use crate::text::Role;

use super::UiOptions;

/// How many colours a terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColorDepth {
    /// 16.
    Sixteen,
    /// 256.
    Indexed,
    /// 16 millions.
    #[default]
    True,
}

impl ColorDepth {
    /// What the environment says of the terminal. `get` looks up a variable.
    #[must_use]
    pub fn detect(get: impl Fn(&str) -> Option<String>) -> Self {
        let says =
            |name: &str, words: &[&str]| get(name).is_some_and(|value| words.iter().any(|word| value.contains(word)));
        if says("COLORTERM", &["truecolor", "24bit"]) || says("TERM", &["-direct", "truecolor"]) {
            Self::True
        } else if says("TERM", &["256"]) {
            Self::Indexed
        } else {
            Self::Sixteen
        }
    }

    /// The nearest colour that the terminal has; `None`: its own.
    fn color(self, paint: Paint) -> Option<Color> {
        match (paint, self) {
            (Paint::Default, _) => None,
            (Paint::Named(number), _) => Some(NAMED[usize::from(number) % NAMED.len()]),
            (Paint::Rgb(red, green, blue), Self::True) => Some(Color::Rgb(red, green, blue)),
            (Paint::Rgb(red, green, blue), Self::Indexed) => Some(Color::Indexed(indexed([red, green, blue]))),
            (Paint::Rgb(red, green, blue), Self::Sixteen) => Some(named([red, green, blue])),
        }
    }
}

/// The 16 colours in the order of their numbers.
const NAMED: [Color; 16] = [
    Color::Black,
    Color::Red,
    Color::Green,
    Color::Yellow,
    Color::Blue,
    Color::Magenta,
    Color::Cyan,
    Color::Gray,
    Color::DarkGray,
    Color::LightRed,
    Color::LightGreen,
    Color::LightYellow,
    Color::LightBlue,
    Color::LightMagenta,
    Color::LightCyan,
    Color::White,
];

/// The steps of the cube of 6 x 6 x 6 colours among the 256.
const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// How far two colours are from each other, weighed as eyes do.
fn distance(one: [u8; 3], other: [u8; 3]) -> u32 {
    let parts = [(0, 30), (1, 59), (2, 11)];
    parts
        .iter()
        .map(|(at, weight)| u32::from(one[*at].abs_diff(other[*at])).pow(2) * weight)
        .sum()
}

/// The one of the 16 colours that has this one's hue. By distance pale colours would all be grey, and what 16 colours
/// look like is the terminal's choice anyway.
fn named(color: [u8; 3]) -> Color {
    let [red, green, blue] = color.map(i32::from);
    let (most, least) = (red.max(green).max(blue), red.min(green).min(blue));
    let range = most - least;
    if range * 4 < most {
        return match most {
            0..64 => Color::Black,
            64..176 => Color::DarkGray,
            176..240 => Color::Gray,
            _ => Color::White,
        };
    }
    // In degrees around the circle of hues.
    let hue = if most == red {
        60 * (green - blue) / range
    } else if most == green {
        120 + 60 * (blue - red) / range
    } else {
        240 + 60 * (red - green) / range
    };
    match hue.rem_euclid(360) {
        20..70 => Color::Yellow,
        70..160 => Color::Green,
        160..200 => Color::Cyan,
        200..260 => Color::Blue,
        260..330 => Color::Magenta,
        _ => Color::Red,
    }
}

/// The nearest of the 240 colours that are the same everywhere: the cube and the greys.
fn indexed(color: [u8; 3]) -> u8 {
    let step = |value: u8| {
        (0_u8..6)
            .min_by_key(|at| STEPS[usize::from(*at)].abs_diff(value))
            .unwrap_or_default()
    };
    let [red, green, blue] = color.map(step);
    let cube = [red, green, blue].map(|at| STEPS[usize::from(at)]);
    let mean = color.iter().map(|value| u16::from(*value)).sum::<u16>() / 3;
    let grey = (0_u8..24)
        .min_by_key(|at| (8 + 10 * u16::from(*at)).abs_diff(mean))
        .unwrap_or_default();
    if distance([8 + 10 * grey; 3], color) < distance(cube, color) {
        232 + grey
    } else {
        16 + 36 * red + 6 * green + blue
    }
}

/// Styles and glyphs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Theme {
    color: bool,
    depth: ColorDepth,
    palette: Palette,
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
    /// Glyphs and styles of the theme that is on.
    pub fn of(options: UiOptions, app: &App) -> Self {
        Self {
            palette: app.palette(),
            ..Self::new(options)
        }
    }

    /// Glyphs for laying out; whatever is drawn has its colours by [`Self::of`].
    pub fn new(options: UiOptions) -> Self {
        let palette = Palette::default();
        if options.ascii {
            Self {
                color: options.color,
                depth: options.depth,
                palette,
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
                depth: options.depth,
                palette,
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

    fn painted(&self, paint: Paint) -> Style {
        match self.depth.color(paint).filter(|_| self.color) {
            Some(color) => Style::new().fg(color),
            None => Style::new(),
        }
    }

    /// In this colour; where that is the terminal's own, dimmed.
    fn dimmed(&self, paint: Paint) -> Style {
        let style = self.painted(paint);
        if style.fg.is_some() {
            style
        } else {
            style.add_modifier(Modifier::DIM)
        }
    }

    /// What everything stands on, where the theme has a background of its own. With 16 colours none is near enough
    /// to it: there the terminal's own stays.
    pub fn base(&self) -> Option<Style> {
        let Palette { background, text, .. } = self.palette;
        let is_plain = background == Paint::Default && text == Paint::Default;
        if !self.color || is_plain || self.depth == ColorDepth::Sixteen {
            return None;
        }
        let style = self.painted(text);
        Some(match self.depth.color(background) {
            Some(color) => style.bg(color),
            None => style,
        })
    }

    pub fn plain(&self) -> Style {
        Style::new()
    }

    pub fn bold(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Secondary text.
    pub fn dim(&self) -> Style {
        self.dimmed(self.palette.dim)
    }

    /// The one accent: what has the focus, what is marked.
    pub fn accent(&self) -> Style {
        self.painted(self.palette.accent).add_modifier(Modifier::BOLD)
    }

    pub fn error(&self) -> Style {
        self.painted(self.palette.error)
    }

    pub fn warning(&self) -> Style {
        self.painted(self.palette.warning)
    }

    pub fn good(&self) -> Style {
        self.painted(self.palette.good)
    }

    /// A channel of the merged tail, told apart from its neighbours by colour beside its number.
    pub fn lane(&self, number: u32) -> Style {
        let Palette {
            accent,
            good,
            warning,
            keyword,
            done,
            ..
        } = self.palette;
        let colors = [accent, good, warning, keyword, done];
        self.painted(colors[number as usize % colors.len()])
    }

    /// The cell that the next character is typed into.
    pub fn cursor(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// What was searched for: reversed, so that it is seen without colours too.
    pub fn found(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// The match that the search went to.
    pub fn found_here(&self) -> Style {
        self.painted(self.palette.accent)
            .add_modifier(Modifier::REVERSED | Modifier::BOLD | Modifier::UNDERLINED)
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
            ChannelState::Done => ("+", self.painted(self.palette.done)),
            ChannelState::Failed => ("x", self.error()),
            ChannelState::Cancelled => ("-", self.dim()),
            ChannelState::Replay => (">", self.accent()),
            ChannelState::Reconnecting { .. } => ("~", self.warning()),
        }
    }

    /// The style of a piece of laid-out text.
    pub fn role(&self, role: Role) -> Style {
        match role {
            Role::Plain => self.plain(),
            Role::Link => self.painted(self.palette.link),
            Role::Heading(_) => self.painted(self.palette.heading).add_modifier(Modifier::BOLD),
            Role::Strong | Role::TableHeader => self.bold(),
            Role::Emphasis => Style::new().add_modifier(Modifier::ITALIC),
            Role::StrongEmphasis => Style::new().add_modifier(Modifier::BOLD | Modifier::ITALIC),
            Role::Strike => Style::new().add_modifier(Modifier::CROSSED_OUT),
            Role::Code | Role::CodeBlock => self.painted(self.palette.code),
            Role::CodeText => self.plain(),
            Role::Keyword => self.painted(self.palette.keyword),
            Role::Str => self.painted(self.palette.string),
            Role::Comment => self.dimmed(self.palette.comment),
            Role::Number => self.painted(self.palette.number),
            Role::Function => self.painted(self.palette.function),
            Role::Type => self.painted(self.palette.type_name),
            Role::Inserted => self.painted(self.palette.good),
            Role::Deleted => self.painted(self.palette.error),
            Role::CodeInfo
            | Role::QuoteBar
            | Role::Quote
            | Role::LinkTarget
            | Role::Rule
            | Role::TableBorder
            | Role::Muted => self.dim(),
            Role::ListMarker => self.painted(self.palette.accent),
        }
    }
}

/// Turns the glyphs that the program and its layout of text draw into ASCII; what the text itself says stays.
pub(super) fn to_ascii(buffer: &mut ratatui::buffer::Buffer) {
    for cell in &mut buffer.content {
        let ascii = match cell.symbol() {
            "…" => "~",
            "·" => "-",
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
