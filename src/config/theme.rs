//! Themes: which colour each role has, on dark and on light backgrounds, read from TOML.
//!
//! A theme comes with the program (`assets/themes`) or from a file of the person's own. How many colours a terminal
//! has, and drawing with them, is the screen's matter.

use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::{ConfigError, Problem};

/// The themes that come with the program, by name; the first is the default.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("terminal", include_str!("../../assets/themes/terminal.toml")),
    ("dusk", include_str!("../../assets/themes/dusk.toml")),
    ("moss", include_str!("../../assets/themes/moss.toml")),
    ("ember", include_str!("../../assets/themes/ember.toml")),
    ("clear", include_str!("../../assets/themes/clear.toml")),
];

/// The names of the 16 colours, in the order of their numbers.
const NAMES: [&str; 16] = [
    "black",
    "red",
    "green",
    "yellow",
    "blue",
    "magenta",
    "cyan",
    "white",
    "bright-black",
    "bright-red",
    "bright-green",
    "bright-yellow",
    "bright-blue",
    "bright-magenta",
    "bright-cyan",
    "bright-white",
];

/// What something is painted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Paint {
    /// The terminal's own colour of text or background.
    #[default]
    Default,
    /// One of the terminal's 16 colours.
    Named(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

impl Paint {
    /// Reads `#rrggbb`, one of the 16 names, or `default`.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "default" {
            return Ok(Self::Default);
        }
        if let Some(at) = NAMES.iter().position(|name| *name == text) {
            return Ok(Self::Named(u8::try_from(at).unwrap_or_default()));
        }
        let number = text
            .strip_prefix('#')
            .filter(|digits| digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok());
        match number {
            Some(number) => {
                let [_, red, green, blue] = number.to_be_bytes();
                Ok(Self::Rgb(red, green, blue))
            }
            None => Err(format!(
                "`{text}` is no colour, expected \"#rrggbb\", \"default\", or one of the terminal's: {}",
                NAMES.join(", ")
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Paint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

/// The colour of each role. Roles that a theme leaves out have the terminal's own colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Palette {
    /// Behind everything.
    pub background: Paint,
    /// Plain text.
    pub text: Paint,
    /// Secondary text; the terminal's own is dimmed.
    pub dim: Paint,
    /// What has the focus, what is marked.
    pub accent: Paint,
    /// Live, good.
    pub good: Paint,
    /// Waiting, not sure.
    pub warning: Paint,
    /// Failed.
    pub error: Paint,
    /// Done.
    pub done: Paint,
    /// Headings of markdown.
    pub heading: Paint,
    /// Links of markdown.
    pub link: Paint,
    /// Code, and what of it has no role of its own.
    pub code: Paint,
    /// Keywords of code.
    pub keyword: Paint,
    /// Strings of code.
    pub string: Paint,
    /// Comments of code; the terminal's own is dimmed.
    pub comment: Paint,
    /// Numbers of code.
    pub number: Paint,
    /// Names of functions in code.
    pub function: Paint,
    /// Names of types in code.
    #[serde(rename = "type")]
    pub type_name: Paint,
}

/// A theme: one palette for dark backgrounds and one for light ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    /// On a dark background.
    pub dark: Palette,
    /// On a light background.
    pub light: Palette,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThemeFile {
    dark: Option<Palette>,
    light: Option<Palette>,
}

impl Theme {
    /// Reads a theme's text. The path is for messages only. A theme with one section has it on every background.
    ///
    /// # Errors
    /// When it is not TOML, or holds a role or a colour that is refused; with line and column.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let file: ThemeFile =
            toml::from_str(text).map_err(|error| ConfigError::Invalid(Problem::from_toml(path, text, &error)))?;
        let (dark, light) = match (file.dark, file.light) {
            (Some(dark), Some(light)) => (dark, light),
            (Some(only), None) | (None, Some(only)) => (only, only),
            (None, None) => {
                let message = "an empty theme, expected a section [dark], a section [light], or both".to_owned();
                return Err(ConfigError::Invalid(Problem::at(path, text, Some(0..0), message)));
            }
        };
        Ok(Self { dark, light })
    }

    /// A theme that comes with the program.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Self> {
        let (_, text) = BUILT_IN.iter().find(|(of, _)| *of == name)?;
        Self::parse(Path::new(name), text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The relative luminance of WCAG 2.1.
    fn luminance(paint: Paint) -> f64 {
        let Paint::Rgb(red, green, blue) = paint else {
            panic!("{paint:?} is not RGB")
        };
        let linear = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }

    fn contrast(one: Paint, other: Paint) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    fn roles(palette: &Palette) -> Vec<(&'static str, Paint)> {
        vec![
            ("text", palette.text),
            ("dim", palette.dim),
            ("accent", palette.accent),
            ("good", palette.good),
            ("warning", palette.warning),
            ("error", palette.error),
            ("done", palette.done),
            ("heading", palette.heading),
            ("link", palette.link),
            ("code", palette.code),
            ("keyword", palette.keyword),
            ("string", palette.string),
            ("comment", palette.comment),
            ("number", palette.number),
            ("function", palette.function),
            ("type", palette.type_name),
        ]
    }

    #[test]
    fn every_text_of_every_theme_can_be_read_on_its_background() {
        for (name, text) in BUILT_IN.iter().filter(|(name, _)| *name != "terminal") {
            let theme = Theme::parse(Path::new(name), text).unwrap_or_else(|error| panic!("{error}"));
            for (variant, palette) in [("dark", theme.dark), ("light", theme.light)] {
                for (role, paint) in roles(&palette) {
                    let ratio = contrast(paint, palette.background);
                    assert!(ratio >= 4.5, "{role} of {name} [{variant}]: {ratio:.2} < 4.5");
                }
                let is_dark = luminance(palette.background) < 0.2;
                assert_eq!(is_dark, variant == "dark", "{name} [{variant}]");
            }
        }
    }

    /// How a colour looks to an eye without the red (protan) or the green (deutan) receptor: Viénot, Brettel and Mollon 1999.
    fn seen(paint: Paint, matrix: [[f64; 3]; 3]) -> [f64; 3] {
        let Paint::Rgb(red, green, blue) = paint else {
            panic!("{paint:?} is not RGB")
        };
        let linear = [red, green, blue].map(|value| (f64::from(value) / 255.0).powf(2.2));
        matrix.map(|row| {
            let sum: f64 = row.iter().zip(linear).map(|(factor, value)| factor * value).sum();
            sum.clamp(0.0, 1.0).powf(1.0 / 2.2) * 255.0
        })
    }

    #[test]
    fn states_of_the_clear_theme_differ_for_colour_blind_eyes() {
        let protan = [[0.112, 0.888, 0.0], [0.112, 0.888, 0.0], [0.004, -0.004, 1.0]];
        let deutan = [[0.292, 0.708, 0.0], [0.292, 0.708, 0.0], [-0.022, 0.022, 1.0]];
        let theme = Theme::built_in("clear").expect("it comes with the program");
        for palette in [theme.dark, theme.light] {
            for matrix in [protan, deutan] {
                let states = [
                    ("good", palette.good),
                    ("warning", palette.warning),
                    ("error", palette.error),
                    ("text", palette.text),
                ]
                .map(|(name, paint)| (name, seen(paint, matrix)));
                for (at, (one, left)) in states.iter().enumerate() {
                    for (other, right) in &states[at + 1..] {
                        let distance: f64 = left.iter().zip(right).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                        assert!(distance > 35.0, "{one} and {other}: {distance:.0}");
                    }
                }
            }
        }
    }

    #[test]
    fn mistakes_are_refused_with_their_place() {
        for (text, expected) in [
            (
                "",
                ":1:1: an empty theme, expected a section [dark], a section [light], or both",
            ),
            (
                "[dark]\ntext = \"#12345\"",
                ":2:8: `#12345` is no colour, expected \"#rrggbb\", \"default\", or one of the terminal's: black, red",
            ),
            (
                "[dark]\naccnt = \"red\"",
                ":2:1: unknown key `accnt`; did you mean `accent`?",
            ),
            ("[dim]", ":1:2: unknown key `dim`"),
        ] {
            let error = Theme::parse(Path::new("/my.toml"), text).expect_err(text).to_string();
            assert!(error.starts_with(&format!("/my.toml{expected}")), "{error}");
        }
    }

    #[test]
    fn a_theme_with_one_section_has_it_on_every_background() {
        let theme = Theme::parse(Path::new("x"), "[light]\naccent = \"bright-red\"").expect("good");
        assert_eq!(theme.dark, theme.light);
        assert_eq!((theme.dark.accent, theme.dark.text), (Paint::Named(9), Paint::Default));
    }
}
