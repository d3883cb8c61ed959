//! Ways to the clipboard: the terminal's own (OSC 52), and the system's where the session is local.
//!
//! It does not decide which text is copied, and it never reads a clipboard.

use base64::Engine as _;

/// The longest text for OSC 52, in bytes: xterm takes sequences of at most 100,000 characters.
const LONGEST_OSC52: usize = 74_994;

/// The sequence that asks the terminal to take a text into its clipboard; `None` for an empty text and one that
/// terminals would refuse. No terminal ever says whether it did.
#[must_use]
pub fn osc52(text: &str) -> Option<String> {
    (!text.is_empty() && text.len() <= LONGEST_OSC52).then(|| {
        format!(
            "\x1b]52;c;{}\x1b\\",
            base64::engine::general_purpose::STANDARD.encode(text)
        )
    })
}

/// Whether this process runs where its user sits, by its environment: not over SSH, and with a display.
///
/// `get` looks up a variable and says whether it is set and not empty.
#[must_use]
pub fn is_local_session(get: impl Fn(&str) -> bool) -> bool {
    let remote = get("SSH_CONNECTION") || get("SSH_TTY") || get("SSH_CLIENT");
    let display = cfg!(any(target_os = "macos", windows)) || get("DISPLAY") || get("WAYLAND_DISPLAY");
    !remote && display
}

/// The system's clipboard. It is kept open: on X11 and Wayland a copied text lives as long as who copied it.
#[derive(Default)]
pub struct SystemClipboard(Option<arboard::Clipboard>);

impl SystemClipboard {
    /// Copies a text. It may wait for the display server: call it where waiting is allowed.
    ///
    /// # Errors
    /// A sentence for a person, when there is no clipboard to be had.
    pub fn copy(&mut self, text: String) -> Result<(), String> {
        let clipboard = match &mut self.0 {
            Some(clipboard) => clipboard,
            none => none.insert(arboard::Clipboard::new().map_err(|error| error.to_string())?),
        };
        clipboard.set_text(text).map_err(|error| error.to_string())
    }
}

impl std::fmt::Debug for SystemClipboard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SystemClipboard").field(&self.0.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_carries_the_text_as_base64() {
        assert_eq!(osc52("hello").as_deref(), Some("\x1b]52;c;aGVsbG8=\x1b\\"));
        assert_eq!(osc52(""), None, "an empty text would clear the clipboard");
        assert_eq!(osc52(&"x".repeat(LONGEST_OSC52 + 1)), None);
        assert!(osc52(&"x".repeat(LONGEST_OSC52)).is_some_and(|sequence| sequence.len() < 100_010));
    }

    #[test]
    fn a_session_over_ssh_or_without_a_display_is_not_local() {
        assert!(is_local_session(|name| name == "DISPLAY"));
        assert!(is_local_session(|name| name == "WAYLAND_DISPLAY"));
        assert!(!is_local_session(|name| name == "DISPLAY" || name == "SSH_TTY"));
        assert!(!is_local_session(|name| name == "SSH_CONNECTION"));
        if cfg!(target_os = "linux") {
            assert!(!is_local_session(|_| false));
        }
    }
}
