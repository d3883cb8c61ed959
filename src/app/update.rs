//! The rules: what each message changes and what it wants done.
//!
//! Keys are in `commands`, dialogues in `dialogue`; here is what comes from outside and what is typed.

use crate::transcript::{Connection, FeedBatch, Item};
use crate::wire::ChannelId;
use crate::wire::event::{Event, EventKind, MessageKind};

use super::action::Action;
use super::channel::{Channel, Kept};
use super::effect::Effect;
use super::msg::{Msg, Now, RequestId, Scroll};
use super::state::{App, Ask, AskFor, Focus, Notice, Overlay, Question};
use super::{commands, compose, dialogue, server};

/// How many fresh ids are kept in stock.
pub(super) const ID_STOCK: usize = 8;
/// How long after the last change of the draft, the selection or a title the state is saved, in milliseconds.
const SAVE_DELAY_MS: u64 = 1_000;
/// How long news stay, in milliseconds.
const NOTICE_MS: u64 = 6_000;
/// How long bad news stay, in milliseconds.
const ERROR_NOTICE_MS: u64 = 12_000;
/// How long what was copied stays, in milliseconds: long enough to select it by hand.
const COPIED_NOTICE_MS: u64 = 30_000;
/// For so long no key takes an error away: the key may have been on its way before the error was seen.
const ERROR_HOLD_MS: u64 = 1_000;

/// Takes a message in and says what is to be done, in this order. `now` is the time at which it is taken in.
pub fn update(app: &mut App, msg: Msg, now: Now) -> Vec<Effect> {
    let before = std::mem::replace(&mut app.now, now);
    let mut effects = Vec::new();
    if super::wall::refuses(app, &msg) {
        return effects;
    }
    let concerns_the_list = concerns_the_list(&msg);
    forget_old_news(app, &msg);
    super::notifications::note(app, &msg);
    // What a feed brings changes no selection, and comes often.
    let is_feed = matches!(msg, Msg::Feed { .. });
    match msg {
        Msg::Tick => {
            tick(app, before, &mut effects);
            return effects;
        }
        Msg::Feed {
            channel,
            generation,
            batch,
        } => {
            if !feed(app, &channel, generation, batch, &mut effects) {
                return effects;
            }
        }
        Msg::FreshIds(ids) => {
            app.fresh_ids.extend(ids);
            super::recordings::show_opened(app, &mut effects);
            for outgoing in std::mem::take(&mut app.unsent) {
                compose::dispatch(app, outgoing, &mut effects);
            }
            super::panes::race::proceed(app, &mut effects);
        }
        Msg::Start => start(app, &mut effects),
        Msg::Action(action) => commands::perform(app, action, &mut effects),
        Msg::DraftChanged(text) => {
            compose::draft_changed(app, text);
            app.interrupted_at = None;
            save_later(app);
        }
        Msg::Submit(text) => compose::submit(app, text, &mut effects),
        Msg::DialogueChanged(text) => dialogue::changed(app, text),
        Msg::DialogueSubmit(text) => dialogue::submit(app, &text, &mut effects),
        Msg::Dismiss if super::list::leave_dialogue(app) => {}
        Msg::Dismiss => app.overlay = None,
        Msg::ScrollTo(scroll) => scroll_to(app, scroll),
        Msg::SelectIndex(index) => {
            if let Some(id) = super::list::listed_at(app, index) {
                select(app, &id);
            }
        }
        Msg::ToggleFold(block) => with_selected(app, |channel| channel.toggle(block)),
        Msg::MarkPart(block) => with_selected(app, |channel| channel.marked = Some(block)),
        Msg::Resize(columns, rows) => app.size = (columns, rows),
        Msg::TerminalFocus(focused) => {
            app.terminal_focused = focused;
        }
        Msg::Server(Ok(info)) => server::found(app, Some(*info), &mut effects),
        Msg::Server(Err(outage)) => server::missing(app, outage),
        Msg::ServerReady => server::found(app, None, &mut effects),
        Msg::ServerGone => server::gone(app, &mut effects),
        Msg::Warning(text) => complain(app, text),
        Msg::Dispatched {
            request,
            channel,
            result,
        } => compose::dispatched(app, request, &channel, result, &mut effects),
        Msg::Published { request, result } => {
            if !super::wall::published(app, request, &result)
                && !super::calls::published(app, request, &result, &mut effects)
            {
                dialogue::published(app, request, result);
            }
        }
        Msg::Cancelled { channel, result } => match result {
            Ok(()) => {
                let title = app.channels.get(&channel).map_or("the run", |channel| &channel.title);
                let text = format!("Cancelling {title}");
                say(app, text);
            }
            Err(reason) => complain(app, format!("Could not cancel the run: {reason}")),
        },
        Msg::Runs { request, runs } if super::list::found(app, request, runs.as_deref()) => {}
        Msg::Runs { request, runs } => server::runs(app, request, runs, &mut effects),
        Msg::Copied(result) => copied(app, result),
        Msg::SaveFailed(reason) => complain(app, format!("Could not save what is watched: {reason}")),
        Msg::List(msg) => super::list::take(app, msg, &mut effects),
        Msg::Panes(msg) => super::panes::take(app, msg, &mut effects),
        Msg::Reading(msg) => {
            if !super::reading::take(app, msg, &mut effects) {
                return effects;
            }
        }
        Msg::Copying(msg) => super::copying::take(app, msg, &mut effects),
        Msg::Compose(msg) => super::compose::take(app, msg, &mut effects),
        Msg::Calls(msg) => super::calls::take(app, msg, &mut effects),
        Msg::Wall(msg) => super::wall::take(app, msg, &mut effects),
        Msg::Recordings(msg) => super::recordings::take(app, msg, &mut effects),
        Msg::Notifications(msg) => super::notifications::take(app, msg, &mut effects),
        Msg::Look(msg) => super::look::take(app, msg),
        Msg::Shutdown => quit(app, &mut effects),
    }
    if !is_feed {
        super::panes::settle(app);
        super::recordings::settle(app, &mut effects);
    }
    compose::settle(app);
    if concerns_the_list {
        super::list::settle(app);
    } else {
        super::list::settle_if_stale(app);
    }
    app.revision += 1;
    effects
}

