//! The action table: one source for the key map, the help, the hint line and the palette.
//!
//! Pure data: keys are this module's own type, so that it knows no terminal library. What an action does
//! is decided in `commands` and, where rows of the screen matter, in `ui`.

mod calls;
mod compose;
mod copying;
mod dialogue;
mod general;
pub mod key;
mod list;
mod panes;
mod recordings;
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
    /// Pick a part of the transcript and copy it.
    CopyPart,
    /// Select text of the transcript by keys.
    SelectText,
    /// Open the transcript in the person's pager.
    OpenPager,
    /// Open the transcript in the person's editor.
    OpenEditor,
    /// Export the transcript to a file.
    Export,
    /// Take the mouse, or give it back to the terminal.
    Mouse,
    /// The selection goes a row down.
    SelectionDown,
    /// The selection goes a row up.
    SelectionUp,
    /// The selection goes a page down.
    SelectionPageDown,
    /// The selection goes a page up.
    SelectionPageUp,
    /// The selection goes to the beginning.
    SelectionTop,
    /// The selection goes to the end.
    SelectionBottom,
    /// The selection goes a character to the left.
    SelectionLeft,
    /// The selection goes a character to the right.
    SelectionRight,
    /// The selection goes to the next word.
    SelectionWord,
    /// The selection goes to the word before.
    SelectionWordBack,
    /// Whole rows are selected, or characters.
    SelectionKind,
    /// Copy what is selected.
    SelectionCopy,
    /// Nothing is selected any more.
    SelectionLeave,
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
    /// A page further down in the list.
    PageOfListDown,
    /// A page further up in the list.
    PageOfListUp,
    /// Go to the selected channel's transcript.
    Open,
    /// Show the end of the selected channel until the next key.
    Peek,
    /// The next way to sort the list.
    CycleSort,
    /// The next way to group the list.
    GroupList,
    /// Narrow the list by what is typed.
    FilterList,
    /// Take the filter off.
    ClearFilter,
    /// Give the channel a title.
    Rename,
    /// Put the channel in a group.
    SetGroup,
    /// Keep the channel at the top.
    Pin,
    /// Move the channel up.
    MoveUp,
    /// Move the channel down.
    MoveDown,
    /// One, two or three lines a channel.
    CycleLines,
    /// A narrower list.
    NarrowList,
    /// A wider list.
    WidenList,
    /// Stop watching all that is over and was read.
    StopWatchingEnded,
    /// Find runs of the account to watch.
    FindRuns,
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
    /// To the next prompt.
    NextTurn,
    /// To the prompt before.
    PreviousTurn,
    /// To the next function call.
    CallBelow,
    /// To the function call before.
    CallAbove,
    /// To the next failure.
    NextError,
    /// To where the reader left.
    FirstUnread,
    /// Show more or less of this channel.
    Detail,
    /// Show more or less of every channel.
    DetailOfAll,
    /// Show other times, or none.
    Times,
    /// Show the events as they came, or the transcript again.
    RawEvents,
    /// Find a text.
    Search,
    /// To the match before.
    PreviousMatch,
    /// Fold or unfold the marked part.
    Fold,
    /// Back to the list.
    Back,
    /// The next key is one of the panes'.
    PanePrefix,
    /// No key of the panes, after all.
    LeavePrefix,
    /// One pane.
    Layout1,
    /// Two panes side by side.
    Layout2,
    /// Three panes side by side.
    Layout3,
    /// Four panes, two by two.
    Layout4,
    /// Six panes, three by two.
    Layout6,
    /// Nine panes, three by three.
    Layout9,
    /// A new pane below the one in focus.
    SplitBelow,
    /// A new pane to the right of the one in focus.
    SplitRight,
    /// Close the pane in focus; its channel stays watched.
    ClosePane,
    /// The pane to the left, else the list.
    PaneLeft,
    /// The pane below.
    PaneDown,
    /// The pane above.
    PaneUp,
    /// The pane to the right.
    PaneRight,
    /// The next pane, in reading order.
    NextPane,
    /// All panes of the same size.
    EvenPanes,
    /// More columns for the pane in focus.
    WiderPane,
    /// Fewer columns for the pane in focus.
    NarrowerPane,
    /// More rows for the pane in focus.
    HigherPane,
    /// Fewer rows for the pane in focus.
    LowerPane,
    /// Scrolling one pane scrolls all, or each by itself again.
    ScrollTogether,
    /// The pane in focus has the whole body, or its own place again.
    Zoom,
    /// The lines of all live channels in one view, and back.
    MergedTail,
    /// The same after the prefix.
    PaneTail,
    /// The next line of the merged tail.
    TailDown,
    /// The line before.
    TailUp,
    /// A page of lines further.
    TailPageDown,
    /// A page of lines back.
    TailPageUp,
    /// The oldest line.
    TailTop,
    /// The last line, following what comes.
    TailEnd,
    /// Go to the channel of the marked line.
    TailOpen,
    /// Leave the merged tail.
    TailClose,
    /// One prompt to several presets or models, side by side.
    Race,
    /// Go to the first pane; with one pane to the first channel.
    GoToPane1,
    /// The second one.
    GoToPane2,
    /// The third one.
    GoToPane3,
    /// The fourth one.
    GoToPane4,
    /// The fifth one.
    GoToPane5,
    /// The sixth one.
    GoToPane6,
    /// The seventh one.
    GoToPane7,
    /// The eighth one.
    GoToPane8,
    /// The ninth one.
    GoToPane9,
    /// Send what the compose box holds.
    Send,
    /// A new line in the text that is typed.
    Newline,
    /// Out of the compose box.
    LeaveCompose,
    /// Switch between a new run and the thread in focus.
    SwitchThread,
    /// Pick the preset that prompts are sent with.
    Presets,
    /// Search what was sent before.
    SearchHistory,
    /// The prompt that was sent before the one in the box.
    HistoryBack,
    /// The prompt that was sent after the one in the box.
    HistoryForward,
    /// Write the prompt in an editor.
    EditDraft,
    /// Show a folded paste in full.
    Unfold,
    /// Take the last queued prompt back into the box.
    TakeBackQueued,
    /// Drop the last queued prompt.
    DropQueued,
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
    /// Record the channel, or stop recording it.
    Record,
    /// Record what the server is about to forget.
    Rescue,
    /// Open a recording.
    OpenRecording,
    /// Play a recording, or pause it.
    PlayPause,
    /// Back in a recording.
    SeekBack,
    /// Forward in a recording.
    SeekForward,
    /// Play a recording faster.
    Faster,
    /// Play a recording slower.
    Slower,
    /// Pick from all that can be done.
    Palette,
    /// The same from the compose box, where printable keys type.
    ComposePalette,
    /// Draw the whole screen again.
    Redraw,
    /// Stop until the shell continues the program.
    Suspend,
}

