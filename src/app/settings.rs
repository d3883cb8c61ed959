//! What the configuration and the flags say of the terminal program: data, taken in at the start and when the
//! configuration is read again.

use super::keymap::Keymap;
use super::{calls, compose, copying, list, look, notifications, panes, reading, recordings, wall};

/// Everything that can be set.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Which key does what.
    pub keymap: Keymap,
    /// Of colours.
    pub look: look::Settings,
    /// Of the channel list.
    pub list: list::Settings,
    /// Of the panes.
    pub panes: panes::Settings,
    /// Of reading.
    pub reading: reading::Settings,
    /// Of copying, exports and the mouse.
    pub copying: copying::Settings,
    /// Of the compose box: presets.
    pub compose: compose::Settings,
    /// Of function calls: the configured functions.
    pub calls: calls::Settings,
    /// Of kiosk and lobby.
    pub wall: wall::Settings,
    /// Of recordings and of memory.
    pub recordings: recordings::Settings,
    /// Of notifications.
    pub notifications: notifications::Settings,
}