/// Whether any channel may have another state, or another place in the list, afterwards. What is typed and scrolled
/// changes neither; what a feed brings concerns its channel alone, unless the rules say more.
fn concerns_the_list(msg: &Msg) -> bool {
    !matches!(
        msg,
        Msg::Feed { .. }
            | Msg::DraftChanged(_)
            | Msg::ScrollTo(_)
            | Msg::MarkPart(_)
            | Msg::ToggleFold(_)
            | Msg::Copied(_)
            | Msg::Warning(_)
    )
}

/// News are about what was done before: the next thing that the person does takes them away.
fn forget_old_news(app: &mut App, msg: &Msg) {
    let does_something = matches!(
        msg,
        Msg::Action(_)
            | Msg::Submit(_)
            | Msg::DialogueSubmit(_)
            | Msg::Dismiss
            | Msg::SelectIndex(_)
            | Msg::ToggleFold(_)
            | Msg::MarkPart(_)
            | Msg::Copying(
                super::copying::Msg::AskCopy(_) | super::copying::Msg::Select(_) | super::copying::Msg::Focus(_)
            )
    );
    if does_something {
        // "Again" is what comes next: after anything else a first Ctrl-C is a first one.
        if !matches!(msg, Msg::Action(Action::Interrupt)) {
            app.interrupted_at = None;
        }
        let now = app.now.monotonic_ms;
        app.notice
            .take_if(|notice| !notice.error || now.saturating_sub(notice.at) >= ERROR_HOLD_MS);
    }
}

/// Says something in the line of news.
pub(super) fn say(app: &mut App, text: String) {
    notify(app, text, false, NOTICE_MS);
}

/// Says that something went wrong.
pub(super) fn complain(app: &mut App, text: String) {
    notify(app, text, true, ERROR_NOTICE_MS);
}

fn notify(app: &mut App, text: String, error: bool, lasts_ms: u64) {
    app.notice = Some(Notice {
        text,
        error,
        at: app.now.monotonic_ms,
        lasts_ms,
    });
}

