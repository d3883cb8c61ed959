//! Key scripts through the real loop, with a server made for it and paused time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use ratatui::Frame;
use serde_json::Value;
use tokio::sync::mpsc;

use super::executor::{Connect, Executor, NoServer};
use super::saved;
use super::service::{Answer, CallError, Connected, Service};
use super::session::{Clock, Ending, Session, View, run_loop};
use crate::app::state::SavedChannel;
use crate::app::{Action, App, Msg, SavedState, Settings};
use crate::client::supervisor::Arrival;
use crate::term::{BackendScreen, Input, ScriptedInput};
use crate::transcript::{Connection, FeedBatch, Item};
use crate::wire::request::RunSummary;
use crate::wire::{ChannelId, DispatchRequest};

/// What happened, in its order.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn push(&self, entry: impl Into<String>) {
        self.0.lock().expect("no test panics in here").push(entry.into());
    }

    fn entries(&self) -> Vec<String> {
        self.0.lock().expect("no test panics in here").clone()
    }

    fn count(&self, entry: &str) -> usize {
        self.entries().iter().filter(|other| *other == entry).count()
    }

    fn position(&self, entry: &str) -> usize {
        let entries = self.entries();
        entries
            .iter()
            .position(|other| other == entry)
            .unwrap_or_else(|| panic!("no {entry} in {entries:?}"))
    }
}

/// A view with a key for everything that the tests need.
struct Keys(Log);

impl View for Keys {
    fn handle(&mut self, _: &App, event: Event) -> Vec<Msg> {
        match event {
            Event::Key(key) => match key.code {
                KeyCode::Char('p') => vec![Msg::Submit("a prompt".into())],
                KeyCode::Char('d') => vec![Msg::DraftChanged("half a prompt".into())],
                KeyCode::Char('y') => vec![Msg::Action(Action::CopyId)],
                KeyCode::Char('z') => vec![Msg::Action(Action::Suspend)],
                KeyCode::Char('q') => vec![Msg::Shutdown],
                _ => Vec::new(),
            },
            Event::Resize(columns, rows) => vec![Msg::Resize(columns, rows)],
            _ => Vec::new(),
        }
    }

    fn draw(&mut self, app: &App, frame: &mut Frame<'_>) {
        self.0.push("draw");
        let notice = app.notice.as_ref().map_or("", |notice| &notice.text);
        let text = format!("{:?}\n{} channels\n{notice}", app.size, app.channels.len());
        frame.render_widget(text, frame.area());
    }
}

/// How the server behaves.
#[derive(Debug, Clone, Default)]
struct Behaviour {
    /// How often finding it fails first.
    failures: usize,
    /// How long a dispatch takes.
    dispatch_takes: Duration,
    /// Whether it refuses dispatches.
    refuses: bool,
    /// It is never found.
    missing: bool,
    /// How many of the servers that are found first are gone when they are called.
    gone: usize,
    /// What there is to know about it.
    notice: Option<&'static str>,
    /// The channel that it runs every prompt on, whatever was asked for.
    other_channel: Option<ChannelId>,
    /// It does not take the secret.
    refuses_all: bool,
}

/// The server that was found as the so many-th.
struct Server(Log, Behaviour, usize);

impl Service for Server {
    fn watch(&mut self, _: ChannelId, generation: u64, _: Option<u64>) {
        self.0.push(format!("watch {generation}"));
    }

    fn unwatch(&mut self, _: &ChannelId) {
        self.0.push("unwatch");
    }

    fn show(&mut self, _: &[ChannelId], _: Option<&[ChannelId]>) {}

    fn dispatch(&self, body: DispatchRequest) -> Answer<ChannelId> {
        let (log, behaviour, number) = (self.0.clone(), self.1.clone(), self.2);
        Box::pin(async move {
            log.push(format!("dispatch {}", body.complete.messages[0].text));
            tokio::time::sleep(behaviour.dispatch_takes).await;
            if number <= behaviour.gone {
                log.push(format!("gone {number}"));
                return Err(CallError {
                    reason: "refused".into(),
                    gone: true,
                });
            }
            log.push("dispatched");
            if behaviour.refuses {
                Err(CallError {
                    reason: "it is full; try later".into(),
                    gone: false,
                })
            } else {
                let asked = body.channel_id.expect("an id is asked for");
                Ok(behaviour.other_channel.unwrap_or(asked))
            }
        })
    }

