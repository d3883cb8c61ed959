//! Races: one prompt to several presets or models, side by side; who began first, who is fastest, who is done.
//!
//! A race is nothing but its runs: each is dispatched like any other, and what it did is read from its transcript.

use serde::{Deserialize, Serialize};

use crate::transcript::{EndReason, Status};

use super::super::calls::ids_needed;
use super::super::channel::Channel;
use super::super::compose::attach::Found;
use super::super::compose::history::remember;
use super::super::effect::Effect;
use super::super::msg::Now;
use super::super::state::{App, Ask, AskFor, Focus, Overlay};
use super::super::update::{save_later, set_draft};
use super::tree::Node;

/// The most contestants: as many as a layout of panes shows.
const MOST: usize = 9;
/// The longest name of a contestant, in characters.
const LONGEST_NAME: usize = 120;

/// A channel's part in a race.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// Which race.
    pub race: u64,
    /// Who runs in it: a preset or a model.
    pub name: String,
}

/// A race that waits for fresh channel ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pending {
    prompt: String,
    names: Vec<String>,
}

/// What is told of a contestant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// From the run's first event to its first token, in milliseconds.
    pub first_token_ms: Option<u64>,
    /// Tokens a second: now, or over the whole run once it is over.
    pub rate: Option<f64>,
    /// 1 for who was done first, and so on; `None` until it is done.
    pub place: Option<usize>,
}

/// Asks who runs.
pub(super) fn ask(app: &mut App) {
    let names = if app.panes.contestants.is_empty() {
        suggestion(app)
    } else {
        app.panes.contestants.clone()
    };
    app.overlay = Some(Overlay::Ask(Ask::new(AskFor::Race, names)));
}

/// What may run here, as far as that is known.
fn suggestion(app: &App) -> String {
    let presets = &app.settings.compose.presets;
    if presets.len() > 1 {
        let names: Vec<&str> = presets.iter().take(MOST).map(|preset| preset.name.as_str()).collect();
        return names.join(", ");
    }
    let model = app.server.info.as_ref().map(|info| info.model.clone());
    model.map_or(String::new(), |model| format!("{model}, "))
}

/// The names in a list with commas, each once.
fn names(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// Who runs was entered; without a draft the prompt is asked for too.
pub(in crate::app) fn submit_contestants(app: &mut App, text: &str, effects: &mut Vec<Effect>) {
    let names = names(text);
    let error = if names.len() < 2 {
        Some("A race needs two at least: their names, with commas between them".to_owned())
    } else if names.len() > MOST {
        Some(format!(
            "At most {MOST} can be seen side by side, these are {}",
            names.len()
        ))
    } else if names.iter().any(|name| name.chars().count() > LONGEST_NAME) {
        Some(format!("A name has at most {LONGEST_NAME} characters"))
    } else if names_files(app) {
        Some("A race attaches no files: take the @ words out of the prompt first".to_owned())
    } else {
        None
    };
    if let Some(error) = error {
        app.overlay = Some(Overlay::Ask(Ask {
            error: Some(error),
            ..Ask::new(AskFor::Race, text)
        }));
        return;
    }
    app.panes.contestants = names.join(", ");
    save_later(app);
    if app.draft.trim().is_empty() {
        app.overlay = Some(Overlay::Ask(Ask::new(AskFor::RacePrompt(names), "")));
        return;
    }
    // What was folded to a mark in the box goes whole.
    let typed = app.draft.clone();
    let prompt = app.compose.pastes.expand(&typed);
    set_draft(app, String::new());
    remember(app, &typed, effects);
    start(app, prompt, names, effects);
}

/// The prompt was entered.
pub(in crate::app) fn submit_prompt(app: &mut App, names: Vec<String>, text: &str, effects: &mut Vec<Effect>) {
    if text.trim().is_empty() {
        app.overlay = Some(Overlay::Ask(Ask {
            error: Some("Type the prompt that all of them get".to_owned()),
            ..Ask::new(AskFor::RacePrompt(names), text)
        }));
        return;
    }
    remember(app, text, effects);
    start(app, text.to_owned(), names, effects);
}

/// Whether the draft names files that are there.
fn names_files(app: &App) -> bool {
    let found = app.compose.files.found();
    found.iter().any(|file| matches!(file.found, Found::Text { .. }))
}

fn start(app: &mut App, prompt: String, names: Vec<String>, effects: &mut Vec<Effect>) {
    app.panes.pending_race = Some(Pending { prompt, names });
    proceed(app, effects);
}

/// Dispatches the race that waits, once there are channel ids for all of it.
pub(in crate::app) fn proceed(app: &mut App, effects: &mut Vec<Effect>) {
    let Some(pending) = app.panes.pending_race.take() else {
        return;
    };
    let wanted = pending.names.len();
    // Each run needs one for the results of each function as well.
    let ids = wanted * (1 + ids_needed(app));
    if app.fresh_ids.len() < ids {
        app.panes.pending_race = Some(pending);
        effects.push(Effect::NeedIds(ids));
        return;
    }
    let Pending { prompt, names } = pending;
    let known = app.channels.values().filter_map(|channel| channel.panes.race.as_ref());
    let race = known.map(|lane| lane.race).max().unwrap_or(0) + 1;
    let mut lanes = Vec::with_capacity(wanted);
    // The last one first, so that the list has them in their order.
    for name in names.into_iter().rev() {
        let Some(id) = super::dispatch(app, &prompt, &name, effects) else {
            continue;
        };
        if let Some(channel) = app.channels.get_mut(&id) {
            channel.set_title(&format!("{name}: {prompt}"));
            channel.panes.race = Some(Lane { race, name });
        }
        lanes.push(id);
    }
    lanes.reverse();
    let channels = &app.channels;
    app.panes.lanes.retain(|(_, id)| channels.contains_key(id));
    app.panes.lanes.extend(lanes.iter().map(|id| (race, id.clone())));
    let mut layout = Node::grid(rows(lanes.len()));
    let mut shown = lanes.iter().cloned();
    layout.put_all(|_, channel| *channel = shown.next());
    app.selected = lanes.first().cloned();
    super::show(app, layout);
    app.focus = Focus::Transcript;
    save_later(app);
}

/// The rows of panes for so many contestants.
fn rows(count: usize) -> &'static [usize] {
    match count {
        0 | 1 => &[1],
        2 => &[2],
        3 => &[3],
        4 => &[2, 2],
        5 => &[3, 2],
        6 => &[3, 3],
        7 => &[3, 2, 2],
        8 => &[3, 3, 2],
        _ => &[3, 3, 3],
    }
}