/// Copies a text; `what` says in words what it is, for the news.
pub(super) fn copy(app: &mut App, text: String, what: String, effects: &mut Vec<Effect>) {
    app.being_copied = Some(what);
    effects.push(Effect::Copy(text));
}

/// What was to be copied is named whether it worked or not: no terminal ever says, and an id can be selected by hand.
fn copied(app: &mut App, result: Result<String, String>) {
    let what = app.being_copied.take().unwrap_or_else(|| "the text".to_owned());
    match result {
        Ok(ways) => notify(app, format!("Copied ({ways}): {what}"), false, COPIED_NOTICE_MS),
        Err(reason) => notify(app, format!("Not copied, {reason}: {what}"), true, COPIED_NOTICE_MS),
    }
}

/// Changes the selected channel, if there is one.
pub(super) fn with_selected(app: &mut App, change: impl FnOnce(&mut Channel)) {
    if let Some(channel) = app.selected.as_ref().and_then(|id| app.channels.get_mut(id)) {
        change(channel);
    }
}

/// Moves the mark of the list. Where its transcript is on the screen, the channel is read by that.
pub(super) fn select(app: &mut App, id: &ChannelId) {
    super::list::selecting(app, id);
    if app.channels.contains_key(id) && app.selected.as_ref() != Some(id) {
        app.selected = Some(id.clone());
        save_later(app);
    }
}

/// Watches a channel at the top of the list, and selects it.
pub(super) fn watch(app: &mut App, id: &ChannelId, effects: &mut Vec<Effect>) {
    insert_watched(app, id, effects);
    super::panes::make_room(app);
    select(app, id);
    super::panes::settle(app);
    save_now(app, effects);
}

/// Watches a channel at the top of the list; the mark stays where it is.
pub(super) fn insert_watched(app: &mut App, id: &ChannelId, effects: &mut Vec<Effect>) {
    app.last_generation += 1;
    let channel = Channel::new(id.clone(), app.last_generation, app.now);
    app.channels.shift_insert(0, id.clone(), channel);
    effects.push(Effect::Watch {
        channel: id.clone(),
        generation: app.last_generation,
        after: None,
    });
}

/// Watches a channel of the list again, from where it was read to.
pub(super) fn resume(app: &mut App, id: &ChannelId, effects: &mut Vec<Effect>) {
    let Some(channel) = app.channels.get_mut(id) else {
        return;
    };
    app.last_generation += 1;
    let generation = app.last_generation;
    let after = channel.transcript.last_id();
    if after.is_some() {
        channel.generation = generation;
        channel.connection = Connection::Connecting;
    } else {
        // Without positions everything comes again: beside what was seen it would stand twice.
        let prompt = channel
            .prompt
            .take()
            .or_else(|| channel.transcript.first_prompt().map(str::to_owned));
        channel.begin_anew(generation);
        channel.prompt = prompt;
    }
    effects.push(Effect::Watch {
        channel: id.clone(),
        generation,
        after,
    });
}

/// Takes a channel out of the list; its neighbour is selected.
pub(super) fn unwatch(app: &mut App, id: &ChannelId, effects: &mut Vec<Effect>) {
    let Some(index) = app.channels.get_index_of(id) else {
        return;
    };
    let neighbour = super::list::neighbour_of(app, index);
    if let Some(channel) = app.channels.shift_remove(id) {
        super::recordings::unwatched(app, &channel, effects);
        super::wall::unwatched(app, &channel);
    }
    effects.push(Effect::Unwatch { channel: id.clone() });
    close_overlay_of(app, id);
    if app.selected.as_ref() == Some(id) {
        let any = || {
            app.channels
                .get_index(index)
                .or_else(|| app.channels.last())
                .map(|(id, _)| id.clone())
        };
        app.selected = neighbour.filter(|id| app.channels.contains_key(id)).or_else(any);
    }
    if app.channels.is_empty() {
        // There is no transcript to be in, and none to come back to.
        for focus in [&mut app.focus, &mut app.focus_before_compose] {
            if *focus == Focus::Transcript {
                *focus = Focus::List;
            }
        }
    }
    save_now(app, effects);
}