impl Action {
    /// What the configuration calls it: its name here in snake case, `StopWatching` is `stop_watching`.
    #[must_use]
    pub fn name(self) -> String {
        let mut name = String::new();
        for c in format!("{self:?}").chars() {
            match c {
                'A'..='Z' if name.is_empty() || name.ends_with('_') => name.push(c.to_ascii_lowercase()),
                'A'..='Z' => name.extend(['_', c.to_ascii_lowercase()]),
                // An action with a number is one action for each of them.
                '(' => name.push('_'),
                'a'..='z' | '0'..='9' => name.push(c),
                _ => {}
            }
        }
        name
    }

    /// The action of a name; the reverse of [`Self::name`].
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        actions().map(|info| info.action).find(|action| action.name() == name)
    }
}

impl Action {
    /// Whether it selects text of a transcript: what it means depends on the rows of the screen.
    #[must_use]
    pub fn selects_text(self) -> bool {
        matches!(
            self,
            Self::SelectText
                | Self::SelectionCopy
                | Self::SelectionDown
                | Self::SelectionUp
                | Self::SelectionPageDown
                | Self::SelectionPageUp
                | Self::SelectionTop
                | Self::SelectionBottom
                | Self::SelectionLeft
                | Self::SelectionRight
                | Self::SelectionWord
                | Self::SelectionWordBack
                | Self::SelectionKind
        )
    }
}

