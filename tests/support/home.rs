//! A home of its own for a program and its local server with the demo model; at the end the server is stopped.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::Command;

use super::pty::Pty;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_switchboard");

/// A home directory.
pub struct Home(tempfile::TempDir);

impl Home {
    /// With this configuration besides the demo model: tests ask no model server that may run on this machine.
    pub fn new(config: &str) -> Self {
        let home = Self(tempfile::tempdir().expect("a directory"));
        let directory = home.path("config/switchboard");
        std::fs::create_dir_all(&directory).expect("a directory");
        let text = format!("{config}\n[server.model]\ndemo = true\n");
        std::fs::write(directory.join("config.toml"), text).expect("written");
        home
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn env(&self) -> Vec<(&'static str, String)> {
        let at = |name: &str| self.path(name).display().to_string();
        vec![
            ("HOME", at("")),
            ("XDG_CONFIG_HOME", at("config")),
            ("XDG_DATA_HOME", at("data")),
            ("XDG_STATE_HOME", at("state")),
            ("XDG_CACHE_HOME", at("cache")),
        ]
    }

    /// The process of the local server that runs now.
    pub fn server(&self) -> Option<u32> {
        let record = std::fs::read(self.path("state/switchboard/local-server.json")).ok()?;
        let record: serde_json::Value = serde_json::from_slice(&record).ok()?;
        u32::try_from(record["pid"].as_u64()?).ok()
    }

    /// How many channels the saved state holds.
    pub fn watched(&self) -> usize {
        let state = std::fs::read(self.path("state/switchboard/terminal.json")).unwrap_or_default();
        let state: serde_json::Value = serde_json::from_slice(&state).unwrap_or_default();
        state["channels"].as_array().map_or(0, Vec::len)
    }

    /// Starts the program with these arguments in a pseudo-terminal.
    pub fn start(&self, args: &[&str], columns: u16, rows: u16) -> Pty {
        let env = self.env();
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Pty::spawn(Path::new(PROGRAM), args, &env, columns, rows)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let mut stop = Command::new(PROGRAM);
        stop.args(["server", "stop", "--force"]).env_clear().envs(self.env());
        let _ = stop.output();
    }
}
