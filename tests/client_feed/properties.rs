//! Properties: whatever a server does to its connections, the items are the true log, none twice, no
//! hole unsaid.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use switchboard::client::feed::{Connection, FeedOptions, Item};

use super::log::{End, State, Step, Turn, locked, serve};
use super::{follow, options};

/// A run: a message that tells runs apart, tokens of a small alphabet, a mark here and there.
fn run(name: usize, tokens: &[u8], alphabet: u8) -> Vec<Value> {
    let message = json!({"type": "message", "data": {"type": "user", "text": format!("run {name}")}});
    let tokens = tokens.iter().enumerate().map(|(at, token)| match token {
        250.. => json!({"type": "completeBegin", "data": {"instance": name, "iteration": at}}),
        _ => json!({"type": "token", "data": {"token": if token % alphabet == 0 { "a" } else { "b" }}}),
    });
    let result = json!({"type": "result", "data": {"text": "", "end": {"reason": "stop"}}});
    std::iter::once(message).chain(tokens).chain([result]).collect()
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1usize..6).prop_map(Step::Grow),
        1 => Just(Step::Repeat),
        1 => Just(Step::Published),
        1 => Just(Step::Bad),
        1 => Just(Step::Heartbeat),
        1 => Just(Step::Nop),
    ];
    proptest::collection::vec(step, 0..5)
}

fn turns(trims: bool) -> impl Strategy<Value = Vec<Turn>> {
    let end = prop_oneof![
        6 => (0usize..80).prop_map(End::Cut),
        3 => Just(End::Clean),
        1 => Just(End::Stall),
        1 => prop_oneof![Just(500), Just(503), Just(429)].prop_map(End::Refused),
    ];
    let retain = proptest::option::of(0usize..30).prop_map(move |retain| retain.filter(|_| trims));
    let turn = (0usize..8, retain, proptest::bool::weighted(0.1), steps(), end).prop_map(
        |(away, retain, restart, steps, end)| Turn {
            away,
            retain,
            restart,
            steps,
            end,
        },
    );
    proptest::collection::vec(turn, 0..6)
}

/// Items of runs on a channel, checked against the truth; gives how many gaps were shown.
fn check(items: &[Item], state: &State) -> Result<usize, TestCaseError> {
    let last = state.run;
    // A run of which nothing was seen is begun anew in silence.
    let begun_anew = items.iter().any(|item| matches!(item, Item::Reset));
    let mut run = if begun_anew { 0 } else { last };
    // What a server without ids trimmed before anything was seen nobody can know.
    let (mut next, mut gaps, mut told) = (0_u64, 0, !state.ids && state.floors[last] > 0);
    for item in items {
        match item {
            Item::Event { id, at, event, .. } => {
                let position = at.expect("the fake always tells the position");
                prop_assert_eq!(*id, Some(position).filter(|_| state.ids));
                prop_assert!(position >= next, "event {position} came twice");
                prop_assert!(
                    position == next || (told && !state.ids),
                    "a silent hole before {position}"
                );
                let event = serde_json::to_value(event).expect("JSON");
                prop_assert_eq!(&event["type"], &state.runs[run][position as usize]["type"]);
                next = position + 1;
                told = false;
            }
            Item::Gap { missing } => {
                gaps += 1;
                told = true;
                if state.ids {
                    next += missing.expect("a server with ids knows how many");
                    prop_assert!(next as usize <= state.floors[run], "a gap that is none");
                }
            }
            Item::Reset => {
                prop_assert!(run < last);
                run += 1;
                next = 0;
            }
            Item::Published { message, .. } => {
                let text = String::from_utf8_lossy(message).into_owned();
                prop_assert!(text == "\"hello\"" || text.contains("result"), "{}", text);
            }
            Item::BadLine { .. } => {}
        }
    }
    prop_assert_eq!(run, last);
    prop_assert_eq!(next as usize, state.runs[last].len(), "the end is missing");
    Ok(gaps)
}

fn play(state: State) -> Result<(State, Vec<Item>), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (fake, state) = serve(state).await;
        let options = FeedOptions {
            idle_timeout: Duration::from_millis(150),
            ..options()
        };
        let (items, connections) = follow(fake.client(), options).await;
        prop_assert_eq!(connections.last(), Some(&Connection::Ended), "{:?}", connections);
        let state = std::mem::replace(&mut *locked(&state), State::new(true, Vec::new(), Vec::new()));
        Ok((state, items))
    })
}

fn restarts_at_most_once(turns: &mut [Turn]) {
    let mut restarted = false;
    for turn in turns {
        turn.restart &= !restarted;
        restarted |= turn.restart;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn with_ids_the_items_are_the_log(
        tokens in proptest::collection::vec(any::<u8>(), 0..50),
        alphabet in 1u8..3,
        mut turns in turns(true),
    ) {
        restarts_at_most_once(&mut turns);
        let runs = vec![run(0, &tokens, alphabet), run(1, &tokens, alphabet)];
        let (state, items) = play(State::new(true, runs, turns))?;
        check(&items, &state)?;
    }

    #[test]
    fn without_ids_nothing_comes_twice_and_no_hole_is_silent(
        tokens in proptest::collection::vec(any::<u8>(), 0..50),
        alphabet in 1u8..3,
        mut turns in turns(true),
    ) {
        for (at, turn) in turns.iter_mut().enumerate() {
            turn.restart = false;
            // What such a server trimmed before the first connection nobody can know.
            turn.retain = turn.retain.filter(|_| at > 0).map(|retain| retain.max(1));
        }
        // A refused first connection would be followed by such a one.
        if let Some(first) = turns.first_mut() && matches!(first.end, End::Refused(_)) {
            first.end = End::Clean;
        }
        // The first connection sees the run's beginning, so that a trimmed head can be told.
        if let Some(first) = turns.first_mut() {
            first.away = first.away.max(1);
        }
        let (state, items) = play(State::new(false, vec![run(0, &tokens, alphabet)], turns))?;
        check(&items, &state)?;
    }

    #[test]
    fn without_ids_whole_replays_give_the_whole_log(
        tokens in proptest::collection::vec(any::<u8>(), 0..50),
        alphabet in 1u8..3,
        mut turns in turns(false),
    ) {
        for turn in &mut turns {
            turn.restart = false;
        }
        let (state, items) = play(State::new(false, vec![run(0, &tokens, alphabet)], turns))?;
        prop_assert_eq!(check(&items, &state)?, 0);
    }
}