    fn publish(&self, _: ChannelId, _: Value) -> Answer<()> {
        async { Ok(()) }.boxed()
    }

    fn cancel(&self, _: ChannelId) -> Answer<()> {
        async { Ok(()) }.boxed()
    }

    fn runs(&self) -> Answer<Vec<RunSummary>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn follow(
        &self,
        _: ChannelId,
        after: BoxFuture<'static, Option<u64>>,
        batches: mpsc::Sender<FeedBatch>,
    ) -> BoxFuture<'static, ()> {
        let log = self.0.clone();
        async move {
            log.push(format!("follow after {:?}", after.await));
            let ended = FeedBatch {
                items: vec![Item::Gap { missing: Some(2) }],
                connection: Some(Connection::Ended),
            };
            let _ = batches.send(ended).await;
        }
        .boxed()
    }
}

fn connect(log: &Log, behaviour: Behaviour) -> Connect {
    let (log, tries) = (log.clone(), Arc::new(Mutex::new(0)));
    Box::new(move || {
        let mut tries = tries.lock().expect("no test panics in here");
        *tries += 1;
        log.push("connect");
        if behaviour.missing {
            return async { Err("no server".into()) }.boxed();
        }
        if behaviour.refuses_all {
            let refused = NoServer {
                reason: "it does not take the secret".into(),
                refused: true,
            };
            return async { Err(refused) }.boxed();
        }
        if *tries <= behaviour.failures {
            return async { Err("not yet".into()) }.boxed();
        }
        let connected = Connected {
            service: Box::new(Server(log.clone(), behaviour.clone(), *tries - behaviour.failures)),
            info: None,
            notice: behaviour.notice.map(str::to_owned),
        };
        async move { Ok(connected) }.boxed()
    })
}

fn key(c: char) -> Input {
    Input::Event(Event::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)))
}

/// A run of the whole loop.
struct Run {
    log: Log,
    home: tempfile::TempDir,
    behaviour: Behaviour,
    saved: SavedState,
}

/// What is left at its end.
struct Rest {
    ending: Ending,
    screen: BackendScreen,
    unsent: usize,
    saved: saved::Loaded,
    took: Duration,
}

impl Run {
    fn new(behaviour: Behaviour) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        Self {
            log: Log::default(),
            home,
            behaviour,
            saved: SavedState::default(),
        }
    }

    /// Runs the loop; `script` types and brings batches, at its own pace.
    async fn play<F: Future<Output = ()> + Send + 'static>(
        &self,
        script: impl FnOnce(mpsc::Sender<Input>, mpsc::Sender<Arrival>) -> F,
    ) -> Rest {
        let start = tokio::time::Instant::now();
        let clock = Clock::starting_at(1_700_000_040_000);
        let (mut input, keys) = ScriptedInput::new([]);
        let (batches, mut arrivals) = mpsc::channel(64);
        let script = tokio::spawn(script(keys, batches));
        let mut screen = BackendScreen::new(60, 5);
        let mut app = App::new(
            "test".into(),
            Settings::default(),
            self.saved.clone(),
            (60, 5),
            clock.now(),
        );
        let path = self.home.path().join("state.json");
        let (mut executor, mut replies) = Executor::new(
            path.clone(),
            self.saved.clone(),
            None,
            path.with_extension("recordings"),
            "test".into(),
        );
        let mut view = Keys(self.log.clone());
        let session = Session {
            app: &mut app,
            view: &mut view,
            screen: &mut screen,
            input: &mut input,
            executor: &mut executor,
            replies: &mut replies,
            arrivals: &mut arrivals,
            clock,
            alarm: crate::term::Alarm::default(),
        };
        let ending = run_loop(session, connect(&self.log, self.behaviour.clone()), None).await;
        drop(arrivals);
        let took = start.elapsed();
        let unsent = executor.finish(replies, Duration::from_secs(3)).await;
        script.abort();
        Rest {
            ending,
            screen,
            unsent,
            saved: saved::load(&path),
            took,
        }
    }
}