/// Ends the program; what was not saved yet is.
pub(super) fn quit(app: &mut App, effects: &mut Vec<Effect>) {
    if app.save_due.is_some() {
        save_now(app, effects);
    }
    effects.push(Effect::Quit);
}

/// The text of the compose box is replaced by another one.
pub(super) fn set_draft(app: &mut App, text: String) {
    app.draft = text;
    app.draft_revision += 1;
    save_later(app);
}

/// The next request's name.
pub(super) fn next_request(app: &mut App) -> RequestId {
    app.last_request += 1;
    RequestId(app.last_request)
}

pub(super) fn save_later(app: &mut App) {
    app.save_due.get_or_insert(app.now.monotonic_ms + SAVE_DELAY_MS);
}

pub(super) fn save_now(app: &mut App, effects: &mut Vec<Effect>) {
    app.save_due = None;
    effects.retain(|effect| !matches!(effect, Effect::Save(_)));
    effects.push(Effect::Save(Box::new(app.saved_state())));
}

fn start(app: &mut App, effects: &mut Vec<Effect>) {
    effects.push(Effect::NeedIds(ID_STOCK));
    compose::start(effects);
    for channel in app.channels.values() {
        effects.push(Effect::Watch {
            channel: channel.id.clone(),
            generation: channel.generation,
            after: None,
        });
    }
    super::recordings::start(app, effects);
    super::wall::start(app, effects);
}

fn tick(app: &mut App, before: Now, effects: &mut Vec<Effect>) {
    let now = app.now;
    if app
        .notice
        .as_ref()
        .is_some_and(|notice| now.monotonic_ms >= notice.until())
    {
        app.notice = None;
        app.revision += 1;
    }
    if app.save_due.is_some_and(|due| now.monotonic_ms >= due) {
        save_now(app, effects);
    }
    let mut changed = false;
    changed |= super::list::tick(app, effects);
    changed |= super::panes::tick(app, effects);
    changed |= super::reading::tick(app, effects);
    changed |= super::copying::tick(app, effects);
    changed |= super::compose::tick(app, effects);
    changed |= super::calls::tick(app, effects);
    changed |= super::wall::tick(app, effects);
    changed |= super::recordings::tick(app, effects);
    changed |= super::notifications::tick(app, effects);
    if changed {
        super::list::settle(app);
    }
    app.revision += u64::from(changed);
    let another_minute = before.unix_ms / 60_000 != now.unix_ms / 60_000;
    let another_second = before.unix_ms / 1_000 != now.unix_ms / 1_000;
    if another_minute || (another_second && app.shows_seconds()) {
        app.revision += 1;
    }
}

/// Takes a batch in; `false`: it was stale, nothing changed.
fn feed(app: &mut App, id: &ChannelId, generation: u64, batch: FeedBatch, effects: &mut Vec<Effect>) -> bool {
    let now = app.now;
    let looked_at = app.terminal_focused && app.is_in_view(id) && super::list::transcript_is_shown(app);
    if super::wall::lobby::owns(app, id, generation) {
        return super::wall::lobby::feed(app, batch, effects);
    }
    if app
        .channels
        .get(id)
        .is_none_or(|channel| channel.generation != generation)
    {
        return false;
    }
    super::list::before_feed(app, id, &batch, effects);
    super::panes::before_feed(app, id, &batch, effects);
    super::reading::before_feed(app, id, &batch, effects);
    super::copying::before_feed(app, id, &batch, effects);
    super::compose::before_feed(app, id, &batch, effects);
    super::calls::before_feed(app, id, &batch, effects);
    super::wall::before_feed(app, id, &batch, effects);
    super::recordings::before_feed(app, id, &batch, effects);
    super::notifications::before_feed(app, id, &batch, effects);
    let Some(channel) = app.channels.get_mut(id) else {
        return false;
    };
    let news = match batch.items.last() {
        Some(Item::Event { at: Some(at), .. }) => *at >= channel.watching_since,
        Some(_) => true,
        None => false,
    };
    if let Some(first) = first_event(&batch) {
        channel.kept = Kept::Yes;
        if matches!(&first.kind, EventKind::Message(message) if message.kind != MessageKind::Bot) {
            channel.prompt = None;
        } else {
            // The hosted service does not send the prompt.
            server::show_prompt(channel, now);
        }
    }
    for item in batch.items {
        channel.transcript.apply(item, now.unix_ms);
    }
    // A channel that began anew counts anew.
    channel.read_tokens = channel.read_tokens.min(channel.tokens());
    let mut came_back = false;
    let mut gone = false;
    match batch.connection {
        Some(Connection::ServerGone { .. }) => gone = true,
        Some(connection) => {
            came_back = connection == Connection::Live && matches!(channel.connection, Connection::Reconnecting { .. });
            channel.connected(connection, now.unix_ms);
        }
        None => {}
    }
    channel.unread |= news && !looked_at;
    if channel.scroll == Scroll::Tail {
        channel.read_tokens = channel.tokens();
    }
    let mut renamed = false;
    if !channel.titled
        && let Some(title) = channel.transcript.title().map(str::to_owned)
    {
        renamed = channel.set_title(&title);
    }
    if renamed {
        save_later(app);
    }
    dialogue::call_changed(app, id);
    super::list::after_feed(app, id, effects);
    super::panes::after_feed(app, id, effects);
    super::reading::after_feed(app, id, effects);
    super::copying::after_feed(app, id, effects);
    super::compose::after_feed(app, id, effects);
    super::calls::after_feed(app, id, effects);
    super::wall::after_feed(app, id, effects);
    super::recordings::after_feed(app, id, effects);
    super::notifications::after_feed(app, id, effects);
    if gone {
        server::gone(app, effects);
        super::list::settle(app);
    } else if came_back {
        server::connected_again(app, id, effects);
        super::list::settle(app);
    }
    true
}

