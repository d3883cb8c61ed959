//! The action table: one source for the key map, the help, the hint line and (later) the palette.
//!
//! Pure data: keys are this module's own type, so that it knows no terminal library. What an action does
//! is decided in `commands` and, where rows of the screen matter, in `ui`.

use std::fmt;

/// Something that a person can do by a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Show or hide the help.
    Help,
    /// The next pane takes the keys.
    FocusNext,
    /// The pane before takes the keys.
    FocusPrevious,
    /// The compose box takes the keys.
    Compose,
    /// Ask for a channel id to watch.
    Watch,
    /// Go to the next channel that needs the person.
    NextNeedsYou,
    /// Answer a waiting call.
    Answer,
    /// Copy the channel's id.
    CopyId,
    /// Copy what the bot wrote.
    CopyAnswer,
    /// Stop watching the channel.
    StopWatching,
    /// Cancel the channel's run on the server.
    CancelRun,
    /// Leave the program; runs go on.
    Quit,
    /// The next channel of the list.
    SelectNext,
    /// The channel before in the list.
    SelectPrevious,
    /// The first channel of the list.
    SelectFirst,
    /// The last channel of the list.
    SelectLast,
    /// Go to the selected channel's transcript.
    Open,
    /// One row down.
    ScrollDown,
    /// One row up.
    ScrollUp,
    /// Half a page down.
    HalfPageDown,
    /// Half a page up.
    HalfPageUp,
    /// A page down.
    PageDown,
    /// A page up.
    PageUp,
    /// To the beginning.
    Top,
    /// To the end, following what comes.
    End,
    /// Mark the next part of the transcript.
    NextPart,
    /// Mark the part before.
    PreviousPart,
    /// Fold or unfold the marked part.
    Fold,
    /// Back to the list.
    Back,
    /// Send what the compose box holds.
    Send,
    /// A new line in the text that is typed.
    Newline,
    /// Out of the compose box.
    LeaveCompose,
    /// Take what was typed in the dialogue.
    Accept,
    /// Leave the overlay.
    Close,
    /// Leave the help.
    CloseHelp,
    /// Yes.
    Yes,
    /// No.
    No,
    /// Clear what is typed; twice: quit.
    Interrupt,
    /// Draw the whole screen again.
    Redraw,
    /// Stop until the shell continues the program.
    Suspend,
}

/// Where a key is pressed: which row of the table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// The channel list has the focus.
    List,
    /// The transcript has the focus.
    Transcript,
    /// The compose box has the focus: printable keys type.
    Compose,
    /// The help lies over the screen.
    Help,
    /// A dialogue with a text to type: printable keys type.
    Dialogue,
    /// A question with yes and no.
    Confirm,
}

/// A key without its modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyCode {
    /// A character.
    Char(char),
    /// Enter.
    Enter,
    /// Escape.
    Esc,
    /// Tab.
    Tab,
    /// Shift and Tab.
    BackTab,
    /// The arrow up.
    Up,
    /// The arrow down.
    Down,
    /// Home.
    Home,
    /// End.
    End,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
}

/// What is held while a key is pressed. Shift is part of the character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Modifier {
    /// Nothing.
    None,
    /// Control.
    Ctrl,
    /// Alt.
    Alt,
}

/// A key as the table names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// What is held.
    pub modifier: Modifier,
    /// The key.
    pub code: KeyCode,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.modifier {
            Modifier::None => {}
            Modifier::Ctrl => f.write_str("Ctrl-")?,
            Modifier::Alt => f.write_str("Alt-")?,
        }
        match self.code {
            KeyCode::Char(' ') => f.write_str("Space"),
            KeyCode::Char(c) if self.modifier == Modifier::None => write!(f, "{c}"),
            KeyCode::Char(c) => write!(f, "{}", c.to_ascii_uppercase()),
            KeyCode::Enter => f.write_str("Enter"),
            KeyCode::Esc => f.write_str("Esc"),
            KeyCode::Tab => f.write_str("Tab"),
            KeyCode::BackTab => f.write_str("Shift-Tab"),
            KeyCode::Up => f.write_str("Up"),
            KeyCode::Down => f.write_str("Down"),
            KeyCode::Home => f.write_str("Home"),
            KeyCode::End => f.write_str("End"),
            KeyCode::PageUp => f.write_str("PgUp"),
            KeyCode::PageDown => f.write_str("PgDn"),
        }
    }
}

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

/// The headings of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// Wherever nothing is typed.
    General,
    /// In the channel list.
    List,
    /// In the transcript.
    Transcript,
    /// In the compose box.
    Compose,
    /// In dialogues.
    Dialogue,
}

impl Group {
    /// All headings in the help's order.
    pub const ALL: [Self; 5] = [
        Self::General,
        Self::List,
        Self::Transcript,
        Self::Compose,
        Self::Dialogue,
    ];

    /// The heading's text.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::General => "General",
            Self::List => "Channel list",
            Self::Transcript => "Transcript",
            Self::Compose => "Compose box",
            Self::Dialogue => "Dialogues",
        }
    }
}

const fn plain(code: KeyCode) -> Key {
    Key {
        modifier: Modifier::None,
        code,
    }
}

