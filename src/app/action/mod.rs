//! The action table: one source for the key map, the help, the hint line and the palette.
//!
//! Pure data: keys are this module's own type, so that it knows no terminal library. What an action does
//! is decided in `commands` and, where rows of the screen matter, in `ui`.

mod calls;
mod compose;
mod dialogue;
mod general;
pub mod key;
mod list;
mod panes;
mod table;
mod transcript;
mod wall;

pub use key::{Key, KeyCode, Modifier};
pub use table::ActionInfo;

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
    /// All calls that wait, over all channels.
    Inbox,
    /// Mark the next waiting call.
    NextCall,
    /// Mark the waiting call before.
    PreviousCall,
    /// The next field of an answer.
    NextField,
    /// The field before of an answer.
    PreviousField,
    /// The next value of a field with values to choose from.
    ToggleField,
    /// The value before of such a field.
    ToggleFieldBack,
    /// Out of the field that is typed into.
    LeaveField,
    /// Approve a call, or run its command, once.
    AllowOnce,
    /// Run this function's command always.
    AllowAlways,
    /// Run a call's command.
    RunCommand,
    /// Refuse a call.
    DenyCall,
    /// Write the answer as JSON.
    AnswerJson,
    /// Publish the answer.
    PublishAnswer,
    /// Go to the run that asks.
    ShowCall,
    /// Leave the inbox.
    LeaveInbox,
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
    /// Mark the next one in a list to pick from.
    PickNext,
    /// Mark the one before in a list to pick from.
    PickPrevious,
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
    /// A list to pick from lies over the screen: printable keys narrow it.
    Picker,
    /// The inbox of waiting calls lies over the screen.
    Inbox,
    /// A field of an answer there is typed into: printable keys type.
    Field,
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
    /// In the inbox of waiting calls.
    Calls,
    /// In dialogues.
    Dialogue,
}

impl Group {
    /// All headings in the help's order.
    pub const ALL: [Self; 6] = [
        Self::General,
        Self::List,
        Self::Transcript,
        Self::Compose,
        Self::Calls,
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
            Self::Calls => "Waiting calls",
            Self::Dialogue => "Dialogues",
        }
    }
}

/// The tables in the help's order.
static TABLES: &[&[ActionInfo]] = &[
    general::ROWS,
    list::ROWS,
    panes::ROWS,
    transcript::ROWS,
    calls::ROWS,
    compose::ROWS,
    wall::ROWS,
    dialogue::ROWS,
];

/// Everything that a key can do, in the help's order.
pub fn actions() -> impl Iterator<Item = &'static ActionInfo> {
    TABLES.iter().flat_map(|rows| rows.iter())
}

/// The table's row of an action.
#[must_use]
pub fn info(action: Action) -> Option<&'static ActionInfo> {
    actions().find(|info| info.action == action)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::table::{char, ctrl, plain};
    use super::*;

    #[test]
    fn every_action_has_a_key_a_place_and_words() {
        for info in actions() {
            assert!(!info.keys.is_empty(), "{:?}", info.action);
            assert!(!info.places.is_empty(), "{:?}", info.action);
            assert!(!info.help.is_empty() && !info.hint.is_empty(), "{:?}", info.action);
        }
        let set: HashSet<Action> = actions().map(|info| info.action).collect();
        assert_eq!(set.len(), actions().count(), "one row an action");
    }

    #[test]
    fn no_two_actions_share_a_key_at_one_place() {
        let mut seen = HashSet::new();
        for info in actions() {
            for place in info.places {
                for key in info.keys {
                    assert!(seen.insert((*place, *key)), "{key} at {place:?}: {:?}", info.action);
                }
            }
        }
    }

    #[test]
    fn printable_keys_type_where_text_is_typed() {
        for info in actions() {
            for key in info.keys {
                let types = matches!((key.modifier, key.code), (Modifier::None, KeyCode::Char(_)));
                let typing = [Place::Compose, Place::Dialogue, Place::Field]
                    .iter()
                    .any(|place| info.places.contains(place));
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