fn watching(id: &ChannelId) -> SavedState {
    let channel = SavedChannel::new(id.clone(), "a title", 0);
    SavedState {
        channels: vec![channel],
        selected: Some(id.clone()),
        draft: String::new(),
        ..SavedState::default()
    }
}

async fn after(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_frame_is_painted_before_any_server_is_sought() {
    let run = Run::new(Behaviour::default());
    let rest = run
        .play(|keys, _| async move {
            after(100).await;
            let _ = keys.send(key('q')).await;
            std::future::pending().await
        })
        .await;
    assert_eq!(rest.ending, Ending::Quit);
    assert_eq!(run.log.entries()[..2], ["draw", "connect"]);
    assert_eq!(rest.screen.titles, ["switchboard"]);
}

#[tokio::test(start_paused = true)]
async fn what_there_is_to_know_about_the_server_is_shown() {
    let run = Run::new(Behaviour {
        notice: Some("it is an older one"),
        ..Behaviour::default()
    });
    let rest = run
        .play(|keys, _batches| async move {
            after(50).await;
            keys.send(key('q')).await.expect("the loop runs");
        })
        .await;
    let shown = rest.screen.text();
    assert!(shown.contains("it is an older one"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn what_needs_the_server_waits_for_it_in_order() {
    let run = Run::new(Behaviour {
        failures: 2,
        ..Behaviour::default()
    });
    let rest = run
        .play(|keys, _| async move {
            after(10).await;
            let _ = keys.send(key('p')).await;
            after(10_000).await;
            let _ = keys.send(key('q')).await;
            std::future::pending().await
        })
        .await;
    assert_eq!(run.log.count("connect"), 3);
    assert_eq!(run.log.count("dispatch a prompt"), 1, "{:?}", run.log.entries());
    assert!(
        run.log.position("watch 1") < run.log.position("dispatch a prompt"),
        "watched before it starts"
    );
    assert_eq!(rest.unsent, 0);
    assert_eq!(rest.saved.state.channels.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_meets_a_server_that_is_gone_goes_to_the_next_one() {
    let run = Run::new(Behaviour {
        gone: 1,
        ..Behaviour::default()
    });
    let rest = run
        .play(|keys, _| async move {
            after(10).await;
            let _ = keys.send(key('p')).await;
            after(10_000).await;
            let _ = keys.send(key('q')).await;
            std::future::pending().await
        })
        .await;
    assert_eq!(run.log.count("connect"), 2);
    assert_eq!(run.log.count("dispatched"), 1, "{:?}", run.log.entries());
    assert!(
        run.log.position("gone 1") < run.log.position("watch 2"),
        "watched on the next one"
    );
    assert_eq!((rest.unsent, rest.saved.state.channels.len()), (0, 1));
    assert_eq!(rest.saved.state.draft, "");
}

#[tokio::test(start_paused = true)]
async fn a_prompt_for_a_server_that_refuses_comes_back() {
    let run = Run::new(Behaviour {
        refuses_all: true,
        ..Behaviour::default()
    });
    let rest = run
        .play(|keys, _| async move {
            // One while the server is sought for the first time, one when it is known to refuse.
            let _ = keys.send(key('p')).await;
            after(500).await;
            let _ = keys.send(key('p')).await;
            after(100).await;
            let _ = keys.send(key('q')).await;
            std::future::pending().await
        })
        .await;
    let shown = rest.screen.text();
    assert!(
        shown.contains("0 channels") && shown.contains("it does not take"),
        "{shown}"
    );
    assert_eq!((rest.unsent, rest.saved.state.channels.len()), (0, 0));
    // Sending takes the box empty: this is the second one, come back like the first.
    assert_eq!(rest.saved.state.draft, "a prompt");
}

#[tokio::test(start_paused = true)]
async fn a_run_on_another_channel_than_was_asked_for_is_followed_there() {
    let other = ChannelId::from_random([9; 18]);
    for quits_at_once in [false, true] {
        let run = Run::new(Behaviour {
            other_channel: Some(other.clone()),
            dispatch_takes: Duration::from_millis(500),
            ..Behaviour::default()
        });
        let rest = run
            .play(move |keys, _| async move {
                after(10).await;
                let _ = keys.send(key('p')).await;
                after(if quits_at_once { 100 } else { 2_000 }).await;
                let _ = keys.send(key('q')).await;
                std::future::pending().await
            })
            .await;
        if !quits_at_once {
            assert!(run.log.position("dispatched") < run.log.position("unwatch"));
            assert!(run.log.position("unwatch") < run.log.position("watch 2"));
        }
        let ids: Vec<&ChannelId> = rest.saved.state.channels.iter().map(|saved| &saved.id).collect();
        assert_eq!(ids, [&other]);
        assert_eq!(rest.saved.state.selected.as_ref(), Some(&other));
        assert_eq!((rest.unsent, rest.saved.state.draft.as_str()), (0, ""));
    }
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_no_server_survives_comes_back() {
    let run = Run::new(Behaviour {
        gone: usize::MAX,
        ..Behaviour::default()
    });
    let rest = run
        .play(|keys, _| async move {
            after(10).await;
            let _ = keys.send(key('p')).await;
            after(600_000).await;
            let _ = keys.send(key('q')).await;
            std::future::pending().await
        })
        .await;
    let connects = run.log.count("connect");
    assert!((3..=4).contains(&connects), "{:?}", run.log.entries());
    assert_eq!(rest.saved.state.draft, "a prompt");
    assert!(rest.saved.state.channels.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_meets_a_server_that_is_gone_is_still_sent_at_the_end() {
    let run = Run::new(Behaviour {
        gone: 1,
        dispatch_takes: Duration::from_millis(500),
        ..Behaviour::default()
    });
    let rest = run
        .play(|keys, _| async move {
            after(10).await;
            let _ = keys.send(key('p')).await;
            let _ = keys.send(key('q')).await;
            std::future::pending().await
        })
        .await;
    assert_eq!(run.log.count("dispatched"), 1, "{:?}", run.log.entries());
    assert_eq!(rest.unsent, 0);
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_finds_the_server_gone_has_it_sought_and_is_begun_anew() {
    let mut run = Run::new(Behaviour::default());
    let channel = ChannelId::from_random([9; 18]);
    run.saved = watching(&channel);
    run.play(|keys, batches| async move {
        after(100).await;
        for generation in [1, 1, 2, 2, 3] {
            let batch = FeedBatch {
                items: Vec::new(),
                connection: Some(Connection::ServerGone {
                    reason: "refused".into(),
                }),
            };
            let arrival = Arrival {
                channel: channel.clone(),
                generation,
                batch,
            };
            let _ = batches.send(arrival).await;
            after(1_100).await;
        }
        after(60_000).await;
        let _ = keys.send(key('q')).await;
        std::future::pending().await
    })
    .await;
    let entries: Vec<String> = run.log.entries().into_iter().filter(|entry| entry != "draw").collect();
    assert_eq!(
        entries,
        [
            "connect", "watch 1", "connect", "watch 2", "connect", "watch 3", "connect", "watch 4"
        ],
        "once for each server, stale news do not count"
    );
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_was_just_sent_is_still_delivered_at_the_end() {
    let behaviour = Behaviour {
        dispatch_takes: Duration::from_secs(2),
        ..Behaviour::default()
    };
    let run = Run::new(behaviour);
    let rest = run
        .play(|keys, _| async move {
            after(100).await;
            let _ = keys.send(key('p')).await;
            let _ = keys.send(key('q')).await;
            std::future::pending().await
        })
        .await;
    assert!(rest.took < Duration::from_secs(1), "the person does not wait");
    assert_eq!(run.log.count("dispatched"), 1);
    assert_eq!(rest.unsent, 0);
    assert_eq!(rest.saved.state.draft, "");
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_no_server_took_is_the_next_draft() {
    for behaviour in [
        Behaviour {
            missing: true,
            ..Behaviour::default()
        },
        Behaviour {
            refuses: true,
            dispatch_takes: Duration::from_secs(1),
            ..Behaviour::default()
        },
    ] {
        let run = Run::new(behaviour);
        let rest = run
            .play(|keys, _| async move {
                after(100).await;
                for c in ['p', 'd', 'q'] {
                    let _ = keys.send(key(c)).await;
                }
                std::future::pending().await
            })
            .await;
        assert_eq!(rest.unsent, 1);
        assert_eq!(rest.saved.state.draft, "half a prompt\n\na prompt");
        assert!(
            rest.saved.state.channels.is_empty(),
            "no run will ever be on its channel"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_arrivals_starves_no_key_and_paints_60_frames_a_second() {
    let mut run = Run::new(Behaviour::default());
    let channel = ChannelId::from_random([9; 18]);
    run.saved = watching(&channel);
    let rest = run
        .play(|keys, batches| async move {
            let flood = async {
                loop {
                    let batch = FeedBatch {
                        items: Vec::new(),
                        connection: Some(Connection::Live),
                    };
                    let arrival = Arrival {
                        channel: channel.clone(),
                        generation: 1,
                        batch,
                    };
                    if batches.send(arrival).await.is_err() {
                        break;
                    }
                    after(1).await;
                }
            };
            let typing = async {
                after(2_000).await;
                let _ = keys.send(key('q')).await;
            };
            tokio::join!(flood, typing);
        })
        .await;
    assert_eq!(rest.ending, Ending::Quit);
    assert!(rest.took < Duration::from_millis(2_100), "{:?}", rest.took);
    assert!(
        rest.screen.frames <= 130,
        "{} frames in two seconds",
        rest.screen.frames
    );
}

#[tokio::test(start_paused = true)]
async fn when_nothing_happens_a_frame_a_minute_is_painted() {
    let run = Run::new(Behaviour::default());
    let rest = run
        .play(|keys, _| async move {
            after(3_600_000).await;
            let _ = keys.send(key('q')).await;
            std::future::pending().await
        })
        .await;
    assert!(
        (55..=65).contains(&rest.screen.frames),
        "{} frames in an hour",
        rest.screen.frames
    );
}

#[tokio::test(start_paused = true)]
async fn a_signal_saves_what_was_being_typed() {
    for (input, ending) in [(Input::Terminate, Ending::Quit), (Input::Gone, Ending::TerminalGone)] {
        let run = Run::new(Behaviour::default());
        let rest = run
            .play(|keys, _| async move {
                after(10).await;
                let _ = keys.send(key('d')).await;
                let _ = keys.send(input).await;
                std::future::pending().await
            })
            .await;
        assert_eq!(rest.ending, ending);
        assert_eq!(rest.saved.state.draft, "half a prompt");
    }
}

#[tokio::test(start_paused = true)]
async fn copying_says_which_ways_were_used() {
    let mut run = Run::new(Behaviour::default());
    let id = ChannelId::from_random([3; 18]);
    run.saved = watching(&id);
    let rest = run
        .play(|keys, _| async move {
            after(10).await;
            let _ = keys.send(key('y')).await;
            after(1_000).await;
            let _ = keys.send(key('q')).await;
            std::future::pending().await
        })
        .await;
    assert_eq!(rest.screen.copied, [id.as_str()]);
    assert!(rest.screen.text().contains("by the terminal"), "{}", rest.screen.text());
}

#[tokio::test(start_paused = true)]
async fn a_stop_and_its_continuation_take_the_terminal_once() {
    let run = Run::new(Behaviour::default());
    let rest = run
        .play(|keys, _| async move {
            after(10).await;
            let _ = keys.send(key('z')).await;
            let _ = keys.send(Input::Continued).await;
            let _ = keys.send(Input::Event(Event::Resize(40, 4))).await;
            after(10).await;
            let _ = keys.send(key('q')).await;
            std::future::pending().await
        })
        .await;
    assert_eq!(rest.screen.suspensions, 1);
    assert!(rest.screen.text().contains("(40, 4)"), "{}", rest.screen.text());
    assert_eq!(
        rest.screen.titles.len(),
        2,
        "the title is set again after the shell had it"
    );
}