/// Whether a run was done, and not stopped or cut.
fn finished_at(channel: &Channel) -> Option<u64> {
    match channel.transcript.status() {
        Status::Done {
            reason: EndReason::Abort | EndReason::Error,
        } => None,
        Status::Done { .. } => channel.transcript.counters().ended_at,
        _ => None,
    }
}

impl App {
    /// How a contestant of a race stands; `None`: the channel runs in none.
    ///
    /// The work is that of the channels in view: a race is seen in its panes.
    #[must_use]
    pub fn standing(&self, channel: &Channel, now: Now) -> Option<Standing> {
        let lane = channel.panes.race.as_ref()?;
        let counters = channel.transcript.counters();
        let first_token_ms = counters
            .first_token_at
            .zip(counters.started_at)
            .map(|(first, start)| first.saturating_sub(start));
        let rate = match (counters.first_token_at, counters.ended_at) {
            (Some(first), Some(end)) => {
                let ms = end.saturating_sub(first).max(1);
                Some(channel.tokens() as f64 * 1_000.0 / ms as f64)
            }
            (Some(_), None) => Some(channel.transcript.rate(now.unix_ms)),
            _ => None,
        };
        let place = finished_at(channel).map(|end| {
            let others = self.panes.lanes(lane.race).filter(|id| **id != channel.id);
            let ends = others.filter_map(|id| finished_at(self.channels.get(id)?));
            1 + ends.filter(|other| *other < end).count()
        });
        Some(Standing {
            first_token_ms,
            rate,
            place,
        })
    }
}

/// `1st`, `2nd`, `3rd`, `4th`.
#[must_use]
pub fn ordinal(place: usize) -> String {
    let ending = match place {
        1 => "st",
        2 => "nd",
        3 => "rd",
        _ => "th",
    };
    format!("{place}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parted_by_commas_and_counted_once() {
        assert_eq!(names(" a, b:7b ,a,, c "), ["a", "b:7b", "c"]);
        assert_eq!([1, 2, 3, 9].map(ordinal), ["1st", "2nd", "3rd", "9th"]);
        for count in 2..=9 {
            assert_eq!(rows(count).iter().sum::<usize>(), count);
        }
    }
}
