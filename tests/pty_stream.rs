//! The real program in a pseudo-terminal while runs stream: panes and resizes leave the screen as a whole new drawing
//! has it, nothing is erased on the way, and every way out gives the terminal back with everything that was taken.

#[path = "support/home.rs"]
mod home;
#[path = "support/pty.rs"]
mod pty;

use std::time::Duration;

use home::Home;
use pty::Pty;
use rustix::process::Signal;

/// Four runs that stream, in four panes; the list or a transcript has the keys.
fn four_panes(home: &Home) -> Pty {
    let mut pty = home.start(&[], 140, 40);
    pty.wait_for("demo model");
    for n in 1..=4 {
        pty.send(&format!("compare the four of them, run {n}\r"));
        pty.wait_for(&format!("run {n}"));
    }
    pty.wait_for("4 live");
    pty.send("\x1b");
    pty.wait_for("c writes a prompt");
    pty.send("\x174");
    pty.wait_for("grid 2x2");
    pty
}

/// A whole new drawing changes nothing but the clock and the times.
fn assert_as_drawn_anew(pty: &mut Pty, what: &str) {
    for attempt in 0.. {
        let erases = pty.raw().matches("\x1b[2J").count();
        let (text, painted) = (pty.text(), pty.painted());
        pty.send("\x0c");
        pty.wait_until_raw("a whole new drawing", |raw| raw.matches("\x1b[2J").count() > erases);
        // Until nothing more comes.
        let mut length = 0;
        while length != pty.raw().len() {
            length = pty.raw().len();
            std::thread::sleep(Duration::from_millis(150));
        }
        if painted == pty.painted() {
            return;
        }
        // A minute may have begun in between.
        assert!(
            attempt < 3,
            "{what}: what was on the screen:\n{text}\nand drawn anew:\n{}",
            pty.text()
        );
    }
}

#[test]
fn resizes_in_the_middle_of_four_streams_garble_nothing() {
    let home = Home::new("[ui]\nmouse = true");
    let mut pty = four_panes(&home);
    let sizes = [
        (100, 30),
        (60, 20),
        (200, 60),
        (40, 10),
        (39, 9),
        (90, 50),
        (180, 24),
        (120, 40),
    ];
    for (columns, rows) in sizes {
        pty.resize(columns, rows);
        // Some in a row, as a window does that is dragged.
        std::thread::sleep(Duration::from_millis(if columns % 20 == 0 { 20 } else { 250 }));
    }
    pty.wait_until("four panes on the last size", |screen| {
        let text = screen.contents();
        screen.size() == (40, 120) && text.contains("grid 2x2") && text.contains("run 4")
    });
    pty.wait_for("4 done");
    assert_as_drawn_anew(&mut pty, "after resizes in the stream");
    // Other layouts, zoom, the merged tail, the help and back: each leaves what a whole new drawing has.
    for (keys, shown) in [
        ("\x179", "grid 3x3"),
        ("z", "Zoomed"),
        ("z", "grid 3x3"),
        ("\x172", "grid 2x1"),
        ("M", "all live channels"),
        ("q", "c writes a prompt"),
        ("?", "General"),
        ("?", "c writes a prompt"),
    ] {
        pty.send(keys);
        pty.wait_for(shown);
    }
    // What is said for some seconds goes by itself.
    pty.wait_for_gone("Zoomed");
    assert_as_drawn_anew(&mut pty, "after other views");
    pty.send("q");
    assert_eq!(pty.wait_exit().exit_code(), 0);
    pty.assert_restored();
}

#[test]
fn frames_of_a_stream_erase_nothing_and_come_whole() {
    let home = Home::new("");
    let pty = four_panes(&home);
    let erases = |pty: &Pty| pty.raw().matches("\x1b[2J").count() + pty.raw().matches("\x1b[J").count();
    let before = erases(&pty);
    pty.wait_for("4 done");
    assert_eq!(erases(&pty), before, "a frame erased the screen");
    let raw = pty.raw();
    let (begun, ended) = (raw.matches("\x1b[?2026h").count(), raw.matches("\x1b[?2026l").count());
    assert!(begun > 10 && begun == ended, "{begun} frames begun, {ended} ended");
}

#[test]
fn every_way_out_of_a_stream_gives_back_mouse_and_focus_too() {
    let home = Home::new("[ui]\nmouse = true");
    type Way = (&'static str, fn(&mut Pty));
    let ways: [Way; 5] = [
        ("q", |pty| {
            pty.send("\x1b");
            pty.wait_for("c writes a prompt");
            pty.send("q");
        }),
        ("Ctrl-C twice", |pty| pty.send("\x03\x03")),
        ("a request to end", |pty| pty.signal(Signal::TERM)),
        ("an interrupt", |pty| pty.signal(Signal::INT)),
        ("a hang-up", |pty| pty.signal(Signal::HUP)),
    ];
    for (name, leave) in ways {
        let mut pty = home.start(&[], 100, 30);
        pty.wait_for("demo model");
        pty.send("a long essay on ways out\r");
        pty.wait_for("live  00:0");
        let raw = pty.raw();
        assert!(
            raw.contains("\x1b[?1002h") && raw.contains("\x1b[?1004h"),
            "{name}: mouse and focus were taken"
        );
        leave(&mut pty);
        assert_eq!(pty.wait_exit().exit_code(), 0, "{name}");
        pty.assert_restored();
    }
}