/// Where a key is pressed: which row of the table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// The channel list has the focus.
    List,
    /// The transcript has the focus.
    Transcript,
    /// Text of the transcript is being selected.
    Selection,
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
    /// After the prefix of the panes, in the list or the transcript.
    PanePrefix,
    /// The inbox of waiting calls lies over the screen.
    Inbox,
    /// A field of an answer there is typed into: printable keys type.
    Field,
    /// The merged tail lies over the screen.
    Tail,
}

impl Place {
    /// Where that is, in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::List => "in the channel list",
            Self::Transcript => "in the transcript",
            Self::Selection => "while text is selected",
            Self::Compose => "in the compose box",
            Self::Help => "in the help",
            Self::Dialogue => "in dialogues",
            Self::Confirm => "in questions",
            Self::Picker => "in lists to pick from",
            Self::Inbox => "in the inbox of waiting calls",
            Self::Field => "in a field of an answer",
            Self::PanePrefix => "after the key of the panes",
            Self::Tail => "in the merged tail",
        }
    }

    /// Whether printable keys type there.
    #[must_use]
    pub fn is_typed_in(self) -> bool {
        matches!(self, Self::Compose | Self::Dialogue | Self::Picker | Self::Field)
    }
}

/// The headings of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// Wherever nothing is typed.
    General,
    /// In the channel list.
    List,
    /// Several transcripts side by side.
    Panes,
    /// In the transcript.
    Transcript,
    /// While text of the transcript is selected.
    Selection,
    /// In the compose box.
    Compose,
    /// In the inbox of waiting calls.
    Calls,
    /// Recordings.
    Recordings,
    /// In dialogues.
    Dialogue,
}

impl Group {
    /// All headings in the help's order.
    pub const ALL: [Self; 9] = [
        Self::General,
        Self::List,
        Self::Panes,
        Self::Transcript,
        Self::Selection,
        Self::Compose,
        Self::Calls,
        Self::Recordings,
        Self::Dialogue,
    ];

    /// The heading's text.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::General => "General",
            Self::List => "Channel list",
            Self::Panes => "Panes",
            Self::Transcript => "Transcript",
            Self::Selection => "Selecting text",
            Self::Compose => "Compose box",
            Self::Calls => "Waiting calls",
            Self::Recordings => "Recordings",
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
    copying::ROWS,
    calls::ROWS,
    compose::ROWS,
    wall::ROWS,
    recordings::ROWS,
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
    fn what_the_help_says_fits_beside_the_keys_on_80_columns() {
        let long: Vec<&str> = actions()
            .filter(|info| info.is_listed() && info.help.chars().count() > 27)
            .map(|info| info.help)
            .collect();
        assert_eq!(long, [""; 0]);
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
                let typing = info.places.iter().any(|place| place.is_typed_in());
                assert!(!(key.is_printable() && typing), "{:?}", info.action);
            }
        }
    }

    #[test]
    fn every_action_has_a_name_of_its_own_that_finds_it() {
        let mut names = HashSet::new();
        for info in actions() {
            let name = info.action.name();
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'),
                "{name}"
            );
            assert_eq!(Action::by_name(&name), Some(info.action), "{name}");
            assert!(names.insert(name.clone()), "{name}");
        }
        assert_eq!(Action::StopWatching.name(), "stop_watching");
        assert_eq!(Action::by_name("stop"), None);
    }

    #[test]
    fn no_default_key_is_one_that_the_terminal_or_tmux_takes() {
        for info in actions() {
            for key in info.keys {
                let taken = key.never_arrives().or(key.may_not_arrive());
                assert_eq!(taken, None, "{key} of {:?}", info.action);
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
