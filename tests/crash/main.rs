//! The real server under load, killed at random moments and started again, and an oracle that says what has to be
//! true then: every acknowledged dispatch ends exactly once, nothing that anybody saw is taken back, no answer that was
//! acknowledged is lost, and what a private run said is not on the disk.
//!
//! `SWITCHBOARD_CRASH_ROUNDS` says how many rounds, `SWITCHBOARD_CRASH_AT_ONCE` how many of them go on at the same time,
//! `SWITCHBOARD_CRASH_SEED` which one is the first; a failure names the seed of its round. What the clients of a round do follows from its seed, when they do it from the machine.

#[cfg(target_os = "linux")]
mod full;
mod load;
mod oracle;
mod plan;
mod process;
mod round;
mod upstream;
mod world;

use futures::StreamExt as _;
use round::{Ends, Tally, round};

/// How many rounds go on at the same time: most of a round is waiting.
const AT_ONCE: u64 = 2;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kills_at_any_moment() {
    let rounds = number("SWITCHBOARD_CRASH_ROUNDS").unwrap_or(20);
    let first = number("SWITCHBOARD_CRASH_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000_000));
    let at_once = number("SWITCHBOARD_CRASH_AT_ONCE").unwrap_or(AT_ONCE);
    println!("{rounds} rounds from the seed {first}");
    let outcomes = futures::stream::iter(first..first + rounds)
        .map(|seed| async move { (seed, tokio::spawn(round(seed, Ends::Any)).await) })
        .buffered(usize::try_from(at_once).expect("a small number"));
    let mut outcomes = std::pin::pin!(outcomes);
    let (mut sum, mut failed) = (Tally::default(), Vec::new());
    while let Some((seed, outcome)) = outcomes.next().await {
        let why = match outcome {
            Ok(Ok(tally)) => {
                sum += tally;
                if sum.rounds.is_multiple_of(100) {
                    println!("so far {sum}");
                }
                continue;
            }
            Ok(Err(why)) => why,
            Err(panic) => panic.to_string(),
        };
        println!("seed {seed}: {why}");
        failed.push(format!("seed {seed}: {why}"));
        // A few tell enough; the rest of a long series is not worth its time.
        if failed.len() >= 5 {
            break;
        }
    }
    println!("{sum}; {} rounds failed", failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(
        sum.runs > rounds && sum.stops > rounds && sum.seams > 0 && (rounds < 20 || sum.has_everything()),
        "hardly anything happened: {sum}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_stop_ends_streams_at_a_line_border_and_leaves_the_runs_to_the_next_server() {
    for seed in [1, 2] {
        let tally = round(seed, Ends::Cleanly)
            .await
            .unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        assert!(tally.runs > 0 && tally.stops > 1, "hardly anything happened: {tally}");
    }
}
