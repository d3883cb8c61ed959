//! Runs of the account that were dispatched elsewhere: the server's list of them, to pick from and to watch.
//!
//! Only some servers have such a list, and one that has none is said to have none. Drawing is `ui`'s matter.

use crate::app::effect::Effect;
use crate::app::msg::RequestId;
use crate::app::picker::{Entry, Picker, Purpose};
use crate::app::state::{App, Focus, Overlay};
use crate::app::update::{next_request, save_later, say, select, watch};
use crate::text::sanitise_line;
use crate::wire::request::{RunStatus, RunSummary};

/// Opens the list of runs and asks the server for it.
pub(super) fn open(app: &mut App, effects: &mut Vec<Effect>) {
    let request = next_request(app);
    app.list.finding = Some(request);
    let title = format!("runs on {}", sanitise_line(&app.server.name));
    let mut picker = Picker::new(Purpose::Run, &title, "Type to narrow", Vec::new());
    picker.empty = format!("Asking {} for its runs …", sanitise_line(&app.server.name));
    app.overlay = Some(Overlay::Pick(picker));
    effects.push(Effect::ListRuns { request });
}

/// The list of runs came. `false`: another part of the program asked for it.
pub(in crate::app) fn found(app: &mut App, request: RequestId, runs: Option<&[RunSummary]>) -> bool {
    if app.list.finding != Some(request) {
        return false;
    }
    app.list.finding = None;
    app.list.found.clear();
    let now = app.now.unix_ms;
    let name = sanitise_line(&app.server.name).into_owned();
    let (watched, channels) = (app.channels.len(), &app.channels);
    let mut entries = Vec::new();
    for run in runs.unwrap_or_default() {
        if !channels.contains_key(&run.channel_id) {
            entries.push(entry(run, now, app.list.found.len()));
            app.list.found.push(run.channel_id.clone());
        }
    }
    let empty = match runs {
        None => format!("{name} gave no list of its runs: w watches a channel id"),
        Some([]) => format!("This account has no run on {name} that is still kept"),
        Some(_) if watched > 0 => format!("Every run on {name} is watched already"),
        Some(_) => String::new(),
    };
    match &mut app.overlay {
        Some(Overlay::Pick(picker)) if picker.purpose == Purpose::Run => {
            picker.entries = entries;
            picker.empty = empty;
            let typed = std::mem::take(&mut picker.input);
            picker.narrow(typed);
        }
        // It was left before the answer came.
        _ => {}
    }
    true
}

fn entry(run: &RunSummary, now: u64, place: usize) -> Entry {
    let title = match run.title.trim() {
        "" => run.channel_id.masked(),
        title => title.to_owned(),
    };
    let mut detail = match run.status {
        RunStatus::Queued => "queued".to_owned(),
        RunStatus::Running => "live".to_owned(),
        RunStatus::Waiting => format!("waiting: {}", run.waiting.join(", ")),
        RunStatus::Ended => "done".to_owned(),
        RunStatus::Failed => "failed".to_owned(),
    };
    if let Some(reason) = run.end_reason.as_deref().filter(|reason| *reason != "stop")
        && run.status == RunStatus::Ended
    {
        detail = if reason == "abort" {
            "cancelled".to_owned()
        } else {
            format!("done ({reason})")
        };
    }
    if run.restarts > 0 {
        detail = format!("{detail}, restarted");
    }
    if !run.model.is_empty() {
        detail = format!("{detail}   {}", run.model);
    }
    Entry {
        text: sanitise_line(&title).into_owned(),
        detail: sanitise_line(&detail).into_owned(),
        right: age(now.saturating_sub(run.created_at)),
        // Ids are secrets: an entry holds the place of its own.
        value: place.to_string(),
    }
}

/// How long ago, in its largest unit.
fn age(ms: u64) -> String {
    let minutes = ms / 60_000;
    match minutes {
        0 => "just now".to_owned(),
        1..60 => format!("{minutes} min ago"),
        60..2_880 => format!("{} h ago", minutes / 60),
        _ => format!("{} days ago", minutes / 1_440),
    }
}

/// A run was picked: it is watched from now on.
pub(in crate::app) fn picked_run(app: &mut App, picked: &Entry, effects: &mut Vec<Effect>) {
    let place = picked.value.parse::<usize>().ok();
    let Some(id) = place.and_then(|place| app.list.found.get(place)).cloned() else {
        return;
    };
    app.list.found.clear();
    if app.channels.contains_key(&id) {
        select(app, &id);
    } else {
        watch(app, &id, effects);
        if let Some(channel) = app.channels.get_mut(&id)
            && picked.text != channel.title
        {
            channel.set_title(&picked.text);
        }
        save_later(app);
    }
    if app.focus == Focus::Compose {
        app.focus = Focus::List;
    }
    say(app, format!("Watching {}", picked.text));
}
