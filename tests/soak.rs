//! Ten real minutes: the real program in a pseudo-terminal, nine panes on twenty runs that stream all the time from the
//! real server, with resizes in between, and the resident memory at the end is that of the third minute.
//!
//! It is not run by default, because it takes ten minutes:
//! `cargo test --release --test soak -- --ignored --nocapture`. `SOAK_MINUTES` says how many others. It reads the
//! memory from `/proc`, so it is for Linux.
#![cfg(target_os = "linux")]

#[path = "support/home.rs"]
mod home;
#[path = "support/pty.rs"]
mod pty;

use std::time::{Duration, Instant};

use home::Home;
use pty::Pty;

/// Runs that stream at the same time.
const RUNS: usize = 20;
/// How long one of them streams: the demo's long answer has 2,000 tokens at 40 a second.
const ROUND: Duration = Duration::from_secs(56);
/// How much the program may have grown since its third minute, in KiB: what an allocator keeps for later.
const ALLOWED: u64 = 6 * 1024;

/// The resident memory of a process, in KiB.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// The CPU time that a process took so far, in ticks of a hundredth of a second.
fn cpu(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name in parentheses may hold spaces; the 12th and 13th fields after it are the times.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    after
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum()
}

/// Types a key and leaves the program a moment for it.
fn press(pty: &mut Pty, key: &str) {
    pty.send(key);
    std::thread::sleep(Duration::from_millis(150));
}

/// Twenty long runs from the compose box; the twenty that ended before are taken off the list.
fn round(pty: &mut Pty, number: u32) {
    if number > 0 {
        // Out of the compose box and to the list, to its end: there the oldest are.
        pty.resize(200, 60);
        pty.wait_for("channels");
        press(pty, "\x1b");
        for _ in 0..6 {
            if pty.text().contains("Space peek") {
                break;
            }
            press(pty, "\t");
        }
        press(pty, "G");
        for _ in 0..RUNS {
            press(pty, "x");
        }
        press(pty, "g");
        press(pty, "c");
    }
    for run in 0..RUNS {
        pty.send(&format!("a long essay on number {number}.{run}\r"));
        std::thread::sleep(Duration::from_millis(60));
    }
    pty.wait_until("twenty live runs", |screen| screen.contents().contains("20 live"));
}

#[test]
#[ignore = "takes ten minutes of real time: cargo test --release --test soak -- --ignored --nocapture"]
fn ten_minutes_of_twenty_runs_take_the_memory_of_three() {
    let minutes: u64 = std::env::var("SOAK_MINUTES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(10);
    let home = Home::new("");
    let mut pty = home.start(&[], 200, 60);
    pty.wait_for("demo model");
    round(&mut pty, 0);
    // Nine panes; the compose box has the focus again for the next prompts.
    press(&mut pty, "\x1b");
    press(&mut pty, "\x179");
    press(&mut pty, "c");
    let program = pty.process_id();
    let begun = Instant::now();
    let mut rounds = 0;
    let mut samples = Vec::new();
    for minute in 1..=minutes {
        while begun.elapsed() < Duration::from_secs(60 * minute) {
            if begun.elapsed() > ROUND * (rounds + 1) {
                rounds += 1;
                round(&mut pty, rounds);
            }
            std::thread::sleep(Duration::from_secs(5));
            let (columns, rows) = if begun.elapsed().as_secs() % 20 < 10 {
                (160, 50)
            } else {
                (200, 60)
            };
            pty.resize(columns, rows);
        }
        pty.forget_raw();
        assert!(home.watched() <= 3 * RUNS, "{} channels in the list", home.watched());
        let server = home.server().unwrap_or(0);
        samples.push(resident(program));
        println!(
            "minute {minute:>2}: program {:>6} KiB, {:>5} ms of CPU; server {:>6} KiB",
            resident(program),
            cpu(program) * 10,
            resident(server)
        );
    }
    press(&mut pty, "\x1b");
    pty.send("q");
    assert_eq!(pty.wait_exit().exit_code(), 0);
    let early = samples.get(2).or(samples.last()).copied().unwrap_or(0);
    let last = samples.last().copied().unwrap_or(0);
    assert!(early > 0, "no sample");
    assert!(last <= early + ALLOWED, "{samples:?} KiB");
}
