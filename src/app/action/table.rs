//! One row of the table, and the words to write rows with.

pub(super) use super::key::KeyCode;
pub use super::key::{Key, Modifier};
pub(super) use super::{Action, Group, Place};

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct ActionInfo {
    /// The action.
    pub action: Action,
    /// Its keys; the first is the one that hints name.
    pub keys: &'static [Key],
    /// Where they hold.
    pub places: &'static [Place],
    /// What it does, for the help.
    pub help: &'static str,
    /// The short word for the hint line.
    pub hint: &'static str,
    /// Which heading of the help it stands under.
    pub group: Group,
}

impl ActionInfo {
    /// Whether the help has a line for it: of keys that differ by a number only the first one has, and what the last
    /// line of a view tells is not told again.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        !matches!(
            self.action,
            Action::LeavePrefix
                | Action::PaneTail
                | Action::TailDown
                | Action::TailUp
                | Action::TailPageDown
                | Action::TailPageUp
                | Action::TailTop
                | Action::TailEnd
                | Action::TailOpen
                | Action::TailClose
                | Action::GoToPane2
                | Action::GoToPane3
                | Action::GoToPane4
                | Action::GoToPane5
                | Action::GoToPane6
                | Action::GoToPane7
                | Action::GoToPane8
                | Action::GoToPane9
        )
    }

    /// Whether its keys hold after the prefix of the panes only; what it does can be done from everywhere.
    #[must_use]
    pub fn is_prefixed(&self) -> bool {
        self.places == [Place::PanePrefix] && !matches!(self.action, Action::LeavePrefix | Action::PaneTail)
    }
}

pub(super) const fn plain(code: KeyCode) -> Key {
    Key {
        modifier: Modifier::None,
        code,
    }
}

pub(super) const fn char(c: char) -> Key {
    plain(KeyCode::Char(c))
}

pub(super) const fn ctrl(c: char) -> Key {
    Key {
        modifier: Modifier::Ctrl,
        code: KeyCode::Char(c),
    }
}

pub(super) const fn alt(c: char) -> Key {
    Key {
        modifier: Modifier::Alt,
        code: KeyCode::Char(c),
    }
}

pub(super) const fn row(
    action: Action,
    keys: &'static [Key],
    places: &'static [Place],
    group: Group,
    hint: &'static str,
    help: &'static str,
) -> ActionInfo {
    ActionInfo {
        action,
        keys,
        places,
        help,
        hint,
        group,
    }
}

pub(super) const BROWSE: &[Place] = &[Place::List, Place::Transcript];
pub(super) const PANES: &[Place] = &[Place::List, Place::Transcript, Place::Compose];
pub(super) const LIST: &[Place] = &[Place::List];
pub(super) const TRANSCRIPT: &[Place] = &[Place::Transcript];
pub(super) const SCROLLED: &[Place] = &[Place::Transcript, Place::Help];
pub(super) const SELECTION: &[Place] = &[Place::Selection];
pub(super) const COMPOSE: &[Place] = &[Place::Compose];
pub(super) const READING: &[Place] = &[Place::Transcript, Place::Compose, Place::Help];
pub(super) const HELPABLE: &[Place] = &[
    Place::List,
    Place::Transcript,
    Place::Selection,
    Place::Inbox,
    Place::Tail,
    Place::Help,
];
pub(super) const TYPING: &[Place] = &[Place::Compose, Place::Dialogue, Place::Field];
pub(super) const OVERLAYS: &[Place] = &[Place::Help, Place::Dialogue, Place::Picker];
pub(super) const PICKER: &[Place] = &[Place::Picker];
pub(super) const EVERYWHERE: &[Place] = &[
    Place::List,
    Place::Transcript,
    Place::Selection,
    Place::Compose,
    Place::Help,
    Place::Dialogue,
    Place::Confirm,
    Place::Picker,
    Place::Inbox,
    Place::Field,
    Place::PanePrefix,
    Place::Tail,
];
pub(super) const INBOX: &[Place] = &[Place::Inbox];
pub(super) const FORM: &[Place] = &[Place::Inbox, Place::Field];
pub(super) const TAIL: &[Place] = &[Place::Tail];
pub(super) const PREFIXED: &[Place] = &[Place::PanePrefix];
pub(super) const PANE_NUMBERS: &[Place] = &[Place::List, Place::Transcript, Place::Compose, Place::PanePrefix];