const fn char(c: char) -> Key {
    plain(KeyCode::Char(c))
}

const fn ctrl(c: char) -> Key {
    Key {
        modifier: Modifier::Ctrl,
        code: KeyCode::Char(c),
    }
}

const fn row(
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

const BROWSE: &[Place] = &[Place::List, Place::Transcript];
const PANES: &[Place] = &[Place::List, Place::Transcript, Place::Compose];
const LIST: &[Place] = &[Place::List];
const TRANSCRIPT: &[Place] = &[Place::Transcript];
const SCROLLED: &[Place] = &[Place::Transcript, Place::Help];
const COMPOSE: &[Place] = &[Place::Compose];
const READING: &[Place] = &[Place::Transcript, Place::Compose, Place::Help];
const HELPABLE: &[Place] = &[Place::List, Place::Transcript, Place::Help];
const TYPING: &[Place] = &[Place::Compose, Place::Dialogue];
const OVERLAYS: &[Place] = &[Place::Help, Place::Dialogue];
const EVERYWHERE: &[Place] = &[
    Place::List,
    Place::Transcript,
    Place::Compose,
    Place::Help,
    Place::Dialogue,
    Place::Confirm,
];

/// Everything that a key can do, in the help's order.
pub static ACTIONS: &[ActionInfo] = &[
    row(
        Action::Help,
        &[char('?')],
        HELPABLE,
        Group::General,
        "help",
        "show or hide this help",
    ),
    row(
        Action::FocusNext,
        &[plain(KeyCode::Tab)],
        PANES,
        Group::General,
        "focus",
        "go to the next pane",
    ),
    row(
        Action::FocusPrevious,
        &[plain(KeyCode::BackTab)],
        PANES,
        Group::General,
        "focus back",
        "go to the pane before",
    ),
    row(
        Action::Compose,
        &[char('c'), char('i')],
        BROWSE,
        Group::General,
        "compose",
        "write a prompt",
    ),
    row(
        Action::Watch,
        &[char('w')],
        BROWSE,
        Group::General,
        "watch",
        "watch a channel id",
    ),
    row(
        Action::NextNeedsYou,
        &[char('n')],
        BROWSE,
        Group::General,
        "next that needs you",
        "next that needs you",
    ),
    row(
        Action::Answer,
        &[char('a')],
        BROWSE,
        Group::General,
        "answer",
        "answer a waiting call",
    ),
    row(
        Action::CopyId,
        &[char('y')],
        BROWSE,
        Group::General,
        "copy id",
        "show and copy channel id",
    ),
    row(
        Action::CopyAnswer,
        &[char('Y')],
        BROWSE,
        Group::General,
        "copy answer",
        "copy the answer's text",
    ),
    row(
        Action::StopWatching,
        &[char('x')],
        BROWSE,
        Group::General,
        "stop watching",
        "stop watching; it runs on",
    ),
    row(
        Action::CancelRun,
        &[char('X')],
        BROWSE,
        Group::General,
        "cancel run",
        "cancel the run (asks first)",
    ),
    row(
        Action::Quit,
        &[char('q')],
        BROWSE,
        Group::General,
        "quit",
        "quit (runs go on)",
    ),
    row(
        Action::Interrupt,
        &[ctrl('c')],
        EVERYWHERE,
        Group::General,
        "clear, quit",
        "clear the text; twice: quit",
    ),
    row(
        Action::Redraw,
        &[ctrl('l')],
        EVERYWHERE,
        Group::General,
        "redraw",
        "draw the screen again",
    ),
    row(
        Action::Suspend,
        &[ctrl('z')],
        EVERYWHERE,
        Group::General,
        "suspend",
        "suspend (fg continues)",
    ),
    row(
        Action::SelectNext,
        &[char('j'), plain(KeyCode::Down)],
        LIST,
        Group::List,
        "down",
        "next channel",
    ),
    row(
        Action::SelectPrevious,
        &[char('k'), plain(KeyCode::Up)],
        LIST,
        Group::List,
        "up",
        "channel before",
    ),
    row(
        Action::SelectFirst,
        &[char('g'), plain(KeyCode::Home)],
        LIST,
        Group::List,
        "first",
        "first channel",
    ),
    row(
        Action::SelectLast,
        &[char('G'), plain(KeyCode::End)],
        LIST,
        Group::List,
        "last",
        "last channel",
    ),
    row(
        Action::Open,
        &[plain(KeyCode::Enter)],
        LIST,
        Group::List,
        "open",
        "open the transcript",
    ),
    row(
        Action::ScrollDown,
        &[char('j'), plain(KeyCode::Down)],
        SCROLLED,
        Group::Transcript,
        "down",
        "one row down",
    ),
    row(
        Action::ScrollUp,
        &[char('k'), plain(KeyCode::Up)],
        SCROLLED,
        Group::Transcript,
        "up",
        "one row up",
    ),
    row(
        Action::HalfPageDown,
        &[ctrl('d')],
        TRANSCRIPT,
        Group::Transcript,
        "half page down",
        "half a page down",
    ),
    row(
        Action::HalfPageUp,
        &[ctrl('u')],
        TRANSCRIPT,
        Group::Transcript,
        "half page up",
        "half a page up",
    ),
    row(
        Action::PageDown,
        &[plain(KeyCode::PageDown)],
        READING,
        Group::Transcript,
        "page down",
        "a page down, composing too",
    ),
    row(
        Action::PageUp,
        &[plain(KeyCode::PageUp)],
        READING,
        Group::Transcript,
        "page up",
        "a page up, composing too",
    ),
    row(
        Action::Top,
        &[char('g'), plain(KeyCode::Home)],
        TRANSCRIPT,
        Group::Transcript,
        "beginning",
        "to the beginning",
    ),
    row(
        Action::End,
        &[char('G'), plain(KeyCode::End)],
        TRANSCRIPT,
        Group::Transcript,
        "end",
        "to the end, and follow",
    ),
    row(
        Action::NextPart,
        &[char('}')],
        TRANSCRIPT,
        Group::Transcript,
        "next part",
        "mark the next part",
    ),
    row(
        Action::PreviousPart,
        &[char('{')],
        TRANSCRIPT,
        Group::Transcript,
        "part before",
        "mark the part before",
    ),
    row(
        Action::Fold,
        &[char(' ')],
        TRANSCRIPT,
        Group::Transcript,
        "fold",
        "fold or unfold a part",
    ),
    row(
        Action::Back,
        &[plain(KeyCode::Esc)],
        TRANSCRIPT,
        Group::Transcript,
        "list",
        "back to the list",
    ),
    row(
        Action::Send,
        &[plain(KeyCode::Enter)],
        COMPOSE,
        Group::Compose,
        "send",
        "start a run",
    ),
    row(
        Action::Newline,
        &[
            ctrl('j'),
            Key {
                modifier: Modifier::Alt,
                code: KeyCode::Enter,
            },
        ],
        TYPING,
        Group::Compose,
        "newline",
        "a new line (or Alt-Enter)",
    ),
    row(
        Action::LeaveCompose,
        &[plain(KeyCode::Esc)],
        COMPOSE,
        Group::Compose,
        "back",
        "back (what is typed stays)",
    ),
    row(
        Action::Accept,
        &[plain(KeyCode::Enter)],
        &[Place::Dialogue],
        Group::Dialogue,
        "enter",
        "watch it, or publish it",
    ),
    row(
        Action::Close,
        &[plain(KeyCode::Esc)],
        OVERLAYS,
        Group::Dialogue,
        "leave",
        "leave without doing it",
    ),
    row(
        Action::CloseHelp,
        &[char('q')],
        &[Place::Help],
        Group::Dialogue,
        "leave",
        "leave the help",
    ),
    row(
        // Not Enter: a key pressed too often must not cancel a run.
        Action::Yes,
        &[char('y')],
        &[Place::Confirm],
        Group::Dialogue,
        "yes",
        "yes",
    ),
    row(
        Action::No,
        &[char('n'), plain(KeyCode::Esc)],
        &[Place::Confirm],
        Group::Dialogue,
        "no",
        "no",
    ),
];

/// The action of a key at a place; `None`: the key means nothing there, or types.
#[must_use]
pub fn lookup(place: Place, key: Key) -> Option<Action> {
    ACTIONS
        .iter()
        .find(|info| info.places.contains(&place) && info.keys.contains(&key))
        .map(|info| info.action)
}

/// The table's row of an action.
#[must_use]
pub fn info(action: Action) -> Option<&'static ActionInfo> {
    ACTIONS.iter().find(|info| info.action == action)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_action_has_a_key_a_place_and_words() {
        for info in ACTIONS {
            assert!(!info.keys.is_empty(), "{:?}", info.action);
            assert!(!info.places.is_empty(), "{:?}", info.action);
            assert!(!info.help.is_empty() && !info.hint.is_empty(), "{:?}", info.action);
        }
        let actions: HashSet<Action> = ACTIONS.iter().map(|info| info.action).collect();
        assert_eq!(actions.len(), ACTIONS.len(), "one row an action");
    }

    #[test]
    fn no_two_actions_share_a_key_at_one_place() {
        let mut seen = HashSet::new();
        for info in ACTIONS {
            for place in info.places {
                for key in info.keys {
                    assert!(seen.insert((*place, *key)), "{key} at {place:?}: {:?}", info.action);
                }
            }
        }
    }

    #[test]
    fn printable_keys_type_where_text_is_typed() {
        for info in ACTIONS {
            for key in info.keys {
                let types = matches!((key.modifier, key.code), (Modifier::None, KeyCode::Char(_)));
                let typing = info.places.contains(&Place::Compose) || info.places.contains(&Place::Dialogue);
                assert!(!(types && typing), "{:?}", info.action);
            }
        }
    }

    #[test]
    fn keys_are_written_as_people_say_them() {
        let words: Vec<String> = [ctrl('j'), char(' '), char('X'), plain(KeyCode::BackTab)]
            .iter()
            .map(Key::to_string)
            .collect();
        assert_eq!(words, ["Ctrl-J", "Space", "X", "Shift-Tab"]);
    }
}
