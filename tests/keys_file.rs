//! `assets/keys.toml` is the complete default key table: what the program prints, and what it reads back as the same.

use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_switchboard");
const KEYS: &str = include_str!("../assets/keys.toml");

fn printed(home: &std::path::Path) -> String {
    let mut command = Command::new(PROGRAM);
    command.args(["config", "keys"]).env_clear().env("HOME", home);
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_file_is_what_the_program_prints_and_reads() {
    let home = tempfile::tempdir().expect("a directory");
    assert_eq!(
        printed(home.path()),
        KEYS,
        "write it anew: switchboard config keys > assets/keys.toml"
    );
    let config = home.path().join("config.toml");
    std::fs::write(&config, KEYS).expect("written");
    let mut check = Command::new(PROGRAM);
    check
        .args(["config", "keys", "--config"])
        .arg(&config)
        .env_clear()
        .env("HOME", home.path());
    let output = check.output().expect("the program starts");
    assert_eq!(String::from_utf8_lossy(&output.stdout), KEYS);
}