/// When the parts of the state need the next tick, monotonic milliseconds.
pub(super) fn areas_due(app: &App) -> [Option<u64>; 9] {
    [
        super::list::next_due(app),
        super::panes::next_due(app),
        super::reading::next_due(app),
        super::copying::next_due(app),
        super::compose::next_due(app),
        super::calls::next_due(app),
        super::wall::next_due(app),
        super::recordings::next_due(app),
        super::notifications::next_due(app),
    ]
}

fn first_event(batch: &FeedBatch) -> Option<&Event> {
    batch.items.iter().find_map(|item| match item {
        Item::Event { event, .. } => Some(event),
        _ => None,
    })
}

/// A dialogue about a channel that is not in the list any more has nothing left to ask.
pub(super) fn close_overlay_of(app: &mut App, id: &ChannelId) {
    super::calls::inbox::forget(app, id);
    let of = match &app.overlay {
        Some(Overlay::Answer(answer)) => Some(&answer.run),
        Some(Overlay::Confirm(Question::CancelRun(run))) => Some(run),
        Some(Overlay::Confirm(Question::Overwrite(export))) => Some(&export.channel),
        Some(Overlay::Ask(Ask {
            purpose: AskFor::Export { channel, .. },
            ..
        })) => Some(channel),
        Some(Overlay::Ask(Ask {
            purpose: AskFor::Deny(call),
            ..
        })) => Some(&call.run),
        Some(Overlay::Ask(Ask {
            purpose: AskFor::Rename(of) | AskFor::Group(of),
            ..
        })) => Some(of),
        Some(
            Overlay::Help
            | Overlay::Ask(_)
            | Overlay::Pick(_)
            | Overlay::Inbox(_)
            | Overlay::Tail
            | Overlay::Confirm(Question::StopWatchingEnded { .. }),
        )
        | None => None,
    };
    if of == Some(id) {
        app.overlay = None;
    }
}

fn scroll_to(app: &mut App, scroll: Scroll) {
    with_selected(app, |channel| scroll_channel(channel, scroll));
}

/// Scrolls what is shown of a channel.
pub(super) fn scroll_channel(channel: &mut Channel, scroll: Scroll) {
    if super::reading::scroll_raw(channel, scroll) {
        return;
    }
    if channel.scroll == Scroll::Tail && scroll != Scroll::Tail {
        super::reading::left_the_end(channel);
    }
    if channel.scroll == Scroll::Tail || scroll == Scroll::Tail {
        channel.read_tokens = channel.tokens();
    }
    channel.scroll = scroll;
}
